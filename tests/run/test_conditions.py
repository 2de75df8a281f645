from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import flyte
from flyte._store.conditions import StoredCondition
from flyte._store.reader import StoreReader
from flyte._store.records import ActionKind
from flyte.cli._root import flyte as command
from flyte.errors import RuntimeUserError
from flyte.models import ActionPhase

env = flyte.TaskEnvironment(name="asking")
AGAIN = flyte.RetryStrategy(count=1, backoff=flyte.Backoff(base=timedelta(0)))
ASK = "a0-cond-ask-1"


def cli(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), catch_exceptions=False)


def answer(text: str, action_name: str = ASK) -> None:
    done = cli("signal", "condition", "r", action_name, text)
    assert done.exit_code == 0, done.stderr


def run_named(task: Any, *args: Any) -> Any:
    return flyte.with_runcontext(name="r").run(task, *args)


def phases(run: Any) -> list[ActionPhase]:
    return [action.phase for action in run.details().actions if action.kind is ActionKind.CONDITION]


ANSWERS = [(bool, "yes", True), (bool, "False", False), (int, "-3", -3), (float, "2", 2.0), (str, "a b", "a b")]


@pytest.mark.parametrize(("data_type", "text", "value"), ANSWERS)
def test_an_answer_has_the_type_that_was_asked_for(data_type: Any, text: str, value: object) -> None:
    got: list[object] = []

    @env.task
    async def task() -> None:
        condition = await flyte.new_condition.aio("ask", data_type=data_type)
        await asyncio.to_thread(answer, text)
        got.append(await condition.wait.aio())

    run = run_named(task)
    assert got == [value]
    assert type(got[0]) is data_type
    assert phases(run) == [ActionPhase.SUCCEEDED]


def test_a_sync_task_asks_too() -> None:
    @env.task
    def task() -> bool:
        condition = flyte.new_condition("ask")
        answer("true")
        return condition.wait()

    assert run_named(task).outputs().o0 is True


def test_every_wait_gives_the_same_answer() -> None:
    @env.task
    async def task() -> list[int]:
        condition = await flyte.new_condition.aio("ask", data_type=int)
        await asyncio.to_thread(answer, "7")
        first = await condition.wait.aio()
        return [first, *await asyncio.gather(condition.wait.aio(), condition.wait.aio())]

    assert run_named(task).outputs().o0 == [7, 7, 7]


def test_giving_up_a_wait_leaves_the_question_open() -> None:
    @env.task
    async def task() -> bool:
        condition = await flyte.new_condition.aio("ask")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await condition.wait.aio()
        await asyncio.to_thread(answer, "true")
        return await condition.wait.aio()

    assert run_named(task).outputs().o0 is True


def test_conditions_of_one_name_are_numbered() -> None:
    @env.task
    async def task() -> list[bool]:
        conditions = [await flyte.new_condition.aio("ask") for _ in range(2)]
        await asyncio.to_thread(answer, "true")
        await asyncio.to_thread(answer, "false", "a0-cond-ask-2")
        return [await each.wait.aio() for each in conditions]

    assert run_named(task).outputs().o0 == [True, False]


def test_how_to_answer_is_said_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    @env.task
    async def task() -> None:
        await flyte.new_condition.aio("ask", "How many?", data_type=int)

    run_named(task)
    said = capsys.readouterr().err
    assert "a whole number: How many?" in said
    assert f"flyte signal condition r {ASK} VALUE" in said


def test_nobody_in_time_is_an_error_and_recorded_so() -> None:
    @env.task
    async def task() -> str:
        condition = await flyte.new_condition.aio("ask", "Deploy?", timeout=timedelta(milliseconds=50))
        try:
            await condition.wait.aio()
        except flyte.errors.ConditionTimedoutError as error:
            return str(error)
        return ""

    run = run_named(task)
    assert "'ask' (Deploy?) within 0.05 s" in run.outputs().o0
    assert phases(run) == [ActionPhase.TIMED_OUT]
    late = cli("signal", "condition", "r", ASK, "true")
    assert (late.exit_code, "it is timed out" in late.stderr) == (2, True)


def test_an_answer_in_time_counts_although_it_was_not_seen_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flyte._store.conditions.POLL_EVERY_S", 60)

    @env.task
    async def task() -> bool:
        condition = await flyte.new_condition.aio("ask", timeout=1)
        await asyncio.sleep(0.05)
        await asyncio.to_thread(answer, "true")
        return await condition.wait.aio()

    assert run_named(task).outputs().o0 is True


