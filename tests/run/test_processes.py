"""What holds when processes are interrupted, killed, or share a store."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from flyte._store.reader import StoreReader
from flyte._store.records import StoredAction, StoredRun
from flyte.models import ActionPhase

PROGRAM = """
import asyncio, os, sys, time
import flyte
from flyte._run import execution

env = flyte.TaskEnvironment(name="p")

@env.task
async def quick(x: int) -> int:
    return x

@env.task
def sleeps(x: int) -> int:
    print("started", flush=True)
    time.sleep(60)
    return x

@env.task
async def waits(x: int) -> int:
    await asyncio.Event().wait()
    return x

@env.task
async def interrupted() -> list[int]:
    return await asyncio.gather(quick(x=1), waits(x=2), sleeps.aio(x=3))

@env.task
async def blocks_the_loop() -> int:
    print("started", flush=True)
    time.sleep(60)
    return 1

@env.task
async def blocks_the_loop_and_waits_an_hour_for_it() -> int:
    execution.ABORT_GRACE_S = 3600
    print("started", flush=True)
    time.sleep(60)
    return 1

@env.task
async def fans_out(n: int) -> int:
    return sum(await asyncio.gather(*(quick(x=i) for i in range(n))))

@env.task
async def announces(n: int) -> int:
    for i in range(n):
        got = await quick(x=i)
        print("got", got, flush=True)
    return n

if __name__ == "__main__":
    task, name, *inputs = sys.argv[1:]
    run = flyte.with_runcontext(name=name).run(globals()[task], *map(int, inputs))
    print("outputs", run.outputs().o0, flush=True)
"""


def start(tmp_path: Path, task: str, run_name: str, *inputs: int) -> subprocess.Popen[str]:
    script = tmp_path / "program.py"
    if not script.exists():
        script.write_text(PROGRAM)
    command = [sys.executable, str(script), task, run_name, *map(str, inputs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))


def wait_for_line(process: subprocess.Popen[str], line: str) -> None:
    """The next line is that one; tasks that run beside others print theirs with a prefix."""
    assert process.stdout is not None
    assert process.stdout.readline().rpartition("] ")[2] == f"{line}\n"


def read(home: Path, run_name: str) -> tuple[StoredRun, list[StoredAction]]:
    with StoreReader(home) as reader:
        run = reader.load_run(run_name)
        return run, reader.list_actions(run)


def test_an_interrupt_aborts_the_run_and_everything_in_it_at_once(tmp_path: Path, flyte_home: Path) -> None:
    process = start(tmp_path, "interrupted", "r")
    wait_for_line(process, "started")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=15)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in errors
    run, actions = read(flyte_home, "r")
    assert run.phase is ActionPhase.ABORTED
    assert {action.task_name: action.phase for action in actions} == {
        "p.interrupted": ActionPhase.ABORTED,
        "p.quick": ActionPhase.SUCCEEDED,
        "p.waits": ActionPhase.ABORTED,
        "p.sleeps": ActionPhase.ABORTED,
    }


def test_an_interrupt_aborts_a_run_whose_code_never_lets_go_of_the_loop(tmp_path: Path, flyte_home: Path) -> None:
    process = start(tmp_path, "blocks_the_loop", "r")
    wait_for_line(process, "started")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=15)
    assert read(flyte_home, "r")[0].phase is ActionPhase.ABORTED


def test_a_second_interrupt_ends_the_process_without_waiting(tmp_path: Path, flyte_home: Path) -> None:
    process = start(tmp_path, "blocks_the_loop_and_waits_an_hour_for_it", "r")
    wait_for_line(process, "started")
    deadline_s = time.monotonic() + 15
    while process.poll() is None:
        assert time.monotonic() < deadline_s
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
    process.communicate()


def test_processes_share_a_store_without_losing_or_doubling_anything(tmp_path: Path, flyte_home: Path) -> None:
    processes = [start(tmp_path, "fans_out", f"r{number}", 100) for number in range(4)]
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert (process.returncode, output, errors) == (0, "outputs 4950\n", "")
    for number in range(4):
        run, actions = read(flyte_home, f"r{number}")
        assert run.phase is ActionPhase.SUCCEEDED
        assert Counter(action.task_name for action in actions) == {"p.fans_out": 1, "p.quick": 100}
        assert len({action.name for action in actions}) == 101


def test_what_a_caller_has_seen_survives_a_kill(tmp_path: Path, flyte_home: Path) -> None:
    process = start(tmp_path, "announces", "r", 1_000_000)
    assert process.stdout is not None
    seen = 0
    for line in process.stdout:
        seen = int(line.split()[1]) + 1
        if seen == 200:
            process.kill()
            break
    seen += len(process.stdout.read().splitlines())
    process.communicate(timeout=15)
    run, actions = read(flyte_home, "r")
    assert run.status == "interrupted"
    children = [action for action in actions if action.task_name == "p.quick"]
    assert len([action for action in children if action.phase is ActionPhase.SUCCEEDED]) >= seen >= 200
