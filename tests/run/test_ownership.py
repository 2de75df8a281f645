"""One run, one owner: stopped processes, owners on other hosts, and owners that come too late."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flyte._store.owners import this_process
from flyte._store.reader import StoreReader
from flyte._store.records import LEASE_US, LET_GO, NewRun, StoredRun
from flyte._store.writer import Change, Writer, claim_run, insert_run, renew_leases
from flyte.models import ActionPhase

PROGRAM = """
import sys
import flyte

env = flyte.TaskEnvironment(name="owned")

@env.task
async def first(x: int) -> int:
    return x + 1

@env.task
def waits(x: int) -> str:
    print("waiting", flush=True)
    return sys.stdin.readline() * 100_000

@env.task
async def root(x: int) -> str:
    return (await waits.aio(await first(x)))[:5]

if __name__ == "__main__":
    run = flyte.resume("r") if sys.argv[1] == "resume" else flyte.with_runcontext(name="r").run(root, 1)
    print(run.outputs().o0, end="")
"""
Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    processes: list[subprocess.Popen[str]] = []

    def start(verb: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        command = [sys.executable, str(script), verb]
        processes.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def until_it_waits(process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    return process


def stored(home: Path) -> StoredRun:
    with StoreReader(home) as reader:
        return reader.load_run("r")


def write(home: Path, change: Change) -> None:
    writer = Writer(home)
    writer.write(change)
    writer.close()


def seem_elsewhere(home: Path, lease_until_us: int) -> None:
    """The row says that the owner is on another host."""
    sql = "UPDATE run SET owner_host = 'elsewhere', lease_until_us = ?"
    write(home, lambda connection: connection.execute(sql, (lease_until_us,)))


def test_a_stopped_process_keeps_its_run_and_goes_on_with_it(start: Start, flyte_home: Path) -> None:
    owner = until_it_waits(start("run"))
    os.kill(owner.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, owner.pid, os.WSTOPPED)
    write(flyte_home, lambda connection: connection.execute("UPDATE run SET lease_until_us = 1"))
    assert stored(flyte_home).status == "running"
    _, refusal = start("resume").communicate(timeout=30)
    assert f"process {owner.pid}" in refusal
    assert "end that process first" in refusal
    os.kill(owner.pid, signal.SIGCONT)
    assert owner.communicate("mine\n", timeout=30) == ("mine\n", "")
    assert stored(flyte_home).status == "succeeded"


def test_an_owner_on_another_host_keeps_its_run_until_its_lease_has_passed(start: Start, flyte_home: Path) -> None:
    until_it_waits(start("run"))
    seem_elsewhere(flyte_home, time.time_ns() // 1000 + LEASE_US)
    assert stored(flyte_home).status == "running"
    assert "on elsewhere" in start("resume").communicate(timeout=30)[1]
    seem_elsewhere(flyte_home, 1)
    assert stored(flyte_home).status == "interrupted"


def test_an_owner_that_comes_too_late_changes_nothing(start: Start, flyte_home: Path) -> None:
    late = until_it_waits(start("run"))
    seem_elsewhere(flyte_home, 1)
    heir = until_it_waits(start("resume"))
    assert heir.communicate("heir\n", timeout=30) == ("heir\n", "")
    _, errors = late.communicate("late\n", timeout=30)
    assert late.returncode == 1
    assert "no longer owns the run" in errors
    with StoreReader(flyte_home) as reader:
        run = reader.load_run("r")
        actions = {action.task_name: action for action in reader.list_actions(run)}
        assert {action.phase for action in actions.values()} == {run.phase} == {ActionPhase.SUCCEEDED}
        # Nor has it written over the file that the record points to.
        assert actions["owned.waits"].outputs_file is not None
        assert b"heir" in (reader.load_outputs(actions["owned.waits"]) or b"")


def test_an_owner_that_comes_too_late_cannot_abort_the_run(start: Start, flyte_home: Path) -> None:
    late = until_it_waits(start("run"))
    seem_elsewhere(flyte_home, 1)
    heir = until_it_waits(start("resume"))
    late.send_signal(signal.SIGINT)
    _, errors = late.communicate(timeout=30)
    assert "KeyboardInterrupt" in errors
    assert stored(flyte_home).status == "running"
    assert heir.communicate("heir\n", timeout=30) == ("heir\n", "")


def test_a_lease_is_renewed_by_the_owner_and_by_nobody_else(start: Start, flyte_home: Path) -> None:
    until_it_waits(start("run"))
    before = stored(flyte_home)
    write(flyte_home, renew_leases([before.run_id], this_process(), 7))
    assert stored(flyte_home) == before
    write(flyte_home, renew_leases([before.run_id], before.owner, 7))
    assert stored(flyte_home).lease_until_us == 7


def test_a_run_that_its_process_has_let_go_is_taken_once(flyte_home: Path) -> None:
    writer = Writer(flyte_home)
    run = NewRun(name="r", task_name="t", mode="local", created_us=1, owner=this_process())
    run_id = writer.write(insert_run(run))
    writer.write(renew_leases([run_id], this_process(), LET_GO))
    seen = stored(flyte_home)
    assert seen.is_interrupted
    assert [writer.write(claim_run(seen, this_process(), 1 << 60)) for _ in range(2)] == [True, False]
    writer.close()