def test_a_question_is_over_with_the_task_that_asked_it() -> None:
    @env.task
    async def forgets() -> None:
        await flyte.new_condition.aio("ask")

    run = run_named(forgets)
    assert phases(run) == [ActionPhase.ABORTED]
    late = cli("signal", "condition", "r", ASK, "true")
    assert (late.exit_code, "it is aborted" in late.stderr) == (2, True)


def test_a_task_that_is_tried_again_is_not_asked_again() -> None:
    @env.task(retries=AGAIN)
    async def task() -> int:
        condition = await flyte.new_condition.aio("ask", data_type=int)
        if flyte.ctx().attempt_number == 0:
            await asyncio.to_thread(answer, "5")
        got = await condition.wait.aio()
        if flyte.ctx().attempt_number == 0:
            raise ConnectionError("first attempt")
        return got

    assert run_named(task).outputs().o0 == 5


def test_a_task_that_is_tried_again_asks_again_what_timed_out() -> None:
    @env.task(retries=AGAIN)
    async def task() -> bool:
        is_first = flyte.ctx().attempt_number == 0
        condition = await flyte.new_condition.aio("ask", timeout=0.01 if is_first else 60)
        if not is_first:
            await asyncio.to_thread(answer, "true")
        return await condition.wait.aio()

    run = run_named(task)
    assert run.outputs().o0 is True
    assert [action.attempt_no for action in run.details().actions] == [2, 2]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"data_type": list}, TypeError, "bool, int, float or str"),
        ({"timeout": 0}, ValueError, "more than 0"),
        ({"timeout": timedelta(seconds=-1)}, ValueError, "more than 0"),
        ({"timeout": "1h"}, TypeError, "'1h'"),
        ({"prompt": 3}, TypeError, "prompt"),
        ({"prompt_type": "html"}, ValueError, "'html'"),
        ({"webhook": flyte.ConditionWebhook("http://localhost")}, ValueError, "needs a control plane"),
    ],
    ids=lambda each: str(each),
)
def test_an_impossible_question_is_refused(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        flyte.new_condition("ask", **arguments)


@pytest.mark.parametrize("name", ["", "a b", "-a", "a/b", "x" * 64])
def test_a_name_that_cannot_be_part_of_an_actions_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="condition name"):
        flyte.new_condition(name)


def test_outside_a_task_nobody_can_answer() -> None:
    condition = flyte.new_condition("ask")
    with pytest.raises(RuntimeError, match="outside a task"):
        condition.wait()


def test_inside_a_trace_it_is_refused_with_the_way_out() -> None:
    @flyte.trace
    async def asks() -> None:
        await flyte.new_condition.aio("ask")

    @env.task
    async def task() -> None:
        await asks()

    with pytest.raises(RuntimeUserError, match="Ask it in the task around it"):
        flyte.run(task)


def test_the_blocking_form_is_refused_in_an_async_task_with_the_way_out() -> None:
    @env.task
    async def task() -> None:
        flyte.new_condition("ask")

    with pytest.raises(RuntimeUserError, match="aio"):
        flyte.run(task)


ASKING = """
import sys, time
import flyte

env = flyte.TaskEnvironment(name="asking")

@env.task
def work() -> int:
    with open(sys.argv[2], "a") as file:
        file.write("worked\\n")
    return 40

@env.task
async def root() -> int:
    done = await work.aio()
    approval = await flyte.new_condition.aio("ask", "How many more?", data_type=int, timeout=float(sys.argv[3]))
    return done + await approval.wait.aio()

@env.task
async def twice() -> int:
    first = await flyte.new_condition.aio("ask", data_type=int)
    total = await first.wait.aio()
    second = await flyte.new_condition.aio("ask", data_type=int)
    return total + await second.wait.aio()

@env.task(timeout=120)
def in_a_process_of_its_own() -> int:
    import os
    condition = flyte.new_condition("ask", data_type=int)
    try:
        flyte.new_condition("late", timeout=0.01).wait()
    except flyte.errors.ConditionTimedoutError:
        return condition.wait() + (os.getpid() != int(os.environ["PARENT"]))
    return 0

if __name__ == "__main__":
    import os
    os.environ["PARENT"] = str(os.getpid())
    if sys.argv[1] == "resume":
        print(flyte.resume("r").outputs().o0)
    else:
        print(flyte.with_runcontext(name="r").run(globals()[sys.argv[1]]).outputs().o0)
"""


def eventually_open(home: Path, action_name: str, within_s: float = 30) -> StoredCondition:
    give_up_at = time.monotonic() + within_s
    while time.monotonic() < give_up_at:
        if (home / "store.db").exists():
            with StoreReader(home) as reader:
                for run in reader.list_runs():
                    for condition in reader.list_conditions(run):
                        if condition.action_name == action_name:
                            return condition
        time.sleep(0.01)
    raise AssertionError(f"nothing asked {action_name} within {within_s} s")


