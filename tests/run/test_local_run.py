from __future__ import annotations

import asyncio
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import flyte
from flyte._run import LocalRun
from flyte._store.records import StoredAction
from flyte.errors import (
    ActionAbortedError,
    InitializationError,
    InlineIOMaxBytesBreached,
    MaxRuntimeExceededError,
    NonRecoverableError,
    RunAlreadyExistsError,
    RuntimeUserError,
    SyncTaskCallInAsyncContextError,
    UnionRpcError,
)
from flyte.models import ActionPhase

env = flyte.TaskEnvironment(name="t")


@env.task
async def add_one(x: int) -> int:
    return x + 1


@env.task
def add_two(x: int) -> int:
    return x + 2


@env.task
async def forever(x: int) -> int:
    await asyncio.Event().wait()
    return x


@env.task
async def boom(text: str) -> int:
    raise ValueError(text)


def actions(run: LocalRun) -> list[StoredAction]:
    return list(run.details().actions)


def recorded(home: Path, run_name: str) -> dict[str, list[StoredAction]]:
    """The actions of a run by task, for runs that raised."""
    from flyte._store.reader import StoreReader

    by_task: dict[str, list[StoredAction]] = {}
    with StoreReader(home) as reader:
        for action in reader.list_actions(reader.load_run(run_name)):
            by_task.setdefault(action.task_name, []).append(action)
    return by_task


def run_phase(home: Path, run_name: str) -> ActionPhase:
    from flyte._store.reader import StoreReader

    with StoreReader(home) as reader:
        return reader.load_run(run_name).phase


def test_a_run_returns_the_outputs_of_its_task_and_is_recorded() -> None:
    run = flyte.run(add_one, 3)
    assert run.outputs() == (4,)
    assert run.outputs().o0 == 4
    assert run.outputs().named_outputs == {"o0": 4}
    assert run.inputs() == {"x": 3}
    assert run.phase is ActionPhase.SUCCEEDED
    assert Path(run.url).is_dir()
    assert run.done()
    run.wait()
    details = run.details()
    assert (details.name, details.task_name, details.mode, details.phase) == (
        run.name,
        "t.add_one",
        "local",
        ActionPhase.SUCCEEDED,
    )
    (root,) = details.actions
    assert (root.name, root.parent_name, root.phase, root.attempt_no) == ("a0", None, ActionPhase.SUCCEEDED, 1)
    assert root.started_at is not None
    assert root.ended_at is not None
    assert root.created_at <= root.started_at <= root.ended_at


async def test_a_run_can_be_awaited() -> None:
    run = await flyte.run.aio(add_one, x=3)
    assert await run.outputs.aio() == (4,)
    assert (await run.details.aio()).name == run.name


@env.task
async def calls_top(n: int) -> list[int]:
    return await asyncio.gather(*(add_one(x=3) for _ in range(n)))


def test_action_names_are_those_of_the_protocol() -> None:
    named = flyte.TaskEnvironment(name="e1")

    @named.task
    async def top(x: int) -> int:
        return x

    @named.task
    async def parent() -> int:
        return await top(x=3)

    run = flyte.with_runcontext(mode="local", name="myrun").run(parent)
    assert [action.name for action in actions(run)] == ["a0", "6gye2twq4crhds2g5i0y0t6oq"]


def test_equal_calls_are_actions_of_their_own_with_the_same_names_in_every_run() -> None:
    first, second = flyte.run(calls_top, 3), flyte.run(calls_top, 3)
    assert first.outputs().o0 == [4, 4, 4]
    names = [action.name for action in actions(first)]
    assert len(set(names)) == 4
    assert names == [action.name for action in actions(second)]


@env.task
def sync_tree(depth: int) -> int:
    return 1 if depth == 0 else sync_tree(depth - 1) + sync_tree(depth - 1)


@env.task
async def async_tree(depth: int) -> int:
    if depth == 0:
        return 1
    return sum(await asyncio.gather(async_tree(depth - 1), async_tree(depth - 1)))


@env.task
async def mixed_tree(depth: int) -> int:
    if depth == 0:
        return 1
    return sum(await asyncio.gather(mixed_sync.aio(depth - 1), mixed_tree(depth - 1)))


@env.task
def mixed_sync(depth: int) -> int:
    return 1 if depth == 0 else asyncio.run(mixed_tree(depth - 1)) + mixed_sync(depth - 1)


