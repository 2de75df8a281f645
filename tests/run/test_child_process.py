"""Sync tasks with a time limit: each attempt runs in a process that can be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

import flyte
from flyte._controller.log_files import LogReader
from flyte._controller.process_slots import ProcessSlots
from flyte._store.reader import StoreReader
from flyte._store.records import StoredAction
from flyte.errors import DeadlineExceededError, MaxRuntimeExceededError, RuntimeUserError
from flyte.models import ActionPhase
from tests.processes import are_gone

env = flyte.TaskEnvironment(name="cp", env_vars={"CP_SET": "yes"})
HERE = os.getpid()


@dataclass
class Point:
    x: int


@flyte.trace
def traced(point: Point) -> Point:
    print("in a trace")
    return Point(point.x + 1)


@flyte.trace
def calls_a_task(x: int) -> int:
    return doubles(x)


@env.task
async def inner(point: Point) -> Point:
    context = flyte.ctx()
    group = context.group_data.name if context.group_data else ""
    return Point(point.x * (10 if (group, context.custom_context) == ("g", {"who": "me"}) else 0))


@env.task
def doubles(x: int) -> int:
    return 2 * x


@env.task
async def waits() -> int:
    await asyncio.Event().wait()
    return 1


@env.task(timeout=60)
def calls(point: Point) -> Point:
    with flyte.group("g"), flyte.custom_context(who="me"):
        point = asyncio.run(inner(point))
    return traced(Point(doubles(point.x)))


@env.task
def calls_on_a_thread(point: Point) -> Point:
    with flyte.group("g"), flyte.custom_context(who="me"):
        point = asyncio.run(inner(point))
    return traced(Point(doubles(point.x)))


@env.task(timeout=60)
def what_it_knows() -> list[str]:
    context = flyte.ctx()
    known = [bool(context), context.action.name, context.mode, os.environ["CP_SET"], context.attempt_number]
    return [str(each) for each in (*known, psutil.Process(os.getppid()).ppid())]


@env.task(timeout=60)
def prints() -> None:
    print("to stdout")
    print("to stderr", file=sys.stderr)
    flyte.logger.warning("logged")


@env.task(timeout=60)
def fails() -> int:
    raise LookupError("not there")


@env.task(timeout=60)
def dies(how: int) -> int:
    os.kill(os.getpid(), how)
    return 1


@env.task(timeout=60)
def dies_before_what_it_forked(folder: str) -> int:
    other = os.fork()
    if other == 0:
        time.sleep(600)
    (Path(folder) / f"{other}").touch()
    os._exit(3)


@env.task(timeout=60)
def traces_a_task_call() -> int:
    return calls_a_task(1)


@env.task(timeout=60, max_inline_io_bytes=1_000)
def returns(size: int) -> str:
    return "x" * size


@env.task(timeout=60)
def calls_one_that_fails() -> str:
    try:
        fails()
    except RuntimeUserError as error:
        return f"{error.code}: {error}"
    return ""


@env.task(timeout=timedelta(seconds=0.2), retries=flyte.RetryStrategy(1, flyte.Backoff(timedelta(0))))
def never_ends(folder: str) -> int:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (Path(folder) / f"{os.getpid()}").touch()
    (Path(folder) / f"{other.pid}").touch()
    time.sleep(600)
    return 1


@env.task(timeout=flyte.Timeout(max_runtime=timedelta(seconds=0.2)))
def waits_for_a_call() -> int:
    return asyncio.run(waits())


@env.task(timeout=60)
def nests(depth: int) -> int:
    return 1 + nests(depth - 1) if depth else 0


def recorded(home: Path, run_name: str = "r") -> dict[str, StoredAction]:
    with StoreReader(home) as reader:
        return {action.task_name: action for action in reader.list_actions(reader.load_run(run_name))}


def processes_in(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir()]


def test_it_runs_in_another_process_that_knows_what_a_task_knows() -> None:
    known = flyte.run(what_it_knows).outputs().o0
    assert known == ["True", "a0", "local", "yes", "0", str(HERE)]


def test_its_calls_and_traces_are_actions_like_those_of_a_thread(flyte_home: Path) -> None:
    assert flyte.with_runcontext(name="r").run(calls, Point(1)).outputs().o0 == Point(21)
    assert flyte.with_runcontext(name="thread").run(calls_on_a_thread, Point(1)).outputs().o0 == Point(21)
    there, here = recorded(flyte_home), recorded(flyte_home, "thread")
    for task_name in ("cp.inner", "cp.doubles", "traced"):
        assert there[task_name].phase is ActionPhase.SUCCEEDED
        assert there[task_name].name == here[task_name].name
        assert (there[task_name].inputs, there[task_name].outputs) == (here[task_name].inputs, here[task_name].outputs)


def test_what_it_prints_is_in_its_log_and_in_the_terminal(flyte_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flyte.with_runcontext(name="r").run(prints)
    kept = sorted(line.text for line in LogReader(flyte_home, "r", "a0", 1).new_lines())
    assert kept == ["WARNING flyte.user: logged", "to stderr", "to stdout"]
    assert capsys.readouterr() == ("to stdout\n", "to stderr\nWARNING flyte.user: logged\n")


def test_what_it_raises_reaches_the_caller_with_its_own_traceback() -> None:
    with pytest.raises(RuntimeUserError, match="not there") as caught:
        flyte.run(fails)
    assert caught.value.code == "LookupError"
    assert "in fails" in (caught.value.remote_traceback or "")
    assert "child_main" not in (caught.value.remote_traceback or "")


def test_errors_of_its_calls_reach_its_code() -> None:
    assert flyte.run(calls_one_that_fails).outputs().o0 == "LookupError: not there"


def test_a_trace_in_it_cannot_call_tasks() -> None:
    with pytest.raises(RuntimeUserError, match="was called inside the trace 'calls_a_task'") as caught:
        flyte.run(traces_a_task_call)
    assert "in calls_a_task" in (caught.value.remote_traceback or "")


def test_outputs_over_the_inline_limit_are_refused() -> None:
    with pytest.raises(RuntimeUserError, match="outputs of task 'cp.returns' take 2,019 bytes"):
        flyte.run(returns, 2_000)


def test_a_process_that_dies_fails_the_attempt_and_says_how() -> None:
    with pytest.raises(RuntimeUserError, match="was killed by SIGKILL") as caught:
        flyte.run(dies, signal.SIGKILL)
    assert caught.value.code == "ProcessDied"


def test_its_death_is_seen_and_what_it_forked_dies_too(tmp_path: Path) -> None:
    with pytest.raises(RuntimeUserError, match="ended with exit code 3"):
        flyte.run(dies_before_what_it_forked, str(tmp_path))
    assert len(processes_in(tmp_path)) == 1
    assert are_gone(processes_in(tmp_path))


def test_over_its_time_each_attempt_is_killed_with_all_it_started(tmp_path: Path, flyte_home: Path) -> None:
    with pytest.raises(MaxRuntimeExceededError, match="max_runtime of 0.2 s") as caught:
        flyte.with_runcontext(name="r").run(never_ends, str(tmp_path))
    assert "thread" not in str(caught.value)
    assert len(processes_in(tmp_path)) == 4
    assert are_gone(processes_in(tmp_path))
    action = recorded(flyte_home)["cp.never_ends"]
    assert (action.phase, action.attempt_no) == (ActionPhase.TIMED_OUT, 2)


def test_a_deadline_kills_it_too(tmp_path: Path) -> None:
    task = never_ends.override(timeout=flyte.Timeout(deadline=timedelta(seconds=2)))
    with pytest.raises(DeadlineExceededError):
        flyte.run(task, str(tmp_path))
    assert are_gone(processes_in(tmp_path))


def test_calls_it_waits_for_are_aborted_with_it(flyte_home: Path) -> None:
    with pytest.raises(MaxRuntimeExceededError):
        flyte.with_runcontext(name="r").run(waits_for_a_call)
    assert recorded(flyte_home)["cp.waits"].phase is ActionPhase.ABORTED


def test_more_of_them_than_may_run_at_once_can_wait_for_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProcessSlots.__init__, "__defaults__", (1,))
    assert flyte.run(nests, 3).outputs().o0 == 3


def test_a_task_that_no_other_process_can_import_runs_on_a_thread() -> None:
    @env.task(timeout=60)
    def local() -> int:
        return os.getpid()

    assert flyte.run(local).outputs().o0 == HERE


async def test_a_slot_that_is_given_back_goes_to_who_waited_longest() -> None:
    slots = ProcessSlots(1)
    await slots.take()
    waiting = [asyncio.ensure_future(slots.take()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    slots.give_back()
    await waiting[1]
    assert not waiting[2].done()
    with slots.lent():
        await waiting[2]


SCRIPT = """
import sys
import time
from dataclasses import dataclass
import flyte