def eventually_asked_again(home: Path, action_name: str, within_s: float = 30) -> None:
    give_up_at = time.monotonic() + within_s
    while time.monotonic() < give_up_at:
        with StoreReader(home) as reader:
            if reader.load_action(reader.load_run("r"), action_name).attempt_no == 2:
                return
        time.sleep(0.01)
    raise AssertionError(f"{action_name} was not asked again within {within_s} s")


class Program:
    """A process that asks, and can be killed."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.home = home
        self._effects = folder / "effects"
        script = folder / "asking.py"
        script.write_text(ASKING)
        self._command = [sys.executable, str(script)]

    def start(self, verb: str, timeout_s: float = 600) -> subprocess.Popen[str]:
        command = [*self._command, verb, str(self._effects), str(timeout_s)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def kill_while_open(self, process: subprocess.Popen[str], action_name: str = ASK) -> StoredCondition:
        condition = eventually_open(self.home, action_name)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        return condition

    def effects(self) -> list[str]:
        return self._effects.read_text().split()


@pytest.fixture
def program(tmp_path: Path, flyte_home: Path) -> Program:
    return Program(tmp_path, flyte_home)


def outputs_of(process: subprocess.Popen[str]) -> str:
    printed, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    return printed.strip()


def test_a_killed_run_goes_on_waiting(program: Program) -> None:
    program.kill_while_open(program.start("root"))
    resumed = program.start("resume")
    eventually_asked_again(program.home, ASK)
    answer("2")
    assert outputs_of(resumed) == "42"
    assert program.effects() == ["worked"]


def test_a_task_in_a_process_of_its_own_asks_too(program: Program) -> None:
    process = program.start("in_a_process_of_its_own")
    eventually_open(program.home, ASK)
    answer("2")
    assert outputs_of(process) == "3"


def test_an_answer_to_a_run_without_a_process_is_there_when_it_is_resumed(program: Program) -> None:
    program.kill_while_open(program.start("root"))
    done = cli("signal", "condition", "r", ASK, "2")
    assert "`flyte resume r` goes on with it" in done.stdout
    assert outputs_of(program.start("resume")) == "42"
    assert program.effects() == ["worked"]


def test_an_answer_is_not_asked_for_again_by_a_resumed_run(program: Program) -> None:
    process = program.start("twice")
    eventually_open(program.home, ASK)
    answer("1")
    program.kill_while_open(process, "a0-cond-ask-2")
    resumed = program.start("resume")
    eventually_asked_again(program.home, "a0-cond-ask-2")
    answer("2", "a0-cond-ask-2")
    assert outputs_of(resumed) == "3"


def test_the_time_without_a_process_counts(program: Program) -> None:
    condition = program.kill_while_open(program.start("root", timeout_s=2))
    assert condition.expires_at is not None
    while time.time() < condition.expires_at.timestamp():
        time.sleep(0.01)
    resumed = program.start("resume", timeout_s=600)
    _, complaints = resumed.communicate(timeout=60)
    assert resumed.returncode == 1
    assert "nobody answered condition 'ask'" in complaints


def test_conditions_are_listed_and_shown(program: Program) -> None:
    program.kill_while_open(program.start("root"))
    [listed] = json.loads(cli("-of", "json", "get", "condition", "r").stdout)
    assert (listed["action"], listed["prompt"], listed["type"], listed["is_open"]) == (
        ASK,
        "How many more?",
        "int",
        True,
    )
    assert "open, the run is interrupted" in cli("get", "condition", "r").stdout
    answer("2")
    assert json.loads(cli("-of", "json", "get", "condition", "r", ASK).stdout)["answer"] == 2
    again = cli("signal", "condition", "r", ASK, "3")
    assert (again.exit_code, "it is answered with 2" in again.stderr) == (2, True)


@pytest.mark.parametrize("text", ["two", "2.5", "", str(2**63)])
def test_an_answer_of_another_type_is_refused_with_what_was_expected(program: Program, text: str) -> None:
    program.kill_while_open(program.start("root"))
    done = cli("signal", "condition", "r", ASK, text)
    assert done.exit_code == 2
    assert f"a whole number, got {text!r}" in done.stderr


def test_a_condition_that_is_not_there_is_answered_with_those_that_are(program: Program) -> None:
    program.kill_while_open(program.start("root"))
    done = cli("signal", "condition", "r", "a0-cond-asks-1", "2")
    assert (done.exit_code, ASK in done.stderr) == (2, True)
    done = cli("signal", "condition", "r", ASK)
    assert (done.exit_code, "give a whole number" in done.stderr) == (2, True)
