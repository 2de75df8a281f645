from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flyte._store.reader import StoreReader
from flyte.models import ActionPhase

COMMAND = [sys.executable, "-c", "from flyte.cli import main; main()"]

TASKS = """
import asyncio, os, subprocess, sys, time
import flyte
from sys import stdout
env = flyte.TaskEnvironment(name="e")

@env.task
def noisy() -> int:
    print("python")
    stdout.write("kept\\n")
    os.write(1, b"descriptor\\n")
    subprocess.run(["echo", "child"], check=True)
    return 42

@env.task
def logs() -> None:
    flyte.logger.debug("mine")
    flyte.system_logger.info("ours")

@env.task
async def leaf() -> None:
    await asyncio.Event().wait()

@env.task
async def forever() -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(leaf())

@env.task
def stuck() -> None:
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def tasks(project: Path) -> None:
    (project / "tasks.py").write_text(TASKS)


def flyte(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60)


def wait_for_actions(home: Path, run_name: str, number: int, within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if (home / "store.db").exists():
            with StoreReader(home) as reader:
                if any(run.name == run_name and len(reader.list_actions(run)) == number for run in reader.list_runs()):
                    return
        time.sleep(0.02)
    raise AssertionError(f"run {run_name} did not get to {number} actions within {within_s} s")


def test_json_on_stdout_holds_nothing_but_the_document() -> None:
    done = flyte("-of", "json", "run", "--local", "tasks.py", "noisy")
    assert done.returncode == 0
    assert json.loads(done.stdout)["outputs"] == {"o0": 42}
    assert {"python", "kept", "descriptor", "child"} <= set(done.stderr.splitlines())


def test_lines_for_people_are_plain_where_nobody_looks() -> None:
    done = flyte("run", "--local", "tasks.py", "noisy")
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith("o0 = 42")


def test_an_encoding_without_our_marks_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    assert flyte("run", "--local", "hello", "--name", "Zoë").returncode == 0
    assert flyte("get", "run").returncode == 0
    assert flyte("--help").returncode == 0


def test_log_levels_are_those_asked_for() -> None:
    assert not {"mine", "ours"} & set(flyte("run", "--local", "tasks.py", "logs").stderr.split())
    told = flyte("-vv", "--user-log-level", "debug", "run", "--local", "tasks.py", "logs").stderr
    assert {"mine", "ours"} <= set(told.split())


def test_a_reader_that_goes_away_early_is_no_error() -> None:
    flyte("run", "--local", "--name", "r1", "tasks.py", "noisy")
    script = f"{' '.join(COMMAND[:2])} '{COMMAND[2]}' get config | head -n 1"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.stdout.split()[0], done.stderr) == ("home", "")


@pytest.mark.parametrize(("task", "actions"), [("forever", 4), ("stuck", 1)])
def test_ctrl_c_records_the_abort_and_gives_the_terminal_back_at_once(
    flyte_home: Path, task: str, actions: int
) -> None:
    command = [*COMMAND, "run", "--local", "--name", "r1", "tasks.py", task]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for_actions(flyte_home, "r1", actions)
        os.kill(process.pid, signal.SIGINT)
        interrupted_at = time.monotonic()
        try:
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130
    assert time.monotonic() - interrupted_at < 5
    assert "Run r1 aborted after " in errors
    assert "Traceback" not in errors
    with StoreReader(flyte_home) as reader:
        run = reader.load_run("r1")
        assert run.phase is ActionPhase.ABORTED
        assert {action.phase for action in reader.list_actions(run)} == {ActionPhase.ABORTED}
