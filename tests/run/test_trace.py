from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import flyte
from flyte._store.reader import StoreReader
from flyte._store.records import ActionKind
from flyte.errors import RuntimeUserError, TaskDefinitionError
from flyte.models import ActionPhase

env = flyte.TaskEnvironment(name="tr")
AGAIN = flyte.RetryStrategy(count=1, backoff=flyte.Backoff(base=timedelta(0)))
CALLS: list[object] = []


@pytest.fixture(autouse=True)
def no_calls() -> None:
    CALLS.clear()


@flyte.trace
async def ask(x: int, *, scale: int = 1) -> int:
    CALLS.append(x)
    await asyncio.sleep(0)
    return x * scale


@flyte.trace
def compute(x: int) -> str:
    CALLS.append(x)
    return "x" * x


@flyte.trace
async def stream(n: int) -> AsyncIterator[int]:
    CALLS.append(n)
    for i in range(n):
        await asyncio.sleep(0)
        yield i


@flyte.trace
def count(n: int) -> Iterator[int]:
    CALLS.append(n)
    yield from range(n)


@flyte.trace
async def outer(x: int) -> int:
    CALLS.append("outer")
    return await ask(x) + len(compute(x))


@flyte.trace
def anything(*args: Any, **kwargs: Any) -> Any:
    CALLS.append(args)
    return (args, kwargs)


def stumble() -> None:
    if flyte.ctx().attempt_number == 0:
        raise ConnectionError("first attempt")


@env.task(retries=AGAIN)
async def async_task() -> list[object]:
    got: list[object] = [
        await ask(2, scale=3),
        compute(3),
        [i async for i in stream(3)],
        list(count(2)),
        await outer(4),
    ]
    got.append(anything(1, "a", k=None)[0][1])
    stumble()
    return [str(each) for each in got]


@env.task(retries=AGAIN)
def sync_task() -> list[str]:
    got = [asyncio.run(ask(2, scale=3)), compute(3), list(count(2))]
    stumble()
    return [str(each) for each in got]


@pytest.mark.parametrize(
    ("task", "outputs", "traces"),
    [(async_task, ["6", "xxx", "[0, 1, 2]", "[0, 1]", "8", "a"], 8), (sync_task, ["6", "xxx", "[0, 1]"], 3)],
    ids=["async", "sync"],
)
def test_what_was_traced_is_not_called_again_by_a_retry(task: Any, outputs: list[str], traces: int) -> None:
    run = flyte.run(task)
    assert run.outputs().o0 == outputs
    assert len(CALLS) == traces
    recorded = [action for action in run.details().actions if action.kind is ActionKind.TRACE]
    assert len(recorded) == traces
    assert {action.phase for action in recorded} == {ActionPhase.SUCCEEDED}


def test_a_trace_inside_a_trace_is_its_child() -> None:
    @env.task
    async def task() -> int:
        return await outer(2)

    actions = {action.task_name: action for action in flyte.run(task).details().actions}
    assert actions["outer"].parent_name == "a0"
    assert actions["ask"].parent_name == actions["compute"].parent_name == actions["outer"].name


def test_what_was_traced_is_not_called_again_by_a_resume() -> None:
    fail = [True]

    @env.task
    async def task() -> int:
        got = await ask(5)
        if fail[0]:
            raise ConnectionError("down")
        return got

    with pytest.raises(RuntimeUserError):
        flyte.with_runcontext(name="r").run(task)
    fail[0] = False
    assert flyte.resume("r").outputs().o0 == 5
    assert CALLS == [5]


def test_an_error_keeps_its_class_inside_the_task_and_is_recorded() -> None:
    @flyte.trace
    async def breaks() -> int:
        raise KeyError("k")

    @env.task
    async def task() -> str:
        try:
            await breaks()
        except KeyError as error:
            return f"caught {error}"
        return ""

    run = flyte.run(task)
    assert run.outputs().o0 == "caught 'k'"
    trace = run.details().actions[1]
    assert trace.phase is ActionPhase.FAILED
    assert trace.error is not None
    assert trace.error.code == "KeyError"


def test_a_trace_that_failed_is_called_again() -> None:
    @flyte.trace
    async def flaky() -> int:
        CALLS.append("flaky")
        if len(CALLS) == 1:
            raise ConnectionError("first")
        return 7

    @env.task(retries=AGAIN)
    async def task() -> int:
        return await flaky()

    run = flyte.run(task)
    assert run.outputs().o0 == 7
    assert run.details().actions[1].attempt_no == 2


