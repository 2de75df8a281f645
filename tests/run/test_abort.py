"""Ending runs and actions from another process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flyte._run.aborting import abort
from flyte._store.reader import StoreReader
from flyte._store.records import StoredAction, StoredRun
from flyte.errors import RunNotFoundError, RuntimeUserError
from flyte.models import ActionPhase

PROGRAM = """
import asyncio, sys, threading, time
import flyte
from datetime import timedelta
from flyte.errors import ActionAbortedError, RunAbortedError

env = flyte.TaskEnvironment(name="p")

@env.task
async def waits(x: int) -> int:
    await asyncio.Event().wait()
    return x

@env.task
def blocks(x: int) -> int:
    threading.Event().wait()
    return x

@env.task
async def inline(x: int) -> int:
    return await waits(x)

@env.task
async def gathers(x: int) -> int:
    return sum(await asyncio.gather(waits(x), blocks.aio(x)))

@env.task
def calls_blockingly(x: int) -> int:
    return asyncio.run(waits(x))

@env.task
async def groups(x: int) -> int:
    async with asyncio.TaskGroup() as group:
        group.create_task(waits(x))
    return x

@env.task(retries=3)
async def retries(x: int) -> int:
    await asyncio.Event().wait()
    return x

@env.task(timeout=timedelta(hours=1))
async def limited(x: int) -> int:
    return await waits(x)

@env.task(timeout=timedelta(hours=1))
def blocks_in_a_process(x: int) -> int:
    threading.Event().wait()
    return x

@env.task
async def stubborn(x: int) -> int:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        pass
    return x

@env.task
async def misled(x: int) -> int:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise ValueError("not my fault")
    return x

@env.task
async def answers(x: int) -> int:
    return x

@env.task
async def catches(which: str) -> str:
    try:
        await globals()[which].aio(1)
    except ActionAbortedError as error:
        # The cancellation is over: this can wait, and call.
        await asyncio.sleep(0)
        return f"{error.code} {await answers(5)}"
    return "it returned"

@env.task
async def lets_through() -> int:
    return await waits(1)

@env.task
def sync_root() -> int:
    threading.Event().wait()
    return 1

@env.task
async def never_lets_go() -> int:
    threading.Event().wait()
    return 1

if __name__ == "__main__":
    task, *inputs = sys.argv[1:]
    try:
        run = flyte.with_runcontext(name="r").run(globals()[task], *inputs)
    except RunAbortedError as error:
        print(f"aborted: {error}", flush=True)
    except flyte.errors.RuntimeUserError as error:
        print(f"failed: {error.code}", flush=True)
    else:
        print(run.outputs().o0, flush=True)
    # Threads of sync tasks go on.
    import os
    os._exit(0)
