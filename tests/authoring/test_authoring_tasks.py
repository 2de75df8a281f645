"""Tasks: what a function becomes, what is refused at decoration, and how a task is changed and pickled."""

from __future__ import annotations

import functools
import inspect
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import cloudpickle
import pytest

import flyte
from flyte import AsyncFunctionTaskTemplate, Image, TaskEnvironment, TaskTemplate
from flyte.errors import TaskDefinitionError
from flyte.models import NativeInterface

env = TaskEnvironment("e", image="python:3.12")
untyped_env: Any = env


@env.task(retries=2, timeout=60)
async def score(rows: list[int], scale: float = 1) -> str:
    """Score rows.

    Args:
        rows: What to score.
    """
    return f"{sum(rows) * scale}"


@env.task
def total(rows: list[int]) -> int:
    return sum(rows)


@env.task
def later(row: Row) -> Row | None:
    return row


class Row(str):
    """Defined after the task that uses it."""


def test_a_task_is_named_after_its_environment_and_function() -> None:
    assert (score.name, score.short_name, score.parent_env_name) == ("e.score", "score", "e")
    assert score.parent_env is not None
    assert score.parent_env() is env
    assert env.tasks["e.score"] is score


def test_to_python_a_task_looks_like_its_function() -> None:
    copied = ("__name__", "__qualname__", "__module__", "__doc__")
    assert [getattr(score, name) for name in copied] == [getattr(score.func, name) for name in copied]
    assert inspect.signature(score) == inspect.signature(score.func)
    assert inspect.getdoc(score) == inspect.getdoc(score.func)
    assert inspect.unwrap(score) is score.func
    assert score.source_file == __file__


def test_a_task_says_its_inputs_outputs_and_what_they_are_for() -> None:
    assert repr(score.interface) == "(rows: list[int], scale: float = 1) -> o0: str:"
    assert score.native_interface is score.interface
    assert score.json_schema["required"] == ["rows"]
    assert score.interface.docstring is not None
    assert score.interface.docstring.input_descriptions == {"rows": "What to score."}
    assert score.docs is not None
    assert score.docs.description.startswith("Score rows.\n")
    assert total.docs is None


def test_short_forms_of_settings_are_written_out() -> None:
    assert score.retries == flyte.RetryStrategy(2)
    assert score.timeout == flyte.Timeout(max_runtime=60)
    assert score.cache == flyte.Cache("disable")
    assert score.image == Image.from_base("python:3.12")
    assert score.is_async
    assert not total.is_async
    assert TaskTemplate(name="x", interface=NativeInterface({}, {})).short_name == "x"


def test_a_task_takes_settings_of_its_environment_unless_it_has_its_own() -> None:
    shared = TaskEnvironment(
        "shared",
        resources=flyte.Resources(cpu=1),
        cache="auto",
        env_vars={"A": "1"},
        secrets="token",
        queue="q",
        service_account="s",
        interruptible=True,
        pod_template="p",
    )

    @shared.task
    async def plain() -> None: ...

    @shared.task(cache="disable", queue="r", service_account="t", interruptible=False, pod_template="o")
    async def own() -> None: ...

    assert (plain.resources, plain.env_vars, plain.secrets) == (flyte.Resources(cpu=1), {"A": "1"}, "token")
    assert (plain.cache.behavior, plain.queue, plain.service_account) == ("auto", "q", "s")
    assert (plain.interruptible, plain.pod_template) == (True, "p")
    assert (own.cache.behavior, own.queue, own.service_account) == ("disable", "r", "t")
    assert (own.interruptible, own.pod_template) == (False, "o")


def test_a_second_function_of_the_same_name_replaces_the_first() -> None:
    again = TaskEnvironment("again")
    for _ in range(2):

        @again.task
        def f() -> None: ...

    assert again.tasks == {"again.f": f}


def test_an_annotation_may_name_what_is_defined_further_down() -> None:
    assert later.interface.inputs["row"][0] is Row


