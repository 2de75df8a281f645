from __future__ import annotations

import asyncio
import functools
import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import flyte
from flyte._authoring.map import LOOK_AHEAD
from flyte.errors import RuntimeUserError
from flyte.models import ActionPhase

env = flyte.TaskEnvironment(name="mapped")
GROUPS: list[str | None] = []
AT_ONCE: list[int] = []


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    GROUPS.clear()
    AT_ONCE.clear()


@env.task
async def add(x: int, y: int = 0, z: int = 0) -> int:
    group = flyte.ctx().group_data
    GROUPS.append(group.name if group else None)
    return x + 10 * y + 100 * z


@env.task
def odd(x: int) -> int:
    if x % 2 == 0:
        raise ValueError(f"{x} is even")
    return x


@env.task
async def counted(x: int) -> int:
    AT_ONCE.append(AT_ONCE[-1] + 1 if AT_ONCE else 1)
    # Later items end first.
    for _ in range(50 - x):
        await asyncio.sleep(0)
    AT_ONCE.append(AT_ONCE[-1] - 1)
    return x


def shown(results: list[Any]) -> list[str]:
    return [f"{result.code}: {result}" if isinstance(result, RuntimeUserError) else str(result) for result in results]


@pytest.fixture(params=["sync", "async"])
def mapped(request: pytest.FixtureRequest) -> Any:
    """`mapped(func, *iterables, **options)`: the results as text, gathered inside a task of either kind."""

    def call(func: Any, *iterables: Any, **options: Any) -> list[str]:
        @env.task
        def in_sync() -> list[str]:
            return shown(list(flyte.map(func, *iterables, **options)))

        @env.task
        async def in_async() -> list[str]:
            return shown([result async for result in flyte.map.aio(func, *iterables, **options)])

        results: list[str] = flyte.run(in_sync if request.param == "sync" else in_async).outputs().o0
        return results

    return call


def test_results_come_in_the_order_of_the_items(mapped: Any) -> None:
    assert mapped(counted, range(50)) == [str(x) for x in range(50)]


def test_iterables_are_read_side_by_side_until_the_shortest_ends(mapped: Any) -> None:
    assert mapped(add, [1, 2, 3], (4, 5), itertools.count(6)) == ["641", "752"]


def test_without_iterables_there_are_no_results(mapped: Any) -> None:
    assert mapped(add) == []


def test_failures_are_values_in_their_place(mapped: Any) -> None:
    assert mapped(odd, [1, 2, 3]) == ["1", "ValueError: 2 is even", "3"]


def test_a_wrong_number_of_iterables_is_a_failure_of_each_call(mapped: Any) -> None:
    [result] = mapped(odd, [1], [2])
    assert "positional" in result


def test_the_first_failure_is_raised_when_that_is_wanted(mapped: Any) -> None:
    with pytest.raises(RuntimeUserError, match="2 is even"):
        mapped(odd, [1, 2, 4], return_exceptions=False)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_calls_run_at_a_time_than_wanted(mapped: Any, concurrency: int) -> None:
    mapped(counted, range(20), concurrency=concurrency)
    assert max(AT_ONCE) == concurrency


def test_all_calls_of_a_list_run_at_once(mapped: Any) -> None:
    arrived: list[int] = []

    @env.task
    async def meets(x: int) -> int:
        arrived.append(x)
        while len(arrived) < LOOK_AHEAD + 1:
            await asyncio.sleep(0.01)
        return x

    assert len(mapped(meets, list(range(LOOK_AHEAD + 1)))) == LOOK_AHEAD + 1


@pytest.mark.parametrize(("name", "group"), [(None, "mapped.add_map"), ("sweep", "mapped.add_sweep")])
def test_calls_are_in_the_group_of_the_map(mapped: Any, name: str | None, group: str) -> None:
    mapped(add, [1, 2], group_name=name)
    assert GROUPS == [group, group]


@pytest.mark.parametrize(
    ("bound", "result"),
    [
        (functools.partial(add, 1, 2), "321"),
        (functools.partial(add, y=1, z=2), "213"),
        (functools.partial(add, 1, z=2), "231"),
    ],
    ids=["by position", "by name", "both"],
)
def test_a_partial_takes_items_as_the_parameter_it_leaves(mapped: Any, bound: Any, result: str) -> None:
    assert mapped(bound, [3]) == [result]


