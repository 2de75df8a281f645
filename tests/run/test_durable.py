from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import flyte
from flyte._store.reader import StoreReader
from flyte._store.records import ActionKind
from flyte.errors import RuntimeUserError
from flyte.models import ActionPhase

env = flyte.TaskEnvironment(name="lasting")
AGAIN = flyte.RetryStrategy(count=1, backoff=flyte.Backoff(base=timedelta(0)))
SEEN: list[list[str]] = []


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    SEEN.clear()


def look_again(seen: list[Any]) -> None:
    SEEN.append([repr(each) for each in seen])
    if flyte.ctx().attempt_number == 0:
        raise ConnectionError("first attempt")


@env.task(retries=AGAIN)
async def asks_async() -> None:
    durable = flyte.durable
    look_again([await durable.now.aio(), await durable.time.aio(), await durable.random.aio()])


@env.task(retries=AGAIN)
def asks_sync() -> None:
    durable = flyte.durable
    look_again([durable.now(), durable.time(), durable.random()])


@env.task(retries=AGAIN)
def asks_from_a_loop_of_its_own() -> None:
    look_again([asyncio.run(flyte.durable.now.aio()), asyncio.run(flyte.durable.random.aio())])


@pytest.mark.parametrize("task", [asks_async, asks_sync, asks_from_a_loop_of_its_own])
def test_a_task_that_is_tried_again_gets_the_same_answers(task: Any) -> None:
    run = flyte.run(task)
    first, second = SEEN
    assert first == second
    assert {action.kind for action in run.details().actions[1:]} == {ActionKind.TRACE}


def test_two_questions_have_two_answers() -> None:
    @env.task
    async def task() -> bool:
        return await flyte.durable.random.aio() != await flyte.durable.random.aio()

    assert flyte.run(task).outputs().o0


@pytest.mark.parametrize("name", ["now", "time", "random"])
def test_outside_a_task_it_is_the_plain_function(name: str) -> None:
    before, after = getattr(flyte.durable, name)(), asyncio.run(getattr(flyte.durable, name).aio())
    assert type(before) is type(after)
    assert name == "random" or before <= after


def test_the_date_has_no_time_zone() -> None:
    assert flyte.durable.now().tzinfo is None
    assert abs(flyte.durable.now() - datetime.now()) < timedelta(seconds=10)


def test_random_numbers_are_good_seeds() -> None:
    assert 0 <= flyte.durable.random() < 1
    assert random.Random(flyte.durable.random()).random() != random.Random(flyte.durable.random()).random()


@pytest.mark.parametrize("name", ["now", "time", "random"])
def test_the_blocking_form_is_refused_in_an_async_task_with_the_way_out(name: str) -> None:
    @env.task
    async def task() -> None:
        getattr(flyte.durable, name)()

    with pytest.raises(RuntimeUserError, match=r"await f\.aio"):
        flyte.run(task)


def slept_s(run: Any) -> list[float]:
    actions = run.details().actions
    return [(each.ended_at - each.started_at).total_seconds() for each in actions if each.task_name.endswith("sleep")]


def test_a_sleep_lasts_as_long_as_it_says() -> None:
    @env.task
    async def in_async() -> None:
        await flyte.durable.sleep.aio(0.05)

    @env.task
    def in_sync() -> None:
        flyte.durable.sleep(0.05)

    for task in (in_async, in_sync):
        [lasted_s] = slept_s(flyte.run(task))
        assert lasted_s >= 0.05


def test_outside_a_task_a_sleep_is_a_sleep() -> None:
    began = time.monotonic()
    flyte.durable.sleep(0.03)
    asyncio.run(flyte.durable.sleep.aio(0.02))
    assert time.monotonic() - began >= 0.05


def test_a_sleep_that_is_over_is_not_slept_again() -> None:
    @env.task(retries=AGAIN)
    async def task() -> None:
        began = time.monotonic()
        await flyte.durable.sleep.aio(0.3)
        SEEN.append([str(time.monotonic() - began < 0.2)])
        look_again([])

    flyte.run(task)
    assert SEEN == [["False"], [], ["True"], []]


@pytest.mark.parametrize(
    ("seconds", "error"), [(-1, ValueError), (float("nan"), ValueError), (float("inf"), ValueError), ("1", TypeError)]
)
def test_an_impossible_sleep_is_refused_with_its_value(seconds: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=str(seconds)):
        flyte.durable.sleep(seconds)


SLEEPER = """
import sys, time
import flyte

env = flyte.TaskEnvironment(name="sleeper")

@env.task
async def in_async() -> float:
    await flyte.durable.sleep.aio(float(sys.argv[3]))
    return time.time()

@env.task
def in_sync() -> float:
    flyte.durable.sleep(float(sys.argv[3]))
    return time.time()

if __name__ == "__main__":
    if sys.argv[1] == "run":
        flyte.with_runcontext(name="r").run(globals()[sys.argv[2]])
    else:
        print(flyte.resume("r").outputs().o0)
"""


def eventually_sleeping(home: Path, within_s: float = 30) -> float:
    """When the sleep of run `r` began, once that is recorded."""
    give_up_at = time.monotonic() + within_s
    while time.monotonic() < give_up_at:
        if (home / "store.db").exists():
            with StoreReader(home) as reader:
                for run in reader.list_runs():
                    for action in reader.list_actions(run):
                        if action.task_name == "flyte.durable.time" and action.phase is ActionPhase.SUCCEEDED:
                            return action.created_at.timestamp()
        time.sleep(0.01)
    raise AssertionError(f"nothing slept within {within_s} s")


@pytest.mark.parametrize("task", ["in_async", "in_sync"])
def test_a_killed_run_sleeps_only_for_the_rest(tmp_path: Path, flyte_home: Path, task: str) -> None:
    script = tmp_path / "sleeper.py"
    script.write_text(SLEEPER)
    command = [sys.executable, str(script)]
    seconds = 3.0
    process = subprocess.Popen([*command, "run", task, str(seconds)])
    began = eventually_sleeping(flyte_home)
    while time.time() < began + 1:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    resumed_at = time.time()
    resumed = subprocess.run([*command, "resume", task, str(seconds)], capture_output=True, text=True, timeout=60)
    assert resumed.returncode == 0, resumed.stderr
    assert began + seconds <= float(resumed.stdout) < resumed_at + seconds
