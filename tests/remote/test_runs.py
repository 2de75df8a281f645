"""Runs on a control plane, started and looked at."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flyteidl2.common import phase_pb2
from flyteidl2.common.identifier_pb2 import ActionIdentifier
from flyteidl2.common.list_pb2 import Filter
from flyteidl2.core.types_pb2 import LiteralType, SimpleType
from flyteidl2.task.common_pb2 import Outputs
from flyteidl2.workflow.run_definition_pb2 import ACTION_TYPE_CONDITION, ActionDetails, ErrorInfo

import flyte
from conformance.peer import Peer
from flyte.errors import (
    ActionNotFoundError,
    DataNotFoundError,
    LogsNotYetAvailableError,
    MaxRuntimeExceededError,
    OOMError,
    RunAbortedError,
    RunAlreadyExistsError,
    RunNotFoundError,
    RuntimeSystemError,
    RuntimeUserError,
)
from flyte.models import ActionPhase
from flyte.remote import Action, ActionInputs, ActionOutputs, Condition, Run, RunDetails, TimeFilter
from tests.remote.programs import double, nothing, two


def succeed(peer: Peer, outputs: Outputs) -> None:
    """Each new run has succeeded with these outputs."""
    peer.on_run = lambda name: peer.settle(name, outputs=outputs)


def started(peer: Peer, **inputs: Any) -> Run:
    """A run of `double` that goes on."""
    run = flyte.run(double, **inputs or {"x": 3})
    assert isinstance(run, Run)
    return run


def test_a_task_runs_on_the_control_plane_when_one_is_configured(peer: Peer) -> None:
    succeed(peer, double.codec.encode_outputs(6))
    run = started(peer)
    assert run.outputs().o0 == 6
    assert run.outputs().named_outputs == {"o0": 6}
    assert run.inputs() == {"x": 3, "y": "a"}
    assert run.phase is ActionPhase.SUCCEEDED
    assert run.done()
    assert run.url == f"http://{peer.endpoint}/v2/domain/development/project/digits/runs/{run.name}"
    assert run.to_dict()["action"]["id"]["run"]["name"] == run.name


async def test_the_awaitable_form_gives_the_same(peer: Peer) -> None:
    succeed(peer, two.codec.encode_outputs((1, "1")))
    run: Any = await flyte.run.aio(two, x=1)
    await run.wait.aio(quiet=True)
    assert tuple(await run.outputs.aio()) == (1, "1")


def test_a_task_without_outputs_has_the_one_output_none(peer: Peer) -> None:
    succeed(peer, Outputs())
    assert flyte.run(nothing).outputs() == (None,)


def test_outputs_wait_until_the_run_is_over(peer: Peer) -> None:
    run = started(peer)
    assert run.phase is ActionPhase.QUEUED
    threading.Timer(0.2, lambda: peer.settle(run.name, outputs=double.codec.encode_outputs(6))).start()
    assert run.outputs().o0 == 6


def test_wait_for_running_returns_when_it_runs(peer: Peer) -> None:
    run = started(peer)
    threading.Timer(0.1, lambda: peer.settle(run.name, phase_pb2.ACTION_PHASE_RUNNING)).start()
    run.wait(quiet=True, wait_for="running")
    assert run.phase is ActionPhase.RUNNING


async def test_a_watch_sees_each_phase_until_the_last(peer: Peer) -> None:
    run: Any = await flyte.run.aio(double, x=3)
    seen = []
    async for details in run.watch():
        seen.append(details.phase)
        if details.phase is ActionPhase.QUEUED:
            peer.settle(run.name, phase_pb2.ACTION_PHASE_RUNNING)
        elif details.phase is ActionPhase.RUNNING:
            peer.settle(run.name, outputs=double.codec.encode_outputs(6))
    assert seen == [ActionPhase.QUEUED, ActionPhase.RUNNING, ActionPhase.SUCCEEDED]


@pytest.mark.parametrize(
    ("phase", "info", "error"),
    [
        (phase_pb2.ACTION_PHASE_FAILED, ErrorInfo(code="ValueError", kind=1, message="no"), RuntimeUserError),
        (phase_pb2.ACTION_PHASE_FAILED, ErrorInfo(code="OOMKilled", kind=1, message="no"), OOMError),
        (phase_pb2.ACTION_PHASE_FAILED, ErrorInfo(code="Lost", kind=2, message="no"), RuntimeSystemError),
        (phase_pb2.ACTION_PHASE_TIMED_OUT, ErrorInfo(message="no"), MaxRuntimeExceededError),
        (phase_pb2.ACTION_PHASE_ABORTED, None, RunAbortedError),
    ],
)
def test_a_run_that_did_not_succeed_raises_what_a_calling_task_would_see(
    peer: Peer, phase: int, info: ErrorInfo | None, error: type[Exception]
) -> None:
    peer.on_run = lambda name: peer.settle(name, phase, error=info)
    run = started(peer)
    run.wait(quiet=True)
    with pytest.raises(error):
        run.raise_for_status()
    with pytest.raises(error):
        run.outputs()


def test_the_traceback_of_a_failure_is_kept_apart_from_its_message(peer: Peer) -> None:
    message = 'no\n\nTraceback (most recent call last):\n  File "x.py", line 1\nValueError: no'
    info = ErrorInfo(code="ValueError", kind=ErrorInfo.KIND_USER, message=message)
    peer.on_run = lambda name: peer.settle(name, phase_pb2.ACTION_PHASE_FAILED, error=info)
    with pytest.raises(RuntimeUserError, match="^no$") as caught:
        started(peer).outputs()
    assert caught.value.code == "ValueError"
    assert "x.py" in str(caught.value.remote_traceback)


def test_a_name_that_is_taken_is_refused(peer: Peer) -> None:
    flyte.with_runcontext(name="mine").run(double, x=1)
    with pytest.raises(RunAlreadyExistsError, match="mine"):
        flyte.with_runcontext(name="mine").run(double, x=1)


def test_mistakes_in_inputs_are_told_before_anything_is_created(peer: Peer) -> None:
    with pytest.raises(TypeError, match="x"):
        flyte.run(double, x="three")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="x"):
        flyte.run(double)  # type: ignore[call-arg]
    assert peer.requests("UploadInputs", "CreateRun") == []


def test_a_run_that_is_not_there_is_named(peer: Peer) -> None:
    with pytest.raises(RunNotFoundError, match="nowhere"):
        Run.get("nowhere")
    run = started(peer)
    with pytest.raises(ActionNotFoundError, match="a7"):
        Action.get(run_name=run.name, name="a7")


def test_an_action_is_found_by_the_address_of_its_page(peer: Peer) -> None:
    run = started(peer)
    assert Action.get(run.url).name == "a0"
    assert Action.get(f"{run.name}/a0").run_name == run.name
    with pytest.raises(ValueError, match="neither"):
        Action.get("http://elsewhere/")


def test_abort_carries_its_reason(peer: Peer) -> None:
    run = started(peer)
    run.abort("enough")
    run.wait(quiet=True)
    with pytest.raises(RunAbortedError, match="enough"):
        run.raise_for_status()
    Action.get(run_name=run.name).abort("too")
    assert [each.reason for each in peer.requests("AbortRun", "AbortAction")] == ["enough", "too"]


def test_listings_ask_for_what_is_wanted_page_by_page(peer: Peer) -> None:
    succeed(peer, double.codec.encode_outputs(6))
    names = {flyte.with_runcontext(labels={"team": "a"}).run(double, x=x).name for x in range(5)}
    found = list(
        Run.listall(
            limit=-1,
            in_phase=("succeeded", ActionPhase.FAILED),
            task_name="digits.double",
            sort_by=("created_at", "asc"),
            created_at=TimeFilter(after=datetime(2026, 1, 1, tzinfo=UTC)),
            with_labels={"team": "a"},
            with_label_keys=["team"],
        )
    )
    assert {run.name for run in found} == names
    request = peer.requests("ListRuns")[0].request
    assert [(each.field, each.function, list(each.values)) for each in request.filters] == [
        ("phase", Filter.VALUE_IN, ["5", "6"]),
        ("task_name", Filter.EQUAL, ["digits.double"]),
        ("created_at", Filter.GREATER_THAN_OR_EQUAL, ["2026-01-01T00:00:00+00:00"]),
        ("labels.team", Filter.EQUAL, ["a"]),
        ("labels.team", Filter.EXISTS, []),
    ]
    assert len(list(Run.listall(limit=3))) == 3
    assert [each.name for each in Action.listall(found[0].name)] == ["a0"]
    with pytest.raises(ValueError, match="is no phase"):
        list(Run.listall(in_phase=("done",)))


def test_a_listing_of_many_pages_is_whole(peer: Peer) -> None:
    for number in range(230):
        name = f"a{number}"
        if number == 0:
            run = started(peer)
        else:
            action_id = ActionIdentifier(run=run.pb2.action.id.run, name=name)
            peer.add_action(run.name, ActionDetails(id=action_id))
    assert len(list(Action.listall(run.name))) == 230
    assert len(peer.requests("ListActions")) == 3


def test_the_first_failure_of_a_run_is_found(peer: Peer) -> None:
    run = started(peer)
    failed = ActionDetails(id=ActionIdentifier(run=run.pb2.action.id.run, name="child"))
    failed.status.phase = phase_pb2.ACTION_PHASE_FAILED
    failed.status.end_time.FromSeconds(1)
    peer.add_action(run.name, failed)
    first = run.first_failure()
    assert first is not None
    assert [each.values for each in peer.requests("ListActions")[0].request.filters] == [["6", "8"]]


def test_logs_come_line_by_line(peer: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    succeed(peer, double.codec.encode_outputs(6))
    run = started(peer)
    peer.runs[run.name].logs["a0"] = ["one", "two", "three"]
    assert list(run.get_logs()) == ["one", "two", "three"]
    assert next(iter(run.get_logs(show_ts=True))) == "2023-11-14T22:13:20.000Z one"
    run.show_logs(max_lines=2)
    assert capsys.readouterr().out == "two\nthree\n"


def test_logs_go_on_where_the_connection_broke(peer: Peer) -> None:
    succeed(peer, double.codec.encode_outputs(6))
    run = started(peer)
    peer.runs[run.name].logs["a0"] = ["one", "two"]
    peer.cuts["TailLogs"] = 1
    assert list(run.get_logs()) == ["one", "two"]
    assert len(peer.requests("TailLogs")) == 2


def test_a_run_that_never_started_has_no_log(peer: Peer) -> None:
    run = started(peer)
    run.abort()
    details = peer.runs[run.name].actions["a0"]
    details.ClearField("attempts")
    details.status.attempts = 0
    with pytest.raises(LogsNotYetAvailableError, match="never started"):
        list(run.get_logs())


def test_a_report_is_downloaded_by_its_link(peer: Peer) -> None:
    succeed(peer, double.codec.encode_outputs(6))
    run = started(peer)
    with pytest.raises(DataNotFoundError, match="has no report"):
        run.get_report()
    (peer.folder / "report.html").write_text("<p>hi</p>")
    assert run.get_report() == "<p>hi</p>"


def test_the_code_of_a_run_comes_back(peer: Peer, tmp_path: Path) -> None:
    run = started(peer)
    folder = run.download_code(tmp_path / "code")
    assert (folder / "programs.py").read_bytes() == (Path(__file__).parent / "programs.py").read_bytes()


def test_outputs_of_a_run_whose_task_is_not_here_have_guessed_types(peer: Peer) -> None:
    succeed(peer, two.codec.encode_outputs((1, "1")))
    name = flyte.run(two, x=1).name
    run = Run.get(name)
    assert run.outputs() == (1, "1")
    assert run.typed_outputs({"o1": str}) == {"o1": "1"}
    assert run.typed_outputs({"o1": Path}, {Path: Path}) == {"o1": Path("1")}
    with pytest.raises(ValueError, match="o9"):
        run.typed_outputs({"o9": str})
    details = run.details()
    assert isinstance(details, RunDetails)
    assert details.task_name == "digits.two"


def test_what_is_read_pickles_and_prints_plainly() -> None:
    outputs = ActionOutputs(Outputs(), (1, "s"))
    assert repr(outputs) == 'ActionOutputs(o0=1, o1="s")'
    assert ActionInputs(None, {"x": 1}) == {"x": 1}


def test_a_condition_is_answered_with_a_value_of_its_type(peer: Peer) -> None:
    run = started(peer)
    asked = ActionDetails(id=ActionIdentifier(run=run.pb2.action.id.run, name="cond-1"))
    asked.metadata.parent = "a0"
    asked.metadata.action_type = ACTION_TYPE_CONDITION
    asked.metadata.condition.name = "approve"
    asked.metadata.condition.type.CopyFrom(LiteralType(simple=SimpleType.FLOAT))
    asked.status.phase = phase_pb2.ACTION_PHASE_PAUSED
    peer.add_action(run.name, asked)
    condition = Condition.get("approve", run.name)
    assert condition is not None
    assert condition.expected_type is float
    with pytest.raises(TypeError, match="float"):
        condition.signal("yes")
    condition.signal(3)
    request = peer.requests("SignalEvent")[0]
    assert (request.parent_action_name, request.payload.float_value) == ("a0", 3.0)
    assert Condition.get("other", run.name) is None


async def test_cancelling_a_wait_ends_it_at_once(peer: Peer) -> None:
    run: Any = await flyte.run.aio(double, x=3)
    waiting = asyncio.ensure_future(run.wait.aio(quiet=True))
    await asyncio.sleep(0.1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(waiting, 2)
