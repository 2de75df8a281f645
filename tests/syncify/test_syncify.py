"""Async code called from plain code, and from other event loops."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
import pickle
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, assert_type

import pytest

from flyte import syncify as package
from flyte.syncify import Syncify, syncify

colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


@pytest.fixture
def background() -> Iterator[Syncify]:
    """A loop that is gone after the test."""
    made = Syncify("test_syncify")
    yield made
    made.close()


@syncify
async def double(x: int) -> int:
    """Twice as much."""
    return 2 * x


@syncify
async def count(n: int) -> AsyncIterator[int]:
    for each in range(n):
        yield each


class Counter:
    def __init__(self, start: int) -> None:
        self.value = start

    @syncify
    async def add(self, n: int) -> int:
        self.value += n
        return self.value

    @syncify
    async def down(self) -> AsyncIterator[int]:
        for each in range(self.value, 0, -1):
            yield each

    @syncify
    @classmethod
    async def starting_at(cls, start: int) -> Counter:
        return cls(start)

    @syncify
    @staticmethod
    async def name() -> str:
        return "counter"


@pytest.fixture(scope="module", autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    syncify.close()
    assert not [thread for thread in threading.enumerate() if "syncify" in thread.name]


def test_plain_call_blocks_for_the_result() -> None:
    assert assert_type(double(x=2), int) == 4


async def test_awaitable_form_runs_on_the_background_loop() -> None:
    @syncify
    async def where() -> tuple[str, asyncio.AbstractEventLoop]:
        return threading.current_thread().name, asyncio.get_running_loop()

    assert assert_type(await double.aio(2), int) == 4
    assert await where.aio() == ("flyte_syncify", syncify.loop)
    assert asyncio.get_running_loop() is not syncify.loop


async def test_awaitable_form_works_on_the_background_loop_itself() -> None:
    @syncify
    async def nested() -> int:
        return await double.aio(4)

    assert await nested.aio() == 8


def test_generator_is_iterated_in_step() -> None:
    seen: list[str] = []

    @syncify
    async def items() -> AsyncIterator[int]:
        for each in range(3):
            seen.append(f"made {each}")
            yield each

    for item in items():
        seen.append(f"got {item}")
    assert seen == ["made 0", "got 0", "made 1", "got 1", "made 2", "got 2"]
    assert_type(count(2), Iterator[int])
    assert list(count(0)) == []


async def test_generator_is_iterated_from_async_code() -> None:
    assert [each async for each in count.aio(3)] == [0, 1, 2]


def test_generator_left_early_is_closed() -> None:
    ended = threading.Event()

    @syncify
    async def items() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            ended.set()

    iterator: Any = items()
    assert next(iterator) == 1
    iterator.close()
    assert ended.is_set()


def test_generator_keeps_its_context_between_steps() -> None:
    @syncify
    async def items() -> AsyncIterator[str]:
        colour.set("green")
        yield colour.get()
        yield colour.get()

    assert list(items()) == ["green", "green"]
    assert colour.get() == "none"


async def test_methods_are_bound_in_both_forms() -> None:
    counter = Counter(1)
    assert assert_type(counter.add(2), int) == 3
    assert await counter.add.aio(2) == 5
    assert list(Counter(2).down()) == [2, 1]
    assert [each async for each in Counter(2).down.aio()] == [2, 1]
    assert Counter.add(counter, 1) == 6


async def test_class_and_static_methods_have_both_forms() -> None:
    # mypy hands a decorator above @classmethod the plain function, `cls` included; pyright gets it right.
    starting_at: Any = Counter.starting_at
    assert starting_at(3).value == 3
    assert (await starting_at.aio(4)).value == 4
    assert Counter.name() == Counter(1).name() == await Counter.name.aio() == "counter"


def test_class_method_makes_the_subclass() -> None:
    class Special(Counter):
        pass

    starting_at: Any = Special.starting_at
    assert type(starting_at(1)) is Special


@pytest.mark.parametrize("wrong", [3, len, lambda: 1, Counter, staticmethod(len)], ids=str)
def test_anything_else_is_refused_with_its_repr(wrong: Any) -> None:
    with pytest.raises(TypeError, match="syncify takes an async function"):
        syncify(wrong)


def test_wrapper_looks_like_the_function() -> None:
    assert (double.__name__, double.__doc__) == ("double", "Twice as much.")
    assert list(inspect.signature(double).parameters) == ["x"]
    assert "double" in repr(double)


def test_wrappers_are_pickled_by_name() -> None:
    counter = Counter(1)
    assert pickle.loads(pickle.dumps(counter.add))(1) == 2


def test_errors_reach_both_kinds_of_caller() -> None:
    @syncify
    async def fail() -> None:
        raise KeyError("k")

    with pytest.raises(KeyError, match="k"):
        fail()
    with pytest.raises(KeyError, match="k"):
        asyncio.run(fail.aio())


def test_caller_context_is_seen_and_not_changed() -> None:
    @syncify
    async def paint() -> str:
        before = colour.get()
        colour.set("red")
        return before

    token = colour.set("blue")
    try:
        assert paint() == "blue"
        assert asyncio.run(paint.aio()) == "blue"
        assert colour.get() == "blue"
    finally:
        colour.reset(token)


def test_blocking_call_on_its_own_thread_is_refused() -> None:
    @syncify
    async def stuck() -> int:
        return double(1)

    with pytest.raises(AssertionError, match=r"Deadlock detected.*'flyte_syncify'.*aio"):
        stuck()


def test_blocking_call_from_another_loop_is_fine() -> None:
    async def main() -> int:
        return double(3)

    assert asyncio.run(main()) == 6


def test_blocking_call_from_one_loop_to_another_instance_is_fine(background: Syncify) -> None:
    @background
    async def outer() -> int:
        return double(3)

    assert outer() == 6


def test_loop_is_started_once_and_only_when_needed(background: Syncify) -> None:
    assert "test_syncify" not in {thread.name for thread in threading.enumerate()}
    assert background.loop is background.loop
    assert [thread.daemon for thread in threading.enumerate() if thread.name == "test_syncify"] == [True]


def test_coroutines_run_without_a_decorator(background: Syncify) -> None:
    async def answer() -> int:
        return 42

    assert assert_type(background.run_blocking(answer()), int) == 42
    assert asyncio.run(background.run_from_loop(answer())) == 42


class Waiter:
    """A coroutine that waits for ever, and says when it has started and how it ended."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.ended: list[str] = []

    async def wait(self) -> None:
        self.started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            self.ended.append("cancelled")
            raise