@pytest.mark.parametrize("tree", [sync_tree, async_tree, mixed_tree, mixed_sync], ids=lambda task: task.short_name)
def test_sync_and_async_tasks_nest_to_any_depth(tree: object) -> None:
    run = flyte.run(tree, 6)  # type: ignore[arg-type]
    assert run.outputs().o0 == 64
    assert len(actions(run)) == 127


@env.task
def waits_for_all(parties: int, index: int) -> int:
    return MEETING.wait(30)


MEETING = threading.Barrier(1)


@env.task
async def meeting(parties: int) -> int:
    return len(set(await asyncio.gather(*(waits_for_all.aio(parties, index=i) for i in range(parties)))))


def test_sync_tasks_that_wait_for_one_another_never_deadlock() -> None:
    global MEETING
    MEETING = threading.Barrier(300)
    assert flyte.run(meeting, 300).outputs().o0 == 300


def test_sync_tasks_run_beside_one_another_off_the_main_thread() -> None:
    @env.task
    def thread_name() -> str:
        return threading.current_thread().name

    assert flyte.run(thread_name).outputs().o0 == "flyte-task"


def test_as_completed_and_task_groups_work_on_task_calls() -> None:
    @env.task
    async def in_all_ways(n: int) -> list[int]:
        completed = [await done for done in asyncio.as_completed([add_one(x=i) for i in range(n)])]
        async with asyncio.TaskGroup() as group:
            grouped = [group.create_task(add_two.aio(x=i)) for i in range(n)]
        return sorted(completed) + [task.result() for task in grouped]

    assert flyte.run(in_all_ways, 3).outputs().o0 == [1, 2, 3, 2, 3, 4]


def test_a_cancelled_child_is_recorded_as_aborted_and_its_parent_goes_on() -> None:
    @env.task
    async def cancels() -> str:
        child = asyncio.create_task(forever(x=1))
        await add_one(x=1)
        child.cancel()
        try:
            await child
        except asyncio.CancelledError:
            return "cancelled"
        return "not"

    run = flyte.run(cancels)
    assert run.outputs().o0 == "cancelled"
    assert {a.task_name: a.phase for a in actions(run)}["t.forever"] is ActionPhase.ABORTED


def test_a_timeout_of_the_caller_aborts_the_child() -> None:
    @env.task
    async def impatient() -> str:
        try:
            async with asyncio.timeout(0.05):
                await forever(x=1)
        except TimeoutError:
            return "gave up"
        return "waited"

    run = flyte.run(impatient)
    assert run.outputs().o0 == "gave up"
    assert [a.phase for a in actions(run)] == [ActionPhase.SUCCEEDED, ActionPhase.ABORTED]


def test_what_a_task_leaves_running_is_aborted_when_it_ends() -> None:
    @env.task
    async def leaves() -> int:
        leaves_task = asyncio.create_task(forever(x=1))
        await asyncio.sleep(0)
        assert not leaves_task.done()
        return 1

    run = flyte.run(leaves)
    assert Counter(a.phase for a in actions(run)) == {ActionPhase.SUCCEEDED: 1, ActionPhase.ABORTED: 1}


def test_a_failing_gather_aborts_the_siblings_with_the_run(flyte_home: Path) -> None:
    @env.task
    async def parent() -> list[int]:
        return list(await asyncio.gather(forever(x=1), boom("b"), forever(x=2)))

    with pytest.raises(RuntimeUserError) as caught:
        flyte.with_runcontext(name="r").run(parent)
    assert str(caught.value) == "b"
    tasks = recorded(flyte_home, "r")
    assert [a.phase for a in tasks["t.forever"]] == [ActionPhase.ABORTED] * 2
    assert [a.phase for a in tasks["t.parent"]] == [ActionPhase.FAILED]


