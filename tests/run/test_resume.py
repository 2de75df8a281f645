from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import flyte
from flyte._store.reader import StoreReader
from flyte.errors import RunNotFoundError, RuntimeUserError
from flyte.models import ActionPhase

env = flyte.TaskEnvironment(name="resumable")
CALLS: list[object] = []
BROKEN = True


@pytest.fixture(autouse=True)
def broken_again() -> None:
    global BROKEN
    BROKEN = True
    CALLS.clear()


def repair() -> None:
    global BROKEN
    BROKEN = False
    CALLS.clear()


@env.task
async def step(x: int) -> int:
    CALLS.append(x)
    return x * 10


@env.task
def sync_step(x: int) -> int:
    CALLS.append(x)
    return x * 10


@env.task
async def fragile(x: int) -> int:
    CALLS.append("fragile")
    if BROKEN:
        raise ConnectionError("broken")
    return x


@env.task
async def nested(x: int) -> int:
    return sum(await asyncio.gather(step(x), sync_step.aio(x + 1), fragile(x)))


@env.task
async def pipeline(x: int) -> int:
    first = await step(x)
    return first + await nested(x + 1)


def failed_run(name: str = "r") -> None:
    with pytest.raises(RuntimeUserError, match="broken"):
        flyte.with_runcontext(name=name, custom_context={"k": "v"}).run(pipeline, 1)


def test_a_failed_run_goes_on_and_executes_only_what_has_no_success() -> None:
    failed_run()
    assert Counter(map(str, CALLS)) == Counter(["1", "2", "3", "fragile"])
    repair()
    run = flyte.resume("r")
    assert run.name == "r"
    assert run.outputs().o0 == 10 + 20 + 30 + 2
    assert CALLS == ["fragile"]
    actions = {action.task_name: action for action in run.details().actions}
    assert {action.phase for action in actions.values()} == {ActionPhase.SUCCEEDED}
    assert [actions[f"resumable.{name}"].attempt_no for name in ("pipeline", "nested", "fragile", "sync_step")] == [
        2,
        2,
        2,
        1,
    ]
    assert run.details().phase is ActionPhase.SUCCEEDED


def test_a_run_may_fail_again_and_go_on_again() -> None:
    failed_run()
    with pytest.raises(RuntimeUserError, match="broken"):
        flyte.resume("r")
    repair()
    assert flyte.resume("r").outputs().o0 == 62


async def test_a_run_can_be_resumed_from_async_code() -> None:
    with pytest.raises(RuntimeUserError):
        await flyte.with_runcontext(name="r").run.aio(pipeline, 1)
    repair()
    assert (await flyte.resume.aio("r")).outputs().o0 == 62


def test_a_run_that_has_succeeded_is_returned_as_it_is() -> None:
    repair()
    flyte.with_runcontext(name="r").run(pipeline, 1)
    CALLS.clear()
    run = flyte.resume("r")
    assert run.outputs().o0 == 62
    assert dict(run.inputs()) == {"x": 1}
    assert CALLS == []


def test_a_run_that_is_not_there_is_named() -> None:
    with pytest.raises(RunNotFoundError, match="'nothing'"):
        flyte.resume("nothing")


def test_the_settings_of_the_run_hold_again() -> None:
    seen: list[object] = []

    @env.task
    async def looks() -> int:
        ctx = flyte.ctx()
        seen.append((ctx.custom_context, ctx.raw_data_path.path, ctx.run_start_time, ctx.action.project))
        return await fragile(1)

    with pytest.raises(RuntimeUserError):
        flyte.with_runcontext(name="r", custom_context={"k": "v"}, project="p").run(looks)
    repair()
    flyte.resume("r")
    assert len(seen) == 2
    assert seen[0] == seen[1]


def test_changed_code_is_named_and_goes_on_only_when_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    failed_run()
    repair()
    # What another body would have given it.
    monkeypatch.setitem(step.__dict__, "code_version", "another")
    with pytest.raises(RuntimeUserError, match=r"resumable\.step changed.*--allow-code-change") as caught:
        flyte.resume("r")
    assert caught.value.code == "CodeChanged"
    assert CALLS == []
    assert flyte.resume("r", allow_code_change=True).outputs().o0 == 62


WIDTH = [1, 2]


@env.task
async def wanders() -> list[int]:
    return [*await asyncio.gather(*(step(x) for x in WIDTH)), await fragile(0)]