def test_a_name_that_is_never_defined_is_explained_on_first_use() -> None:
    def f(x: Undefined) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    task = env.task(f)
    with pytest.raises(TaskDefinitionError) as refusal:
        _ = task.interface
    assert "task 'e.f': an annotation of " in str(refusal.value)
    assert "uses 'Undefined', which module" in str(refusal.value)


def test_the_codec_and_the_cache_version_are_made_once() -> None:
    assert score.codec is score.codec
    cached = score.override(cache="auto")
    assert cached.cache_version == cached.override(retries=5).cache_version != ""
    assert cached.override(cache=flyte.Cache("auto", "v2")).cache_version == "v2"
    assert cached.override(retries=5).codec is score.codec
    assert score.cache_version == ""


def variadic(*rows: int) -> int:
    return 0


def keywords(**rows: int) -> int:
    return 0


def positional(rows: int, /) -> int:
    return 0


def generator(rows: int) -> Iterator[int]:
    yield rows


async def async_generator(rows: int) -> AsyncIterator[int]:
    yield rows


def one_tuple(rows: int) -> tuple[int]:
    return (rows,)


def any_tuple(rows: int) -> tuple[int, ...]:
    return (rows,)


def wrong_default(rows: int = "many") -> int:  # type: ignore[assignment]
    return rows


def no_default(rows: list[int] = None) -> int:  # type: ignore[assignment]
    return 0


def wrong_literal(size: Literal["small", "large"] = "medium") -> None:  # type: ignore[assignment]
    return None


def fire_time(at: Any = flyte.TriggerTime) -> None:
    return None


class Model:
    def fit(self, rows: int) -> int:
        return rows


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (variadic, "task 'e.variadic': it cannot have variable positional arguments, got '*rows'. Take one list"),
        (keywords, "task 'e.keywords': it cannot have variable keyword arguments, got '**rows'. Take one dict"),
        (
            positional,
            "task 'e.positional': input 'rows' is positional-only, and inputs are passed by name. Remove the '/'",
        ),
        (generator, "task 'e.generator': it yields, and a task gives one result. Return a list"),
        (async_generator, "task 'e.async_generator': it yields"),
        (one_tuple, "task 'e.one_tuple': return annotation tuple[int]"),
        (any_tuple, "task 'e.any_tuple': return annotation tuple[int, ...]"),
        (
            wrong_default,
            "input 'rows' is annotated int, but its default is 'many'. Change the default, or annotate it str",
        ),
        (no_default, "task 'e.no_default': the default of parameter 'rows', None, does not fit"),
        (wrong_literal, "task 'e.wrong_literal': the default of parameter 'size', 'medium', does not fit"),
        (fire_time, "input 'at' has the default TriggerTime, which only a trigger knows. Set it there"),
        (Model.fit, "Model.fit is a method, and a task has no object to be called on. Move it out of the class"),
        (Model, "cannot make a task of Model: it is of type type, not a function"),
        (Model().fit, "it is of type method, not a function"),
        (lambda rows: rows, "a task is found again by its name, which a lambda lacks. Use def."),
        (functools.partial(variadic, 1), "it is a functools.partial. Define a function that calls it"),
        (staticmethod(variadic), "it is of type staticmethod, not a function"),
        (
            total,
            "it is a task of environment 'e' already. Decorate it once, or make a task of its function: total.func",
        ),
        (5, "cannot make a task of 5: it is of type int, not a function. Write @env.task above a function"),
    ],
)
def test_a_function_that_cannot_be_a_task_is_refused_at_decoration(function: Any, message: str) -> None:
    with pytest.raises(TaskDefinitionError) as refusal:
        env.task(function)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retrys": 3}, "task 'e.work': @env.task has no option 'retrys'. Did you mean 'retries'?"),
        ({"image": "x"}, "@env.task has no option 'image'. It is a setting of the environment."),
        ({"retries": -1}, "task 'e.work': retries must be greater than or equal to 0, got -1"),
        ({"retries": "3"}, "retries must be an int (a retry count) or a flyte.RetryStrategy, got '3'"),
        ({"retries": True}, "retries must be an int (a retry count) or a flyte.RetryStrategy, got True"),
        ({"timeout": -1}, "timeout must not be negative, got -1"),
        ({"timeout": "1h"}, "timeout must be whole seconds (int), a timedelta or None, got '1h' (str)"),
        ({"cache": "automatic"}, "cache behavior must be one of"),
        ({"cache": flyte.Cache("auto", ignored_inputs="row")}, "Cache.ignored_inputs names 'row', which is no input"),
        ({"cache": flyte.Cache("auto", ignored_inputs="row")}, "it has rows. Did you mean 'rows'?"),
        ({"short_name": 5}, "short_name must be a str or None, got 5 (int)"),
        ({"docs": "text"}, "docs must be a flyte.Documentation or None, got 'text' (str)"),
        ({"report": 1}, "report must be True or False, got 1 (int)"),
        ({"max_inline_io_bytes": 0}, "max_inline_io_bytes must be at least 1, got 0"),
        ({"max_inline_io_bytes": "1Mi"}, "max_inline_io_bytes must be an int, got '1Mi' (str)"),
        ({"triggers": "daily"}, "triggers must be a flyte.Trigger or a tuple of them, got 'daily' (str)"),
        ({"triggers": (flyte.Trigger("a"), flyte.Trigger("a"))}, "triggers: two have the name 'a'"),
        ({"triggers": flyte.Trigger("a", inputs={"row": 1})}, "trigger 'a' names 'row', which is no input of the task"),
        ({"links": "http://x"}, "links must be objects with a name and a get_link method"),
        ({"queue": 5}, "queue must be a str or None, got 5 (int)"),
        ({"task_resolver": 5}, "task_resolver=5: task resolvers of your own do not exist in this release"),
        ({"produces_artifacts": True}, "produces_artifacts=True: artifacts do not exist in this release"),
    ],
)
def test_a_wrong_option_is_refused_at_decoration(options: dict[str, Any], message: str) -> None:
    def work(rows: int) -> int:
        return rows

    with pytest.raises(TaskDefinitionError) as refusal:
        untyped_env.task(**options)(work)
    assert message in str(refusal.value)