def test_a_stream_that_breaks_off_is_not_replayed() -> None:
    @env.task(retries=AGAIN)
    async def task() -> list[int]:
        got = []
        async for item in stream(3):
            got.append(item)
            if flyte.ctx().attempt_number == 0 and item == 1:
                stumble()
        return got

    run = flyte.run(task)
    assert run.outputs().o0 == [0, 1, 2]
    assert CALLS == [3, 3]


@env.task
async def child(x: int) -> int:
    return x


@env.task
def sync_child(x: int) -> int:
    return x


@flyte.trace
async def calls_a_task() -> int:
    return await child(1)


@flyte.trace
async def calls_a_sync_task() -> int:
    return await sync_child.aio(1)


@pytest.mark.parametrize("traced", [calls_a_task, calls_a_sync_task])
def test_a_task_called_inside_a_trace_is_refused_with_the_way_out(traced: Any) -> None:
    @env.task
    async def task() -> int:
        return int(await traced())

    with pytest.raises(RuntimeUserError, match="inside the trace 'calls_a_.*Call the task from") as caught:
        flyte.run(task)
    assert caught.value.code == "TraceDoesNotAllowNestedTasksError"


def test_inside_a_trace_the_context_names_both_actions() -> None:
    @flyte.trace
    async def looks() -> list[str]:
        ctx = flyte.ctx()
        assert ctx.task_action is not None
        return [ctx.action.name, ctx.task_action.name]

    @env.task
    async def task() -> list[str]:
        return [*await looks(), flyte.ctx().action.name]

    run = flyte.run(task)
    own, around, after = run.outputs().o0
    assert (own, around, after) == (run.details().actions[1].name, "a0", "a0")


def test_outside_a_task_a_traced_function_is_the_function() -> None:
    assert asyncio.run(ask(3)) == 3
    assert compute(2) == "xx"
    assert list(count(3)) == [0, 1, 2]
    assert inspect.iscoroutine(coroutine := ask(1))
    coroutine.close()


@pytest.mark.parametrize("thing", [child, int, 3])
def test_only_functions_are_traced(thing: Any) -> None:
    with pytest.raises(TaskDefinitionError, match=r"@flyte\.trace"):
        flyte.trace(thing)


def test_large_results_are_recorded_in_files() -> None:
    @flyte.trace
    async def large() -> str:
        CALLS.append("large")
        return "x" * 100_000

    @env.task(retries=AGAIN)
    async def task() -> int:
        size = len(await large())
        stumble()
        return size

    assert flyte.run(task).outputs().o0 == 100_000
    assert CALLS == ["large"]


@flyte.trace
def large(text: str, times: int) -> str:
    CALLS.append(times)
    return text * times


@env.task(max_inline_io_bytes=1_000)
async def passes_large_values(size: int, times: int) -> str:
    return large("x" * size, times)


@pytest.mark.parametrize(("side", "size", "times"), [("inputs", 2_000, 1), ("outputs", 10, 200)])
def test_inputs_and_outputs_over_the_limit_of_the_task_are_refused(side: str, size: int, times: int) -> None:
    with pytest.raises(RuntimeUserError, match=f"the {side} of the traced function 'large' take 2,0") as caught:
        flyte.with_runcontext(name="large").run(passes_large_values, size=size, times=times)
    assert caught.value.code == "InlineIOMaxBytesBreached"
    assert len(CALLS) == (side == "outputs")


def test_a_trace_whose_result_cannot_be_recorded_has_failed(flyte_home: Path) -> None:
    with pytest.raises(RuntimeUserError):
        flyte.with_runcontext(name="large").run(passes_large_values, size=10, times=200)
    with StoreReader(flyte_home) as reader:
        actions = {action.task_name: action for action in reader.list_actions(reader.load_run("large"))}
    assert actions["large"].phase is ActionPhase.FAILED
    assert actions["large"].outputs is None


def test_a_trace_left_running_is_aborted_when_its_task_ends() -> None:
    @flyte.trace
    async def forever() -> int:
        await asyncio.Event().wait()
        return 1

    @env.task
    async def task() -> int:
        left = asyncio.create_task(forever())
        await asyncio.sleep(0)
        assert not left.done()
        return 1

    run = flyte.run(task)
    assert [action.phase for action in run.details().actions] == [ActionPhase.SUCCEEDED, ActionPhase.ABORTED]
