from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import flyte
from flyte._controller.queue_limits import QueueLimit
from flyte._run.engine import engine
from flyte._store.reader import StoreReader
from flyte.errors import MaxQueuedTimeExceededError
from flyte.models import ActionPhase

env = flyte.TaskEnvironment(name="ql")
SOON = flyte.Timeout(max_queued_time=timedelta(seconds=0.05))
CALLS: list[str] = []


@pytest.fixture(autouse=True)
def no_calls() -> None:
    CALLS.clear()


@env.task(timeout=SOON)
def on_a_thread() -> int:
    CALLS.append("on_a_thread")
    return 1


@env.task(timeout=SOON)
async def on_the_loop() -> int:
    await asyncio.sleep(0.1)
    return 1


@env.task(timeout=SOON)
def longer_than_it_may_wait() -> int:
    return threading.Event().wait(0.1) or 1


@env.task(timeout=SOON, cache=flyte.Cache("auto", serialize=True))
async def computed_once(x: int) -> int:
    CALLS.append("computed_once")
    await asyncio.Event().wait()
    return x


@env.task
async def asks_twice() -> str:
    first = asyncio.ensure_future(computed_once(x=1))
    while not CALLS:
        await asyncio.sleep(0)
    try:
        await computed_once(x=1)
    except MaxQueuedTimeExceededError as error:
        return str(error)
    finally:
        first.cancel()
    return ""


@pytest.fixture
def no_free_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The threads of the engine are at work, and their number does not grow."""
    pool, over, at_work = engine().threads, threading.Event(), threading.Barrier(3)
    monkeypatch.setattr(pool, "_limit", 2)
    monkeypatch.setattr(pool, "_watch_for_stall", lambda: None)

    def work() -> None:
        at_work.wait(10)
        over.wait(10)

    for _ in range(2):
        asyncio.run_coroutine_threadsafe(pool.run(work), engine().loop)
    at_work.wait(10)
    yield
    over.set()


def test_a_task_that_waits_too_long_for_a_thread_is_not_run(flyte_home: Path, no_free_thread: None) -> None:
    with pytest.raises(MaxQueuedTimeExceededError, match="max_queued_time of 0.05 s"):
        flyte.with_runcontext(name="r").run(on_a_thread)
    with StoreReader(flyte_home) as reader:
        assert reader.list_actions(reader.load_run("r"))[0].phase is ActionPhase.TIMED_OUT
    assert CALLS == []


@pytest.mark.parametrize("task", [on_the_loop, longer_than_it_may_wait])
def test_the_time_it_runs_does_not_count(task: flyte.TaskTemplate[[], int, Any]) -> None:
    assert flyte.run(task).outputs().o0 == 1


def test_waiting_for_a_result_that_another_call_computes_counts() -> None:
    assert "max_queued_time of 0.05 s" in flyte.run(asks_twice).outputs().o0
    assert CALLS == ["computed_once"]


async def test_what_came_too_late_may_not_run_and_what_runs_is_never_too_late() -> None:
    late, early = QueueLimit(0), QueueLimit(0)

    async def waits_too_long() -> None:
        async with late.timeout:
            late.waits()
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await waits_too_long()
    assert not late.runs()
    async with early.timeout:
        early.waits()
        assert early.runs()
        await asyncio.sleep(0.01)
    assert not early.timeout.expired()