warm = TaskEnvironment("warm", reusable=flyte.ReusePolicy(concurrency=2), service_account="s")


@warm.task
async def served(x: int) -> int:
    return x


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: warm.task(variadic_free), "ReusePolicy.concurrency=2 needs async tasks. Make it 'async def'"),
        (lambda: warm.task(pod_template="p")(async_work), "pod_template cannot be set, as the workers of the reusable"),
        (lambda: warm.task(service_account="t")(async_work), "service_account cannot be overridden, as the workers"),
        (lambda: served.override(resources=flyte.Resources()), "resources cannot be overridden, as the workers"),
        (lambda: served.override(env_vars={}), 'Add reusable="off" to give this task workers of its own'),
    ],
)
def test_tasks_that_share_workers_share_what_the_workers_have(declare: Any, message: str) -> None:
    with pytest.raises(TaskDefinitionError) as refusal:
        declare()
    assert message in str(refusal.value)


def variadic_free(x: int) -> int:
    return x


async def async_work(x: int) -> int:
    return x


def test_a_task_may_leave_the_shared_workers() -> None:
    alone = served.override(reusable="off", resources=flyte.Resources(cpu=2))
    assert (alone.reusable, alone.resources) == (None, flyte.Resources(cpu=2))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"retries": 0}, {"retries": flyte.RetryStrategy(0)}),
        ({"retries": None}, {"retries": flyte.RetryStrategy(2)}),
        ({"timeout": 0}, {"timeout": flyte.Timeout()}),
        ({"short_name": "other"}, {"short_name": "other", "name": "e.score"}),
        ({"short_name": ""}, {"short_name": "e.score"}),
        ({"cache": "override"}, {"cache": flyte.Cache("override")}),
        ({"resources": flyte.Resources(cpu=1)}, {"resources": flyte.Resources(cpu=1)}),
        ({"env_vars": {"A": "1"}, "secrets": "s"}, {"env_vars": {"A": "1"}, "secrets": "s"}),
        ({"queue": "q", "interruptible": True}, {"queue": "q", "interruptible": True}),
        ({"reusable": flyte.ReusePolicy()}, {"reusable": flyte.ReusePolicy()}),
        ({"max_inline_io_bytes": 1}, {"max_inline_io_bytes": 1}),
        ({"links": ()}, {"links": ()}),
    ],
)
def test_an_override_changes_a_copy_and_none_keeps(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    copy = score.override(**changes)
    assert {name: getattr(copy, name) for name in expected} == expected
    assert (copy.func, copy.interface, copy.parent_env_name) == (score.func, score.interface, "e")
    assert score.retries == flyte.RetryStrategy(2)
    assert env.tasks["e.score"] is score


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "x"}, "task 'e.score': 'name' cannot be overridden: it is the identity of the task"),
        ({"image": "x"}, "'image' cannot be overridden: an action runs in the software of its environment"),
        ({"docs": "x"}, "'docs' cannot be overridden"),
        ({"interface": "x"}, "'interface' cannot be overridden"),
        ({"retrys": 1}, "'retrys' cannot be overridden: it is no setting of a call. Did you mean 'retries'?"),
        ({"retries": -1}, "task 'e.score': retries must be greater than or equal to 0, got -1"),
        ({"plugin_config": 5}, "task plugins do not exist in this release"),
        ({"produces_artifacts": True}, "artifacts do not exist in this release"),
    ],
)
def test_a_wrong_override_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskDefinitionError) as refusal:
        score.override(**changes)
    assert message in str(refusal.value)