def test_an_error_crosses_task_boundaries_with_its_code_and_its_own_traceback(flyte_home: Path) -> None:
    seen: list[RuntimeUserError] = []

    @env.task
    async def middle() -> int:
        return await boom("why")

    @env.task
    async def top() -> int:
        try:
            return await middle()
        except RuntimeUserError as error:
            seen.append(error)
            raise

    with pytest.raises(RuntimeUserError) as caught:
        flyte.with_runcontext(name="r").run(top)
    for error in (caught.value, *seen):
        assert (error.code, str(error), error.kind, error.worker) == ("ValueError", "why", "user", "user")
        assert error.__cause__ is None
        assert error.remote_traceback is not None
        assert "raise ValueError(text)" in error.remote_traceback
        assert "_controller" not in error.remote_traceback
    tasks = recorded(flyte_home, "r")
    for name in ("t.boom", "t.middle", "t.top"):
        (action,) = tasks[name]
        assert action.phase is ActionPhase.FAILED
        assert action.error is not None
        assert (action.error.code, action.error.message) == ("ValueError", "why")
    assert run_phase(flyte_home, "r") is ActionPhase.FAILED


def test_the_original_traceback_is_printed_once() -> None:
    import traceback

    with pytest.raises(RuntimeUserError) as caught:
        flyte.run(boom, "once")
    text = "".join(traceback.format_exception(caught.value))
    assert text.count("raise ValueError(text)") == 1


def test_a_caught_error_of_a_child_does_not_fail_the_run() -> None:
    @env.task
    async def careful() -> str:
        try:
            await boom("x")
        except RuntimeUserError as error:
            return error.code
        return ""

    run = flyte.run(careful)
    assert run.outputs().o0 == "ValueError"
    assert run.phase is ActionPhase.SUCCEEDED


@env.task
def exits() -> int:
    raise SystemExit(3)


@env.task
def stops() -> int:
    raise StopIteration


@env.task
async def cancels_itself() -> int:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("task", "code"), [(exits, "SystemExit"), (stops, "RuntimeError"), (cancels_itself, "CancelledError")]
)
def test_what_would_end_a_thread_or_a_loop_only_fails_the_task(task: object, code: str) -> None:
    with pytest.raises(RuntimeUserError) as caught:
        flyte.run(task)  # type: ignore[arg-type]
    assert caught.value.code == code
    assert flyte.run(add_one, 1).outputs().o0 == 2


class Context(NamedTuple):
    name: str
    run_name: str
    mode: str
    version: str
    group: str
    label: str
    attempt: int
    started: datetime
    paths_exist: bool


@env.task
async def look() -> Context:
    ctx = flyte.ctx()
    assert ctx
    assert ctx.task_action == ctx.action
    assert (ctx.action.project, ctx.action.domain) == ("p", "d")
    paths = (ctx.output_path, ctx.run_base_dir, ctx.raw_data_path.path)
    assert ctx.run_start_time is not None
    return Context(
        ctx.action.name,
        ctx.action.run_name or "",
        ctx.mode,
        ctx.version,
        ctx.group_data.name if ctx.group_data else "",
        ctx.custom_context.get("label", ""),
        ctx.attempt_number,
        ctx.run_start_time,
        all(Path(path).is_dir() for path in paths),
    )


@env.task
async def look_from_a_group() -> Context:
    with flyte.group("g"), flyte.custom_context(label="l"):
        assert flyte.ctx().group_data == flyte.models.GroupData("g")
        return await look()


def test_the_context_says_where_a_task_runs() -> None:
    start = datetime(2024, 5, 6, tzinfo=UTC)
    runner = flyte.with_runcontext(mode="local", name="r", project="p", domain="d", run_start_time=start)
    run = runner.run(look_from_a_group)
    name = actions(run)[1].name
    assert tuple(run.outputs()) == (name, "r", "local", "", "g", "l", 0, start, True)
    assert actions(run)[1].group_name == "g"


def test_outside_a_task_the_context_is_falsy_and_a_call_is_a_plain_call() -> None:
    assert not flyte.ctx()
    assert add_two(1) == 3
    assert asyncio.run(add_one(1)) == 2
    with pytest.raises(ValueError, match="plain"):
        asyncio.run(boom("plain"))


def test_context_variables_set_in_a_task_do_not_leak_to_its_caller() -> None:
    from contextvars import ContextVar

    variable: ContextVar[str] = ContextVar("variable", default="unset")

    @env.task
    async def sets() -> str:
        variable.set("child")
        return variable.get()

    @env.task
    async def parent() -> list[str]:
        variable.set("parent")
        return [await sets(), variable.get()]

    assert flyte.run(parent).outputs().o0 == ["child", "parent"]


def test_values_do_not_share_state_between_tasks() -> None:
    @env.task
    async def changes(values: list[int]) -> list[int]:
        values.append(99)
        return values

    @env.task
    async def parent() -> list[list[int]]:
        values = [1]
        return [values, await changes(values)]

    assert flyte.run(parent).outputs().o0 == [[1], [1, 99]]


