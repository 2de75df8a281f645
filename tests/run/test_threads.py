from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial

import pytest

from flyte._controller import threads
from flyte._controller.threads import ThreadPool


@pytest.fixture
async def pool() -> AsyncIterator[ThreadPool]:
    pool = ThreadPool(asyncio.get_running_loop())
    yield pool
    pool.close()


def task_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "flyte-task"]


async def test_a_thread_returns_and_raises_what_the_function_does(pool: ThreadPool) -> None:
    assert await pool.run(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 / 0)


async def test_idle_threads_are_used_again(pool: ThreadPool) -> None:
    used = {await pool.run(threading.get_ident) for _ in range(500)}
    # A thread that has just answered may not be idle yet, so now and then another one is started.
    assert len(used) < 50


async def test_more_calls_than_threads_that_all_wait_for_one_another_finish(
    pool: ThreadPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool._limit = 4
    barrier = threading.Barrier(40)
    results = await asyncio.gather(*(pool.run(partial(barrier.wait, 20)) for _ in range(40)))
    assert sorted(results) == list(range(40))


async def test_many_short_calls_do_not_make_many_threads(pool: ThreadPool) -> None:
    before = len(task_threads())
    assert await asyncio.gather(*(pool.run(partial(int, "7")) for _ in range(2_000))) == [7] * 2_000
    # On a machine that stalls for a moment the limit may double, but not with every call.
    assert len(task_threads()) - before <= 8 * threads.INITIAL_THREADS


async def test_closing_ends_idle_threads() -> None:
    pool = ThreadPool(asyncio.get_running_loop())
    worker = await pool.run(threading.current_thread)
    pool.close()
    worker.join(5)
    assert not worker.is_alive()


async def test_threads_that_stay_idle_end(pool: ThreadPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "IDLE_S", 0.01)
    worker = await pool.run(threading.current_thread)
    worker.join(5)
    assert not worker.is_alive()
    assert await pool.run(lambda: "another") == "another"