def test_a_task_without_a_function_says_so() -> None:
    template: TaskTemplate[..., Any, Any] = TaskTemplate(name="x", interface=NativeInterface({}, {}))
    with pytest.raises(NotImplementedError, match=r"task 'x' \(TaskTemplate\) has no function to call"):
        template.forward()


def test_a_task_is_pickled_by_reference() -> None:
    assert pickle.loads(pickle.dumps(score)) is score
    copy = pickle.loads(pickle.dumps(score.override(retries=7)))
    assert (copy.retries, copy.func, copy.timeout) == (flyte.RetryStrategy(7), score.func, score.timeout)


def test_a_task_of_a_function_body_cannot_be_pickled_by_reference() -> None:
    @env.task
    def local() -> None: ...

    with pytest.raises((AttributeError, pickle.PicklingError), match="local"):
        pickle.dumps(local)


def test_a_task_of_a_function_body_travels_by_value() -> None:
    @env.task(retries=4)
    def local(x: int) -> int:
        return x + 1

    copy = cloudpickle.loads(cloudpickle.dumps(local))
    assert (copy(1), copy.name, copy.retries.count, copy.parent_env) == (2, "e.local", 4, None)


def test_a_pickled_task_is_found_by_another_process(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(
        "import flyte\nenv = flyte.TaskEnvironment('jobs')\n\n@env.task\ndef double(x: int) -> int:\n    return 2 * x\n"
    )

    def python(program: str, stdin: bytes = b"") -> bytes:
        prelude = "import pickle, sys\n"
        return subprocess.run(
            [sys.executable, "-c", prelude + program], input=stdin, capture_output=True, check=True, cwd=tmp_path
        ).stdout

    pickled = python("import jobs; sys.stdout.buffer.write(pickle.dumps(jobs.double.override(retries=1)))")
    printed = python("task = pickle.load(sys.stdin.buffer); print(task(4), task.retries.count)", pickled)
    assert printed.split() == [b"8", b"1"]


def test_templates_can_be_made_without_an_environment() -> None:
    task: AsyncFunctionTaskTemplate[..., int, Callable[..., int]] = AsyncFunctionTaskTemplate.from_function(
        variadic_free, name="free", retries=1
    )
    assert (task(3), task.name, task.retries, task.parent_env) == (3, "free", flyte.RetryStrategy(1), None)