async def test_cancellation_crosses_over_and_waits_for_the_end(background: Syncify) -> None:
    waiter = Waiter()
    task = asyncio.create_task(background.run_from_loop(waiter.wait()))
    await asyncio.to_thread(waiter.started.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert waiter.ended == ["cancelled"]


async def test_timeout_of_the_caller_cancels_the_call(background: Syncify) -> None:
    waiter = Waiter()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(background.run_from_loop(waiter.wait()), timeout=0.01)
    assert waiter.ended in (["cancelled"], [])
    assert bool(waiter.ended) is waiter.started.is_set()


async def test_call_that_survives_its_cancellation_hands_over_its_result(background: Syncify) -> None:
    started = threading.Event()

    async def stubborn() -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "survived"
        return "never"

    task = asyncio.create_task(background.run_from_loop(stubborn()))
    await asyncio.to_thread(started.wait, 5)
    task.cancel()
    assert await task == "survived"


def test_call_that_cancels_itself_is_cancelled_for_its_caller(background: Syncify) -> None:
    async def give_up() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        background.run_blocking(give_up())


def test_interrupt_cancels_the_call_and_is_raised_after_it(background: Syncify) -> None:
    waiter = Waiter()
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        if waiter.started.wait(5):
            signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            background.run_blocking(waiter.wait())
    finally:
        thread.join()
    assert waiter.ended == ["cancelled"]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_task_that_exits_does_not_take_the_loop_with_it(background: Syncify, error: type[BaseException]) -> None:
    async def leave() -> None:
        raise error(3)

    async def stay() -> str:
        return "here"

    with pytest.raises(error):
        background.run_blocking(leave())
    assert background.run_blocking(stay()) == "here"


def test_close_cancels_what_runs_and_the_next_call_starts_afresh(background: Syncify) -> None:
    waiter = Waiter()
    outcome: list[BaseException] = []

    def call() -> None:
        try:
            background.run_blocking(waiter.wait())
        except asyncio.CancelledError as error:
            outcome.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    assert waiter.started.wait(5)
    first = background.loop
    background.close()
    thread.join()
    assert waiter.ended == ["cancelled"]
    assert len(outcome) == 1
    assert first.is_closed()
    assert background.loop is not first


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_process_has_a_loop_of_its_own() -> None:
    assert double(1) == 2
    child = os.fork()
    if child == 0:
        os._exit(double(3))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 6
    assert double(2) == 4


def test_calls_from_many_threads_share_the_loop(background: Syncify) -> None:
    @background
    async def loop_id() -> int:
        return id(asyncio.get_running_loop())

    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(loop_id())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_exported_names() -> None:
    assert package.__all__ == ["Syncify", "syncify"]


def negative_typing() -> None:
    """Checked by the type checker, never run: each line must be an error."""
    double("x")  # type: ignore[arg-type]
    double()  # type: ignore[call-arg]
    Counter(1).add("x")  # type: ignore[arg-type]
    syncify(len)  # type: ignore[arg-type]
    wrong: Callable[[int], str] = double  # type: ignore[assignment]
    del wrong


def test_a_wait_that_wakes_to_listen_goes_on(background: Syncify, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flyte.syncify._background.LISTENS_EVERY_S", 0.001)

    async def answer() -> int:
        await asyncio.sleep(0.05)
        return 42

    assert background.run_blocking(answer()) == 42


def test_a_timeout_of_the_coroutine_is_its_own(background: Syncify, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flyte.syncify._background.LISTENS_EVERY_S", 0.001)
    own = TimeoutError("mine")

    async def give_up() -> None:
        await asyncio.sleep(0.05)
        raise own

    with pytest.raises(TimeoutError) as raised:
        background.run_blocking(give_up())
    assert raised.value is own
