"""New runs with the inputs, and the results, of earlier ones."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import flyte
from flyte._run import LocalRun
from flyte._store.reader import StoreReader
from flyte.errors import RunNotFoundError, RuntimeUserError
from flyte.models import ActionPhase

env = flyte.TaskEnvironment(name="again")
CALLS: list[str] = []
LARGE = "x" * 100_000
IS_BROKEN = False


@pytest.fixture(autouse=True)
def whole_again() -> None:
    global IS_BROKEN
    IS_BROKEN = False
    CALLS.clear()


def calls() -> list[str]:
    made = sorted(CALLS)
    CALLS.clear()
    return made


@env.task
async def leaf(x: int) -> int:
    CALLS.append(f"leaf {x}")
    return x


@env.task
def large(x: int) -> str:
    CALLS.append(f"large {x}")
    return LARGE


@flyte.trace
async def traced(x: int) -> int:
    CALLS.append(f"traced {x}")
    return x


@env.task
async def middle(x: int) -> int:
    CALLS.append(f"middle {x}")
    return await traced(x) + await leaf(x + 1)


@env.task
async def fragile(x: int) -> int:
    CALLS.append(f"fragile {x}")
    if IS_BROKEN:
        raise ConnectionError("broken")
    return x


@env.task
async def root(x: int, y: int = 7) -> int:
    """Its children depend on x alone, but for the fragile one."""
    parts = await asyncio.gather(middle(x), large.aio(x), return_exceptions=False)
    return parts[0] + len(parts[1]) + await fragile(y) + int(flyte.ctx().custom_context.get("more", 0))


ALL = ["fragile 7", "large 1", "leaf 2", "middle 1", "traced 1"]


def first(**settings: Any) -> LocalRun:
    run = flyte.with_runcontext(name="first", **settings).run(root, 1)
    assert calls() == ALL
    return run


def failed_first() -> None:
    global IS_BROKEN
    IS_BROKEN = True
    with pytest.raises(RuntimeUserError, match="broken"):
        flyte.with_runcontext(name="first").run(root, 1)
    IS_BROKEN = False
    assert calls() == ALL


def phases(run: LocalRun) -> dict[str, str]:
    return {action.task_name.removeprefix("again."): action.phase.value for action in run.details().actions}


def name_of(run_name: str, task_name: str, home: Path) -> str:
    with StoreReader(home) as reader:
        actions = reader.list_actions(reader.load_run(run_name))
        return next(action.name for action in actions if action.task_name.removeprefix("again.") == task_name)


def test_a_rerun_is_a_new_run_with_the_recorded_inputs_and_context() -> None:
    first(custom_context={"more": "1000000"})
    run = flyte.with_runcontext(name="second").rerun("first")
    assert (run.name, run.outputs().o0) == ("second", 1_100_010)
    assert calls() == ALL


def test_inputs_that_are_given_replace_the_recorded_ones() -> None:
    first()
    run = flyte.rerun("first", y=100)
    assert dict(run.inputs()) == {"x": 1, "y": 100}
    assert "fragile 100" in calls()


@pytest.mark.parametrize(("inputs", "error"), [({"z": 1}, ValueError), ({"y": "text"}, TypeError)])
def test_inputs_that_do_not_fit_are_refused_and_nothing_is_recorded(
    inputs: dict[str, Any], error: type[Exception], flyte_home: Path
) -> None:
    first()
    with pytest.raises(error):
        flyte.rerun("first", **inputs)
    with StoreReader(flyte_home) as reader:
        assert [run.name for run in reader.list_runs()] == ["first"]


async def test_a_run_can_be_rerun_from_async_code() -> None:
    await flyte.with_runcontext(name="first").run.aio(root, 1)
    assert (await flyte.rerun.aio("first", recover=True)).outputs().o0 == 100_010


def test_recovery_takes_over_what_succeeded_and_runs_the_rest() -> None:
    failed_first()
    run = flyte.rerun("first", recover=True)
    assert calls() == ["fragile 7"]
    assert run.outputs().o0 == 100_010
    assert phases(run) == {
        "root": "succeeded",
        "middle": "recovered",
        "large": "recovered",
        "fragile": "succeeded",
    }


def test_a_recovered_action_can_be_recovered_again() -> None:
    failed_first()
    flyte.with_runcontext(name="second").rerun("first", recover=True)
    calls()
    assert flyte.rerun("second", recover=True).outputs().o0 == 100_010
    assert calls() == []


def test_changed_inputs_recover_only_equal_calls() -> None:
    first()
    flyte.rerun("first", recover=True, y=8)
    assert calls() == ["fragile 8"]
    flyte.rerun("first", recover=True, x=5)
    assert calls() == ["large 5", "leaf 6", "middle 5", "traced 5"]


def test_a_forced_action_runs_again_and_so_do_those_above_it(flyte_home: Path) -> None:
    first()
    run = flyte.rerun("first", recover=True, force_rerun_actions=[name_of("first", "traced", flyte_home)])
    assert calls() == ["middle 1", "traced 1"]
    assert phases(run) == {
        "root": "succeeded",
        "middle": "succeeded",
        "traced": "succeeded",
        "leaf": "recovered",
        "large": "recovered",
        "fragile": "recovered",
    }


def test_a_task_whose_code_has_changed_is_not_recovered(monkeypatch: pytest.MonkeyPatch) -> None:
    first()
    monkeypatch.setitem(leaf.__dict__, "code_version", "another")
    flyte.rerun("first", recover=True)
    assert calls() == ["leaf 2", "middle 1"]


def test_one_action_alone_is_the_root_of_a_new_run(flyte_home: Path) -> None:
    first()
    run = flyte.rerun("first", name_of("first", "middle", flyte_home))
    assert run.outputs().o0 == 3
    assert run.details().task_name == "again.middle"
    assert calls() == ["leaf 2", "middle 1", "traced 1"]


def test_a_recovered_run_that_fails_is_resumed_and_still_recovers(flyte_home: Path) -> None:
    global IS_BROKEN
    first()
    forced = [name_of("first", "fragile", flyte_home)]
    IS_BROKEN = True
    with pytest.raises(RuntimeUserError, match="broken"):
        flyte.with_runcontext(name="second").rerun("first", recover=True, force_rerun_actions=forced)
    IS_BROKEN = False
    calls()
    assert flyte.resume("second").outputs().o0 == 100_010
    assert calls() == ["fragile 7"]


def test_large_outputs_of_a_recovered_action_are_its_own(flyte_home: Path) -> None:
    first()
    flyte.with_runcontext(name="second").rerun("first", recover=True)
    with StoreReader(flyte_home) as reader:
        run = reader.load_run("second")
        action = reader.load_action(run, name_of("second", "large", flyte_home))
        assert action.phase is ActionPhase.RECOVERED
        assert action.outputs_file is not None
        assert action.outputs_file.startswith("runs/second/")
        assert LARGE.encode() in (reader.load_outputs(action) or b"")


def test_outputs_that_are_gone_are_named_or_computed_again(flyte_home: Path) -> None:
    first()
    (lost,) = (flyte_home / "runs" / "first").glob("*/outputs*.pb")
    lost.unlink()
    with pytest.raises(RuntimeUserError, match=lost.parent.name) as caught:
        flyte.rerun("first", recover=True)
    assert caught.value.code == "OutputsMissing"
    flyte.rerun("first", recover=True, allow_missing_source_outputs=True)
    assert calls() == ["large 1"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"run_name": "frist"}, RunNotFoundError, "Did you mean first?"),
        ({"run_name": "first", "action_name": "zz"}, RunNotFoundError, "no action 'zz'"),
        (
            {"run_name": "first", "recover": True, "force_rerun_actions": ["a00"]},
            RuntimeUserError,
            "Did you mean 'a0'?",
        ),
        ({"run_name": "first", "recover": True, "action_name": "x"}, ValueError, "exclude each other"),
        ({"run_name": "first", "force_rerun_actions": ["a0"]}, ValueError, "with recover only"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    first()
    with pytest.raises(error, match=message):
        flyte.rerun(**arguments)


def test_a_trace_cannot_run_alone(flyte_home: Path) -> None:
    first()
    with pytest.raises(RuntimeUserError, match="no task but a trace"):
        flyte.rerun("first", name_of("first", "traced", flyte_home))