"""


@contextmanager
def started(tmp_path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, str(script), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read(home: Path) -> tuple[StoredRun, list[StoredAction]]:
    with StoreReader(home) as reader:
        run = reader.load_run("r")
        return run, reader.list_actions(run)


def running(home: Path, *task_names: str) -> list[StoredAction]:
    """The actions, once all of these tasks run."""

    def actions() -> list[StoredAction] | None:
        try:
            _, all_of_them = read(home)
        except RunNotFoundError:
            return None
        run = {action.task_name for action in all_of_them if action.phase is ActionPhase.RUNNING}
        return all_of_them if {f"p.{name}" for name in task_names} <= run else None

    return eventually(actions)


def eventually(look: Callable[[], list[StoredAction] | None], within_s: float = 20) -> list[StoredAction]:
    give_up_at = time.monotonic() + within_s
    while (seen := look()) is None:
        assert time.monotonic() < give_up_at
        time.sleep(0.02)
    return seen


def action_of(actions: list[StoredAction], task_name: str) -> StoredAction:
    return next(action for action in actions if action.task_name == f"p.{task_name}")


@pytest.mark.parametrize(
    ("which", "below"),
    [
        ("waits", []),
        ("blocks", []),
        ("inline", ["waits"]),
        ("gathers", ["waits", "blocks"]),
        ("calls_blockingly", ["waits"]),
        ("groups", ["waits"]),
        ("retries", []),
        ("limited", ["waits"]),
        ("blocks_in_a_process", []),
        ("stubborn", []),
        ("misled", []),
    ],
)
def test_an_aborted_action_ends_with_those_below_it_and_its_caller_goes_on(
    tmp_path: Path, flyte_home: Path, which: str, below: list[str]
) -> None:
    with started(tmp_path, "catches", which) as process:
        action = action_of(running(flyte_home, "catches", which, *below), which)
        outcome = abort(flyte_home, "r", action.name, "enough of it")
        assert outcome.phase is ActionPhase.ABORTED
        assert process.communicate(timeout=20)[0] == "ActionAbortedError 5\n"
    run, actions = read(flyte_home)
    assert run.phase is ActionPhase.SUCCEEDED
    for name in (which, *below):
        ended = action_of(actions, name)
        assert (ended.phase, ended.attempt_no) == (ActionPhase.ABORTED, 1)
        assert ended.error is not None
        assert ended.error.message.endswith(": enough of it")


def test_a_parent_that_lets_an_abort_through_fails(tmp_path: Path, flyte_home: Path) -> None:
    with started(tmp_path, "lets_through") as process:
        abort(flyte_home, "r", action_of(running(flyte_home, "waits"), "waits").name, "why not")
        assert process.communicate(timeout=20)[0] == "failed: ActionAbortedError\n"
    assert read(flyte_home)[0].phase is ActionPhase.FAILED


@pytest.mark.parametrize(("task", "inputs"), [("catches", ["gathers"]), ("sync_root", []), ("never_lets_go", [])])
def test_an_aborted_run_ends_with_everything_in_it_whatever_its_code_does(
    tmp_path: Path, flyte_home: Path, task: str, inputs: list[str]
) -> None:
    with started(tmp_path, task, *inputs) as process:
        # What never lets go of the loop is not shown as running; its root is there from the start.
        running(flyte_home, *(["waits", "blocks"] if inputs else []), task)
        asked_at = time.monotonic()
        assert abort(flyte_home, "r", reason="enough").phase is ActionPhase.ABORTED
        assert process.communicate(timeout=20)[0] == "aborted: the run was aborted: enough\n"
        assert time.monotonic() - asked_at < 5
    run, actions = read(flyte_home)
    assert run.phase is ActionPhase.ABORTED
    assert {action.phase for action in actions} == {ActionPhase.ABORTED}
    assert {action.error.message for action in actions if action.error} == {"the run was aborted: enough"}
    assert all(action.error for action in actions)


def test_a_run_whose_process_is_gone_is_recorded_as_aborted(tmp_path: Path, flyte_home: Path) -> None:
    with started(tmp_path, "lets_through") as process:
        waiting = action_of(running(flyte_home, "waits"), "waits")
        process.kill()
        process.wait()
    with pytest.raises(RuntimeUserError, match="its process is gone"):
        abort(flyte_home, "r", waiting.name, "enough")
    assert abort(flyte_home, "r", reason="enough").is_ownerless
    run, actions = read(flyte_home)
    assert (run.status, {action.phase for action in actions}) == ("aborted", {ActionPhase.ABORTED})


def test_a_request_that_nobody_heard_does_not_reach_who_resumes_the_run(tmp_path: Path, flyte_home: Path) -> None:
    from flyte._store.aborts import AbortRequest, ask_to_abort
    from flyte._store.owners import this_process
    from flyte._store.writer import Writer, claim_run

    with started(tmp_path, "lets_through") as process:
        running(flyte_home, "waits")
        process.kill()
        process.wait()
    run, _ = read(flyte_home)
    writer = Writer(flyte_home)
    try:
        assert writer.write(ask_to_abort(AbortRequest(run.run_id, "a0", "late")))
        assert writer.write(claim_run(run, this_process(), 1))
        assert writer.write(lambda connection: connection.execute("SELECT * FROM abort_request").fetchall()) == []
    finally:
        writer.close()


def test_what_is_over_cannot_be_aborted(tmp_path: Path, flyte_home: Path) -> None:
    with started(tmp_path, "catches", "answers") as process:
        process.communicate(timeout=20)
    with pytest.raises(RuntimeUserError, match="run 'r' is over: it is"):
        abort(flyte_home, "r")
    with pytest.raises(RunNotFoundError):
        abort(flyte_home, "nope")