def test_large_values_go_to_files_and_come_back(flyte_home: Path) -> None:
    @env.task
    async def echo(text: str) -> str:
        return text

    @env.task
    async def parent(size: int) -> int:
        return len(await echo("x" * size))

    run = flyte.run(parent, 200_000)
    assert run.outputs().o0 == 200_000
    _, child = actions(run)
    assert child.inputs is None
    assert child.inputs_file is not None
    assert (flyte_home / child.inputs_file).stat().st_size > 200_000
    assert child.outputs_file is not None


def test_inputs_over_the_limit_of_the_task_are_refused() -> None:
    @env.task(max_inline_io_bytes=1_000)
    async def small(text: str) -> int:
        return len(text)

    assert flyte.run(small, "x" * 900).outputs().o0 == 900
    with pytest.raises(InlineIOMaxBytesBreached, match=r"inputs of task 't.small' take 2,0\d\d bytes.*1,000"):
        flyte.run(small, "x" * 2_000)


def test_a_wrong_input_is_refused_before_anything_is_recorded(flyte_home: Path) -> None:
    from flyte._store.reader import StoreReader

    with pytest.raises(TypeError, match="t.add_one.*'x'"):
        flyte.run(add_one, "three")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Missing required inputs: x"):
        flyte.run(add_one)  # type: ignore[call-arg]
    with StoreReader(flyte_home) as reader:
        assert reader.list_runs() == []


def test_a_wrong_input_of_a_child_fails_the_parent_with_the_childs_name() -> None:
    @env.task
    async def parent() -> int:
        return await add_one("three")  # type: ignore[arg-type]

    with pytest.raises(RuntimeUserError, match="t.add_one") as caught:
        flyte.run(parent)
    assert caught.value.code == "TypeError"


def test_a_wrong_output_fails_the_task() -> None:
    @env.task
    async def lies() -> int:
        return "text"  # type: ignore[return-value]

    with pytest.raises(RuntimeUserError, match="t.lies") as caught:
        flyte.run(lies)
    assert caught.value.code == "DataValidationError"


def test_a_run_name_is_given_once() -> None:
    flyte.with_runcontext(name="once").run(add_one, 1)
    with pytest.raises(RunAlreadyExistsError, match="'once'.*flyte get run once"):
        flyte.with_runcontext(name="once").run(add_one, 1)


@pytest.mark.parametrize("thing", [print, 3, None])
def test_only_tasks_can_be_run(thing: object) -> None:
    with pytest.raises(TypeError, match="takes a task"):
        flyte.run(thing)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["remote", "hybrid"])
def test_a_run_that_needs_a_control_plane_says_so(mode: str) -> None:
    with pytest.raises(InitializationError, match='mode="local"') as caught:
        flyte.with_runcontext(mode=mode).run(add_one, 1)  # type: ignore[arg-type]
    assert caught.value.code == "ClientNotInitializedError"


def test_an_unknown_mode_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ValueError, match="Did you mean 'local'"):
        flyte.with_runcontext(mode="loca")  # type: ignore[arg-type]


def test_settings_for_served_runs_are_named_in_a_warning() -> None:
    with pytest.warns(UserWarning, match="no use for queue, service_account"):
        flyte.with_runcontext(mode="local", queue="q", service_account="s").run(add_one, 1)


def test_a_blocking_run_on_the_engines_own_loop_is_refused() -> None:
    @env.task
    async def nested() -> int:
        return int(flyte.run(add_one, 1).outputs().o0)

    with pytest.raises(RuntimeUserError, match="flyte.run.aio") as caught:
        flyte.run(nested)
    assert caught.value.code == "AssertionError"


def test_a_run_inside_a_task_is_a_run_of_its_own() -> None:
    @env.task
    async def nested() -> str:
        return (await flyte.run.aio(add_one, 1)).name

    run = flyte.run(nested)
    assert run.outputs().o0 != run.name
    assert len(actions(run)) == 1


def test_calling_a_sync_task_blockingly_in_async_code_is_refused_with_the_way_out() -> None:
    @env.task
    async def parent() -> int:
        return add_two(1)

    with pytest.raises(RuntimeUserError, match=r"aio") as caught:
        flyte.run(parent)
    assert caught.value.code == SyncTaskCallInAsyncContextError.__name__