@pytest.fixture
def wandered() -> None:
    WIDTH[:] = [1, 2]
    with pytest.raises(RuntimeUserError):
        flyte.with_runcontext(name="r").run(wanders)
    repair()
    WIDTH[:] = [1, 3]


@pytest.mark.usefixtures("wandered")
def test_other_calls_than_before_are_reported_with_both_names_and_inputs() -> None:
    with pytest.warns(UserWarning, match=r"New: resumable.step\(x=3\) as .*not made again: resumable.step\(x=2\) as"):
        flyte.resume("r")


@pytest.mark.usefixtures("wandered")
def test_other_calls_than_before_are_an_error_when_that_is_wanted() -> None:
    with pytest.raises(RuntimeUserError, match="made other calls") as caught:
        flyte.resume("r", on_divergence="error")
    assert caught.value.code == "NonDeterministic"


def test_large_inputs_and_outputs_of_the_record_are_used_again() -> None:
    @env.task
    async def large(text: str) -> str:
        CALLS.append("large")
        return text

    @env.task
    async def root(text: str) -> int:
        return len(await large(text + "y")) + await fragile(0)

    with pytest.raises(RuntimeUserError, match="broken"):
        flyte.with_runcontext(name="r").run(root, "x" * 100_000)
    repair()
    assert flyte.resume("r").outputs().o0 == 100_001
    assert CALLS == ["fragile"]


PROGRAM = """
import asyncio, os, signal, sys
from pathlib import Path
import flyte

env = flyte.TaskEnvironment(name="killed")
EFFECTS = Path(sys.argv[1])

@env.task
async def effect(x: int) -> int:
    with EFFECTS.open("a") as file:
        file.write(f"{x}\\n")
    return x

@env.task
def sync_effect(x: int) -> int:
    with EFFECTS.open("a") as file:
        file.write(f"{x}\\n")
    return x

@env.task
async def root(n: int) -> int:
    total = 0
    for x in range(n):
        total += await (effect(x) if x % 2 else sync_effect.aio(x))
        if os.environ.get("KILL_AT") == str(x):
            os.kill(os.getpid(), signal.SIGKILL)
    return total

if __name__ == "__main__":
    if sys.argv[2] == "run":
        flyte.with_runcontext(name="r").run(root, 10)
    else:
        print(flyte.resume("r").outputs().o0)
"""


def program(tmp_path: Path, verb: str, **variables: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    command = [sys.executable, str(script), str(tmp_path / "effects"), verb]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **variables}, timeout=60)


@pytest.mark.parametrize("kill_at", [0, 4, 9])
def test_a_killed_run_is_resumed_and_no_recorded_effect_happens_twice(tmp_path: Path, kill_at: int) -> None:
    assert program(tmp_path, "run", KILL_AT=str(kill_at)).returncode == -9
    effects = (tmp_path / "effects").read_text().split()
    assert effects == [str(x) for x in range(kill_at + 1)]
    resumed = program(tmp_path, "resume")
    assert (resumed.stdout, resumed.stderr, resumed.returncode) == ("45\n", "", 0)
    assert (tmp_path / "effects").read_text().split() == [str(x) for x in range(10)]


def test_a_run_whose_process_lives_cannot_be_taken_over(flyte_home: Path) -> None:
    tried: list[BaseException] = []

    @env.task
    async def outer() -> int:
        try:
            await flyte.resume.aio("r")
        except RuntimeUserError as error:
            tried.append(error)
        return 1

    flyte.with_runcontext(name="r").run(outer)
    assert isinstance(tried[0], RuntimeUserError)
    assert tried[0].code == "RunIsOwned"
    assert str(os.getpid()) in str(tried[0])


def test_of_two_who_resume_one_run_one_gets_it(flyte_home: Path) -> None:
    from flyte._store.owners import this_process
    from flyte._store.writer import Writer, claim_run

    failed_run()
    with StoreReader(flyte_home) as reader:
        seen = reader.load_run("r")
    writer = Writer(flyte_home)
    assert writer.write(claim_run(seen, this_process(), 1)) is True
    assert writer.write(claim_run(seen, this_process(), 1)) is False
    writer.close()


def test_who_no_longer_owns_a_run_cannot_record_in_it(flyte_home: Path) -> None:
    from flyte.errors import StoreError

    @env.task
    async def robbed() -> int:
        from flyte._run.engine import engine

        engine().writer().write(lambda c: c.execute("UPDATE run SET owner_pid = owner_pid + 1"))
        return await step(1)

    with pytest.raises(StoreError, match="no longer owns"):
        flyte.with_runcontext(name="r").run(robbed)
