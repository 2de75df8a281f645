"""Environments: what they accept, how they are joined and copied, and where they are remembered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import flyte
from flyte import Environment, Image, TaskEnvironment, TaskTemplate
from flyte._authoring.registry import loaded_environments
from flyte.errors import TaskDefinitionError
from flyte.models import NativeInterface

untyped: Any = TaskEnvironment


@pytest.mark.parametrize("name", ["a", "a1", "train-model", "train_model", "a-b_c-2"])
def test_words_joined_by_dashes_are_a_name(name: str) -> None:
    assert TaskEnvironment(name).name == name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "Train Model"}, "environment 'Train Model': the name must be lower-case letters and digits"),
        ({"name": "Train Model"}, "use 'train-model'"),
        ({"name": ""}, "environment '': the name must be"),
        ({"name": "a--b"}, "use 'a-b'"),
        ({"name": "a\n"}, "use 'a'"),
        ({"name": 1}, "the name must be a str, got 1 (int)"),
        ({"depends_on": "b"}, "environment 'a': depends_on must be a list of environments, got 'b' (str)"),
        ({"depends_on": ["b"]}, "depends_on must be a list of environments, got 'b' (str)"),
        ({"pod_template": 1}, "pod_template must be a flyte.PodTemplate, the name of one, or None"),
        ({"description": 1}, "description must be a str or None"),
        ({"secrets": 1}, "secrets must be a str, a flyte.Secret or a list of them, got 1 (int)"),
        ({"secrets": ["1a"]}, "'1A' is not the name of an environment variable"),
        ({"env_vars": {"A": 1}}, "env_vars['A'] must be a str, got 1 (int)"),
        ({"env_vars": ["A"]}, "env_vars must be a dict of str to str"),
        ({"resources": "1Gi"}, "resources must be a flyte.Resources or None, got '1Gi' (str)"),
        ({"interruptible": "no"}, "interruptible must be True or False, got 'no' (str)"),
        ({"image": 1}, 'image must be an address, a flyte.Image, "auto" or None, got 1 (int)'),
        ({"include": "a.txt"}, "include must be a tuple of paths, each a str, got 'a.txt' (str)"),
        ({"include": [1]}, "include must be a tuple of paths, each a str, got 1 (int)"),
        ({"service_account": 1}, "service_account must be a str or None"),
        ({"cache": "automatic"}, "cache behavior must be one of 'auto', 'override', 'disable', got 'automatic'"),
        ({"cache": True}, 'cache must be "auto", "override", "disable" or a flyte.Cache, got True (bool)'),
        ({"reusable": 2}, "reusable must be a flyte.ReusePolicy or None, got 2 (int)"),
        ({"queue": 1}, "queue must be a str or None, got 1 (int)"),
        ({"plugin_config": 1}, "no task plugin takes a int; task plugins do not exist in this release"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_name_of_the_environment(settings: dict[str, Any], message: str) -> None:
    declared = len(loaded_environments())
    with pytest.raises(TaskDefinitionError) as refusal:
        untyped(**{"name": "a", **settings})
    assert message in str(refusal.value)
    assert isinstance(refusal.value, ValueError)
    assert isinstance(refusal.value, TypeError)
    assert len(loaded_environments()) == declared


def test_settings_are_kept_as_given() -> None:
    env = TaskEnvironment("a", image="python:3.12", secrets="token", cache="auto", queue="q", include=("x",))
    assert (env.image, env.secrets, env.cache, env.queue, env.include) == ("python:3.12", "token", "auto", "q", ("x",))
    assert env == TaskEnvironment("a", image="python:3.12", secrets="token", cache="auto", queue="q", include=("x",))
    assert env != TaskEnvironment("a")


def test_a_long_description_is_cut_off() -> None:
    description = TaskEnvironment("a", description="d" * 300).description
    assert description == "d" * 252 + "..."


def test_environments_are_remembered_in_the_order_of_declaration() -> None:
    first, second = TaskEnvironment("same"), Environment("same")
    assert loaded_environments()[-2:] == (first, second)


def test_include_is_relative_to_the_file_of_the_declaration() -> None:
    env = TaskEnvironment("a", include=("data.txt", "/abs/data.txt"))
    assert env.include_paths == (Path(__file__).parent / "data.txt", Path("/abs/data.txt"))


def test_dependencies_are_added_in_order_and_may_be_circular() -> None:
    first, second, third = TaskEnvironment("first"), TaskEnvironment("second"), TaskEnvironment("third")
    first.add_dependency(second, third)
    first.add_dependency(second)
    second.add_dependency(first)
    assert first.depends_on == [second, third, second]
    assert repr(second.depends_on) == "[TaskEnvironment('first')]"


@pytest.mark.parametrize(
    ("dependency", "message"),
    [(TaskEnvironment("a"), "environment 'a' cannot depend on itself"), (5, "can only depend on environments, got 5")],
)
def test_a_wrong_dependency_is_refused(dependency: Any, message: str) -> None:
    with pytest.raises(TaskDefinitionError, match=message):
        TaskEnvironment("a").add_dependency(dependency)


def test_a_clone_keeps_what_is_not_given_and_has_no_tasks() -> None:
    env = TaskEnvironment("a", resources=flyte.Resources(cpu=1), env_vars={"A": "1"}, queue="q", interruptible=True)

    @env.task
    async def f() -> None: ...

    clone = env.clone_with("b", env_vars={}, cache="auto", queue="r", interruptible=False)
    assert (clone.name, clone.resources, clone.env_vars) == ("b", flyte.Resources(cpu=1), {})
    assert (clone.cache, clone.queue, clone.interruptible) == ("auto", "r", False)
    assert clone.tasks == {}
    assert list(env.tasks) == ["a.f"]


def test_a_clone_refuses_unknown_settings_with_the_near_name() -> None:
    with pytest.raises(TaskDefinitionError, match=r"there is no setting 'resource'\. Did you mean 'resources'\?"):
        TaskEnvironment("a").clone_with("b", resource=1)
    with pytest.raises(NotImplementedError, match="Environment has no clone_with"):
        Environment("a").clone_with("b")


def template(name: str, image: str) -> TaskTemplate[..., Any, Any]:
    return TaskTemplate(name=name, interface=NativeInterface({}, {}), image=Image.from_base(image))


def test_an_environment_can_be_made_around_tasks() -> None:
    first, second, other = template("x", "i"), template("y", "i"), TaskEnvironment("other")
    env = TaskEnvironment.from_task("made", first, second, depends_on=[other])
    assert env.tasks == {"x": first, "y": second}
    assert (env.image, env.depends_on) == (Image.from_base("i"), [other])
    assert first.parent_env is not None
    assert first.parent_env() is env
    assert first.parent_env_name == "made"


def test_tasks_of_one_environment_share_one_image_and_have_no_other() -> None:
    taken = template("x", "i")
    TaskEnvironment.from_task("first", taken)
    with pytest.raises(TaskDefinitionError, match="task 'x' belongs to environment 'first' already"):
        TaskEnvironment.from_task("second", taken)
    with pytest.raises(TaskDefinitionError, match="the tasks 'y', 'z' need different images"):
        TaskEnvironment.from_task("third", template("y", "i"), template("z", "j"))


def test_sandboxed_tasks_are_refused_as_missing() -> None:
    with pytest.raises(NotImplementedError, match="sandboxed tasks do not exist in this release"):
        _ = TaskEnvironment("a").sandbox