ATTEMPTS: list[int] = []


@env.task(retries=flyte.RetryStrategy(count=2, backoff=flyte.Backoff(base=timedelta(0))))
async def flaky(fail_times: int) -> int:
    ATTEMPTS.append(flyte.ctx().attempt_number)
    if len(ATTEMPTS) <= fail_times:
        raise OSError("flaky")
    return len(ATTEMPTS)


def test_a_failing_task_is_tried_again_as_often_as_it_says(flyte_home: Path) -> None:
    ATTEMPTS.clear()
    run = flyte.run(flaky, 2)
    assert run.outputs().o0 == 3
    assert ATTEMPTS == [0, 1, 2]
    assert actions(run)[0].attempt_no == 3
    ATTEMPTS.clear()
    with pytest.raises(RuntimeUserError, match="flaky"):
        flyte.with_runcontext(name="spent").run(flaky, 9)
    assert ATTEMPTS == [0, 1, 2]
    assert recorded(flyte_home, "spent")["t.flaky"][0].attempt_no == 3


def test_a_non_recoverable_error_is_not_tried_again() -> None:
    tries: list[int] = []

    @env.task(retries=5)
    async def hopeless() -> int:
        tries.append(1)
        raise NonRecoverableError("no way")

    with pytest.raises(RuntimeUserError, match="no way") as caught:
        flyte.run(hopeless)
    assert caught.value.code == "NonRecoverableError"
    assert tries == [1]


def test_a_task_over_its_time_is_stopped_and_recorded_so(flyte_home: Path) -> None:
    @env.task(timeout=timedelta(seconds=0.05))
    async def slow() -> int:
        await asyncio.Event().wait()
        return 1

    with pytest.raises(MaxRuntimeExceededError, match="max_runtime of 0.05 s"):
        flyte.with_runcontext(name="slow").run(slow)
    assert recorded(flyte_home, "slow")["t.slow"][0].phase is ActionPhase.TIMED_OUT


def test_a_sync_task_over_its_time_says_that_its_thread_goes_on() -> None:
    release = threading.Event()

    @env.task(timeout=timedelta(seconds=0.05))
    def slow() -> int:
        release.wait(30)
        return 1

    with pytest.raises(MaxRuntimeExceededError, match="its thread cannot be stopped"):
        flyte.run(slow)
    release.set()


def test_a_deadline_bounds_all_attempts_together() -> None:
    @env.task(retries=1000, timeout=flyte.Timeout(deadline=timedelta(seconds=0.05)))
    async def slow() -> int:
        await asyncio.Event().wait()
        return 1

    with pytest.raises(flyte.errors.DeadlineExceededError, match="deadline of 0.05 s"):
        flyte.run(slow)


def test_environment_variables_hold_while_the_run_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("T_KEPT", "before")
    varied = flyte.TaskEnvironment(name="varied", env_vars={"T_KEPT": "task", "T_NEW": "task"})

    @varied.task
    async def read() -> list[str]:
        return [os.environ["T_KEPT"], os.environ["T_NEW"], os.environ.get("T_RUN", "")]

    assert flyte.run(read).outputs().o0 == ["task", "task", ""]
    run = flyte.with_runcontext(env_vars={"T_NEW": "run", "T_RUN": "run"}).run(read)
    assert run.outputs().o0 == ["task", "run", "run"]
    assert os.environ["T_KEPT"] == "before"
    assert "T_NEW" not in os.environ
    assert "T_RUN" not in os.environ


def test_environments_that_want_different_values_of_one_variable_are_refused() -> None:
    other = flyte.TaskEnvironment(name="other", env_vars={"T_X": "2"})
    first = flyte.TaskEnvironment(name="first", env_vars={"T_X": "1"}, depends_on=[other])

    @other.task
    async def child() -> int:
        return 1

    @first.task
    async def parent() -> int:
        return await child()

    with pytest.raises(RuntimeUserError, match="T_X='2'.*'1'") as caught:
        flyte.run(parent)
    assert caught.value.code == "EnvironmentConflict"