@pytest.mark.parametrize(
    ("func", "iterables", "message"),
    [
        (functools.partial(add, z=1), ([1],), "'mapped.add' leaves 2: x, y.*those with defaults too"),
        (functools.partial(odd, 1), ([1],), "leaves 0: none"),
        (functools.partial(odd), ([1], [2]), "'x', takes one iterable; got 2"),
        (functools.partial(add, 1, x=2), ([1],), "binds 'x' by position and by name"),  # type: ignore[misc]
        (print, ([1],), "takes a task.*Decorate it with"),
        (3, ([1],), r"got 3 \(int\)"),
    ],
    ids=["two left", "none left", "two iterables", "bound twice", "function", "number"],
)
def test_what_cannot_be_mapped_is_a_type_error_at_the_call(func: Any, iterables: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        flyte.map(func, *iterables)
    with pytest.raises(TypeError, match=message):
        flyte.map.aio(func, *iterables)


@pytest.mark.parametrize(("concurrency", "error"), [(-1, ValueError), (True, TypeError), ("2", TypeError)])
def test_an_impossible_concurrency_is_refused_with_its_value(concurrency: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=str(concurrency)):
        flyte.map(add, [1], concurrency=concurrency)


@pytest.mark.parametrize(("concurrency", "most"), [(0, LOOK_AHEAD), (4, LOOK_AHEAD)])
def test_an_endless_iterator_is_read_a_bounded_way_ahead(concurrency: int, most: int) -> None:
    read: list[int] = []

    def endless() -> Iterator[int]:
        for x in itertools.count():
            read.append(x)
            yield x

    @env.task
    async def task() -> list[Any]:
        results = flyte.map.aio(add, endless(), concurrency=concurrency)
        return [await anext(results), await anext(results)]

    assert flyte.run(task).outputs().o0 == [0, 1]
    assert len(read) <= most + 1


def test_an_iterable_that_fails_does_so_after_the_results_before_it(mapped: Any) -> None:
    got: list[int] = []

    def breaks() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("no more lines")

    @env.task
    def task() -> None:
        for result in flyte.map(add, breaks()):
            assert isinstance(result, int)
            got.append(result)

    with pytest.raises(RuntimeUserError, match="no more lines"):
        flyte.run(task)
    assert got == [1, 2]


@env.task
async def patient(x: int) -> int:
    if x == 0:
        return x
    if x == 1:
        raise ValueError("one")
    await asyncio.Event().wait()
    return x


def phases(run: Any) -> list[ActionPhase]:
    return [action.phase for action in run.details().actions[1:]]


def test_raising_cancels_the_calls_that_run() -> None:
    @env.task
    async def task() -> list[str]:
        got = []
        try:
            async for result in flyte.map.aio(patient, range(4), return_exceptions=False):
                got.append(str(result))
        except RuntimeUserError as error:
            got.append(error.code)
        return got

    run = flyte.run(task)
    assert run.outputs().o0 == ["0", "ValueError"]
    aborted = ActionPhase.ABORTED
    assert phases(run) == [ActionPhase.SUCCEEDED, ActionPhase.FAILED, aborted, aborted]


def test_closing_the_generator_cancels_the_calls_that_run() -> None:
    @env.task
    def task() -> int:
        results = flyte.map(patient, [0, 2, 3])
        got = next(results)
        results.close()
        assert isinstance(got, int)
        return got

    run = flyte.run(task)
    assert run.outputs().o0 == 0
    assert phases(run) == [ActionPhase.SUCCEEDED, ActionPhase.ABORTED, ActionPhase.ABORTED]


def test_leaving_an_async_loop_cancels_the_calls_that_run() -> None:
    stopped = threading.Event()

    @env.task
    async def waits(x: int) -> int:
        try:
            await asyncio.sleep(0 if x == 0 else 60)
        except asyncio.CancelledError:
            stopped.set()
            raise
        return x

    @env.task
    async def task() -> bool:
        async for _ in flyte.map.aio(waits, [0, 1]):
            break
        return await asyncio.to_thread(stopped.wait, 10)

    assert flyte.run(task).outputs().o0 is True


def test_the_blocking_form_is_refused_in_async_code_with_the_way_out() -> None:
    @env.task
    async def task() -> int:
        return len(list(flyte.map(add, [1])))

    with pytest.raises(RuntimeUserError, match=r"flyte\.map\.aio") as caught:
        flyte.run(task)
    assert caught.value.code == "SyncTaskCallInAsyncContextError"


def test_sync_tasks_run_side_by_side() -> None:
    barrier = threading.Barrier(3, timeout=10)

    @env.task
    def meets(x: int) -> int:
        barrier.wait()
        return x

    @env.task
    def task() -> list[int]:
        return list(flyte.map(meets, [1, 2, 3], return_exceptions=False))

    assert flyte.run(task).outputs().o0 == [1, 2, 3]


def test_async_code_of_a_sync_task_maps_too() -> None:
    async def gathered() -> list[int]:
        return [result async for result in flyte.map.aio(add, [1, 2], return_exceptions=False)]

    @env.task
    def task() -> list[int]:
        return asyncio.run(gathered())

    assert flyte.run(task).outputs().o0 == [1, 2]


def test_outside_a_task_the_function_is_called_for_one_item_after_the_other() -> None:
    assert shown(list(flyte.map(odd, [1, 2, 3]))) == ["1", "2 is even", "3"]
    assert list(flyte.map(add, [1, 2], [3, 4])) == [31, 42]
    [arity] = flyte.map(odd, [1], [2])
    assert isinstance(arity, TypeError)
    with pytest.raises(ValueError, match="2 is even"):
        list(flyte.map(odd, [1, 2, 4], return_exceptions=False))


async def test_outside_a_task_async_code_gets_the_same() -> None:
    assert shown([result async for result in flyte.map.aio(odd, [1, 2])]) == ["1", "2 is even"]
    assert [result async for result in flyte.map.aio(counted, range(3))] == [0, 1, 2]
    assert max(AT_ONCE) == 1


def test_a_resumed_run_calls_only_what_has_no_result() -> None:
    calls: list[int] = []
    broken = [True]

    @env.task
    async def square(x: int) -> int:
        calls.append(x)
        if broken[0] and x == 2:
            raise ConnectionError("down")
        return x * x

    @env.task
    async def total() -> int:
        results = [result async for result in flyte.map.aio(square, range(4))]
        return sum(result for result in results if isinstance(result, int)) if not broken[0] else int(str(results[2]))

    with pytest.raises(RuntimeUserError):
        flyte.with_runcontext(name="r").run(total)
    broken[0] = False
    calls.clear()
    assert flyte.resume("r").outputs().o0 == 14
    assert calls == [2]
