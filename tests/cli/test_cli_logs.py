from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Flyte = Callable[..., Result]

COMMAND = [sys.executable, "-c", "from flyte.cli import main; main()"]

TASKS = """
import asyncio, os, sys
from datetime import timedelta
import flyte
env = flyte.TaskEnvironment(name="e")

@env.task(retries=flyte.RetryStrategy(1, flyte.Backoff(timedelta(0))))
async def leaf(n: int) -> int:
    print("leaf", n, "attempt", flyte.ctx().attempt_number)
    if n == 2 and flyte.ctx().attempt_number == 0:
        raise ConnectionError("once")
    return n

@env.task
async def main() -> int:
    print("begins")
    total = 0
    for n in range(3):
        total += await leaf(n=n)
    print("ends")
    return total

@flyte.trace
async def traced() -> int:
    print("traced")
    return 1

@env.task
async def calls_a_trace() -> int:
    return await traced()

@env.task
async def silent() -> int:
    return 1

@env.task
def waits(pipe: str) -> None:
    print("waits")
    with open(pipe) as words:
        for word in words:
            print("heard", word, end="")
"""


@pytest.fixture(autouse=True)
def tasks(project: Path) -> None:
    (project / "tasks.py").write_text(TASKS)


@pytest.fixture
def finished(flyte: Flyte) -> str:
    """The run `r` of `main`; the name of the action of `leaf(2)`."""
    assert flyte("run", "--local", "--name", "r", "tasks.py", "main").exit_code == 0
    actions = json.loads(flyte("-of", "json", "get", "action", "r").stdout)
    name: str = actions[-1]["name"]
    return name


def test_a_run_shows_what_all_its_tasks_printed_in_order(flyte: Flyte, finished: str) -> None:
    lines = flyte("get", "logs", "r").stdout.splitlines()
    assert [line.partition("] ")[2] for line in lines] == [
        "begins",
        *(f"leaf {n} attempt 0" for n in range(3)),
        "leaf 2 attempt 1",
        "ends",
    ]
    assert lines[0].startswith("[main a0] ")
    assert lines[-2].startswith(f"[leaf {finished[:6]}] ")


def test_an_action_shows_its_last_attempt_or_the_one_that_is_named(flyte: Flyte, finished: str) -> None:
    assert flyte("get", "logs", "r", "a0").stdout == "begins\nends\n"
    assert flyte("get", "logs", "r", finished).stdout == "leaf 2 attempt 1\n"
    assert flyte("get", "logs", "r", finished, "--attempt", "1").stdout == "leaf 2 attempt 0\n"
    refused = flyte("get", "logs", "r", finished, "--attempt", "3")
    assert refused.exit_code == 2
    assert "has no attempt 3: its last one is 2" in refused.stderr


def test_lines_takes_the_last_ones_and_show_ts_their_times(flyte: Flyte, finished: str) -> None:
    assert flyte("get", "logs", "r", "a0", "--lines", "1").stdout == "ends\n"
    line = flyte("get", "logs", "r", "a0", "--lines", "1", "--show-ts").stdout
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z ends\n", line)


def test_a_document_has_a_line_with_everything_known_of_it(flyte: Flyte, finished: str) -> None:
    first, last = json.loads(flyte("-of", "json", "get", "logs", "r", "a0").stdout)
    assert {**first, "time": ""} == {"time": "", "action": "a0", "attempt": 1, "line": "begins"}
    assert first["time"] < last["time"]


def test_a_run_without_a_line_says_so(flyte: Flyte) -> None:
    flyte("run", "--local", "--name", "r", "tasks.py", "silent")
    shown = flyte("get", "logs", "r")
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert "have printed nothing" in shown.stderr


def test_a_trace_points_to_the_task_around_it(flyte: Flyte) -> None:
    flyte("run", "--local", "--name", "r", "tasks.py", "calls_a_trace")
    name = json.loads(flyte("-of", "json", "get", "action", "r").stdout)[-1]["name"]
    assert "is a trace" in flyte("get", "logs", "r", name).stderr
    assert flyte("get", "logs", "r", "a0").stdout == "traced\n"


def test_following_a_document_is_refused(flyte: Flyte, finished: str) -> None:
    refused = flyte("-of", "json", "get", "logs", "r", "--follow")
    assert refused.exit_code == 2
    assert "--follow" in refused.stderr


def test_follow_shows_what_another_process_prints_and_ends_with_it(flyte: Flyte, project: Path) -> None:
    pipe = project / "pipe"
    os.mkfifo(pipe)
    run = [*COMMAND, "run", "--local", "--name", "r", "tasks.py", "waits", "--pipe", str(pipe)]
    with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "waits\n"
        follow = [*COMMAND, "get", "logs", "r", "a0", "--follow"]
        with subprocess.Popen(follow, stdout=subprocess.PIPE, text=True) as follower, pipe.open("w") as words:
            assert follower.stdout is not None
            assert follower.stdout.readline() == "waits\n"
            print("hello", file=words, flush=True)
            assert follower.stdout.readline() == "heard hello\n"
            print("goodbye", file=words)
            words.close()
            assert follower.stdout.read() == "heard goodbye\n"
            assert follower.wait(10) == 0
        program.communicate(timeout=10)


def test_an_action_shows_its_attempts(flyte: Flyte, finished: str) -> None:
    shown = flyte("get", "action", "r", finished).stdout
    assert "ConnectionError: once" in shown
    document = json.loads(flyte("-of", "json", "get", "action", "r", finished).stdout)
    assert [(each["attempt"], each["phase"]) for each in document["attempts"]] == [(1, "failed"), (2, "succeeded")]
    assert document["attempts"][0]["error"]["message"] == "once"
    assert "Started" not in flyte("get", "action", "r", "a0").stdout