def test_a_call_after_its_parent_is_over_is_refused() -> None:
    refused: list[BaseException] = []

    @env.task
    async def leaves_a_call_behind() -> int:
        async def later() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                try:
                    await add_one(x=1)
                except BaseException as error:
                    refused.append(error)

        background = asyncio.create_task(later())
        await asyncio.sleep(0)
        LATER.append(background)
        return 1

    @env.task
    async def after() -> int:
        LATER[0].cancel()
        await asyncio.wait(LATER)
        return 1

    flyte.run(leaves_a_call_behind)
    flyte.run(after)
    assert isinstance(refused[0], ActionAbortedError)


LATER: list[asyncio.Task[None]] = []


async def test_cancelling_an_awaited_run_aborts_it(flyte_home: Path) -> None:
    started = threading.Event()

    @env.task
    async def waits() -> int:
        started.set()
        return await forever(x=1)

    pending = asyncio.create_task(flyte.with_runcontext(name="r").run.aio(waits))
    await asyncio.to_thread(started.wait, 10)
    pending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pending
    assert run_phase(flyte_home, "r") is ActionPhase.ABORTED
    assert {a.phase for found in recorded(flyte_home, "r").values() for a in found} == {ActionPhase.ABORTED}


def test_runs_of_several_threads_go_on_side_by_side() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda n: flyte.run(calls_top, n), range(8)))
    assert [len(actions(run)) for run in runs] == [n + 1 for n in range(8)]


def test_init_without_arguments_is_enough_and_records_what_it_was_given() -> None:
    flyte.init()
    assert flyte._run.is_initialized()
    flyte.init(project="p", domain="d")
    run = flyte.run(add_one, 1)
    assert run.outputs().o0 == 2


def test_settings_of_a_control_plane_need_one() -> None:
    with pytest.raises(InitializationError, match="api_key") as caught:
        flyte.init(api_key="k")
    assert caught.value.code == "MissingEndpoint"


def test_a_configuration_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InitializationError, match="nowhere.yaml") as caught:
        flyte.init_from_config(tmp_path / "nowhere.yaml")
    assert caught.value.code == "ConfigFileNotFoundError"


def test_a_configured_endpoint_makes_runs_remote(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("admin:\n  endpoint: dns:///localhost:1\n  insecure: true\ntask:\n  project: p\n")
    flyte.init_from_config(file)
    with pytest.raises(UnionRpcError, match="no control plane at localhost:1"):
        flyte.run(add_one, 1)
    assert flyte.with_runcontext(mode="local").run(add_one, 1).outputs().o0 == 2


@pytest.mark.parametrize(
    "setting",
    [{"dry_run": True}, {"max_action_concurrency": 4}, {"copy_bundle_to": "x"}],
)
def test_a_setting_that_a_local_run_could_only_ignore_is_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(InitializationError, match=next(iter(setting))) as caught:
        flyte.with_runcontext(mode="local", **setting)
    assert caught.value.code == "NotAvailableLocally"


@pytest.mark.parametrize("setting", [{"debug": True}, {"tracked": True}, {"notifications": "mail"}])
def test_a_setting_that_no_run_could_honour_is_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(InitializationError, match=next(iter(setting))) as caught:
        flyte.with_runcontext(**setting)
    assert caught.value.code == "NotAvailable"


def test_log_levels_are_set_where_they_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flyte.logger, "level", flyte.logger.level)
    flyte.with_runcontext(user_log_level=37)
    assert flyte.logger.level == 37
    flyte.init(user_log_level=38)
    assert flyte.logger.level == 38


class Lump:
    """An object that only a pickle can carry, too large for a literal."""

    def __init__(self, size: int) -> None:
        self.content = b"x" * size

    def __sizeof__(self) -> int:
        return len(self.content)


@env.task
async def weigh(lump: Lump, note: str = "") -> int:
    return len(lump.content)


@pytest.mark.filterwarnings("ignore:Type")
def test_a_large_pickle_may_be_an_input_of_the_root_task(flyte_home: Path) -> None:
    run = flyte.run(weigh, Lump(50_000))
    assert run.outputs().o0 == 50_000
    assert any(Path(run.url, "raw").rglob("*"))
    assert len(run.inputs()["lump"].content) == 50_000


@pytest.mark.filterwarnings("ignore:Type")
def test_nothing_of_a_run_stays_that_could_not_start(flyte_home: Path) -> None:
    with pytest.raises(TypeError, match="note"):
        flyte.run(weigh, Lump(50_000), note=5)  # type: ignore[arg-type]
    assert not list(flyte_home.glob("runs/*"))