env = flyte.TaskEnvironment(name="s")

@dataclass
class Row:
    x: int

@env.task
async def inner(row: Row) -> Row:
    return Row(row.x + 1)

@env.task(timeout=60)
def outer(row: Row) -> Row:
    import asyncio
    return asyncio.run(inner(row))

@env.task(timeout=60)
def sleeps() -> int:
    import os, time
    print(os.getpid(), flush=True)
    time.sleep(600)
    return 1

GUARD
    if "sleeps" in sys.argv:
        flyte.run(sleeps)
    print(flyte.run(outer, Row(1)).outputs().o0)
"""


def test_a_task_of_the_program_itself_is_found(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(SCRIPT.replace("GUARD", 'if __name__ == "__main__":'))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("Row(x=2)\n", "")


def test_a_program_that_runs_itself_when_it_is_imported_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(SCRIPT.replace("GUARD", "if True:"))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert 'put what starts the run below `if __name__ == "__main__":`' in done.stderr


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_it_ends_with_the_process_that_started_it(tmp_path: Path, sent: signal.Signals) -> None:
    script = tmp_path / "program.py"
    script.write_text(SCRIPT.replace("GUARD", 'if __name__ == "__main__":'))
    with subprocess.Popen(
        [sys.executable, str(script), "sleeps"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        child = int(program.stdout.readline())
        program.send_signal(sent)
        assert are_gone([child], within_s=10)
        program.communicate(timeout=10)
