"""Runs that go on in the process of whoever reports them."""

from __future__ import annotations

from pathlib import Path

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.workflow import run_service_pb2 as runs
from flyteidl2.workflow import tracked_run_service_pb2 as m
from flyteidl2.workflow.run_definition_pb2 import ActionEvent, ErrorInfo

from flyte.models import ActionPhase
from tests.server.scheduler.scripted import spec
from tests.server.services.serving import Served, action_id, run_id, served


async def make(server: Served) -> None:
    """A tracked run is there."""
    request = m.CreateTrackedRunRequest(run_id=run_id(), task_spec=spec("env.root"), labels={"team": "red"})
    await (await server.tracked()).create_run(request)


def update(phase: ActionPhase, name: str = "a0", **fields: object) -> m.TrackedActionUpdate:
    """A report of an action."""
    event = ActionEvent(id=action_id(name), attempt=1, phase=phase.to_protobuf_value(), **fields)
    return m.TrackedActionUpdate(event=event)


async def test_reported_root_ends_its_run(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await make(server)
        client = await server.tracked()
        assert server.executor.attempts == []
        reports = [update(ActionPhase.RUNNING), update(ActionPhase.SUCCEEDED)]
        response = await client.report_actions(m.ReportTrackedActionsRequest(run_id=run_id(), updates=reports))
        assert [each.code for each in response.statuses] == [0, 0]
        details = (await client.get_run_details(runs.GetRunDetailsRequest(run_id=run_id()))).details
        assert details.action.status.phase == ActionPhase.SUCCEEDED.to_protobuf_value()
        listed = (await client.list_runs(runs.ListRunsRequest())).runs
        assert [dict(each.labels) for each in listed] == [{"team": "red"}]


async def test_reported_failure_is_told(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await make(server)
        client = await server.tracked()
        failed = update(ActionPhase.FAILED, error_info=ErrorInfo(message="it broke", code="ValueError"))
        await client.report_actions(m.ReportTrackedActionsRequest(run_id=run_id(), updates=[failed]))
        details = (await client.get_run_details(runs.GetRunDetailsRequest(run_id=run_id()))).details
        assert (details.action.error_info.code, details.action.error_info.message) == ("ValueError", "it broke")


def child(phase: ActionPhase, attempt: int = 1, **fields: object) -> m.TrackedActionUpdate:
    """A report of an action below the root; its first one says what it is."""
    report = update(phase, "child", **fields)
    report.event.attempt = attempt
    report.parent_name, report.group = "a0", "g"
    report.task.spec.CopyFrom(spec("env.child"))
    return report


async def reported(server: Served, *updates: m.TrackedActionUpdate) -> list[int]:
    """The code of the answer to each."""
    request = m.ReportTrackedActionsRequest(run_id=run_id(), updates=updates)
    return [each.code for each in (await (await server.tracked()).report_actions(request)).statuses]


async def test_reported_child_is_there_and_nothing_runs_here(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await make(server)
        assert await reported(server, child(ActionPhase.RUNNING)) == [0]
        assert server.plane.stored()[1]["child"].phase is ActionPhase.RUNNING
        assert await reported(server, child(ActionPhase.SUCCEEDED), update(ActionPhase.SUCCEEDED)) == [0, 0]
        listed = (await (await server.tracked()).list_actions(runs.ListActionsRequest(run_id=run_id()))).actions
        assert [(each.id.name, each.metadata.parent, each.metadata.group) for each in listed] == [
            ("a0", "", ""),
            ("child", "a0", "g"),
        ]
        assert {each.status.phase for each in listed} == {ActionPhase.SUCCEEDED.to_protobuf_value()}
        assert server.executor.attempts == []


async def test_reported_child_that_failed_goes_on_with_its_next_attempt(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await make(server)
        failed = child(ActionPhase.FAILED, error_info=ErrorInfo(message="once"))
        await reported(server, child(ActionPhase.RUNNING), failed, child(ActionPhase.RUNNING, 2))
        # What is told late, or twice, changes nothing.
        await reported(server, failed, child(ActionPhase.RUNNING, 1))
        assert await reported(server, child(ActionPhase.SUCCEEDED, 2)) == [0]
        action = server.plane.stored()[1]["child"]
        assert (action.phase, action.attempt_no) == (ActionPhase.SUCCEEDED, 2)


async def test_child_that_is_open_when_the_root_ends_is_aborted(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await make(server)
        reports = [child(ActionPhase.RUNNING), update(ActionPhase.SUCCEEDED), child(ActionPhase.SUCCEEDED)]
        assert await reported(server, *reports) == [0, 0, 0]
        assert server.plane.stored()[1]["child"].phase is ActionPhase.ABORTED


async def test_reported_child_of_a_restarted_server_waits_for_its_next_report(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await make(server)
        await reported(server, child(ActionPhase.RUNNING))
    async with served(tmp_path) as server:
        assert await reported(server, child(ActionPhase.SUCCEEDED), update(ActionPhase.SUCCEEDED)) == [0, 0]
        action = server.plane.stored()[1]["child"]
        assert (action.phase, action.attempt_no) == (ActionPhase.SUCCEEDED, 1)
        assert server.executor.attempts == []


async def test_reports_of_actions_that_cannot_be_are_refused_one_by_one(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await make(server)
        orphan, nothing = child(ActionPhase.RUNNING), child(ActionPhase.RUNNING)
        orphan.parent_name = "nobody"
        nothing.ClearField("task")
        assert await reported(server, orphan, nothing, update(ActionPhase.SUCCEEDED)) == [5, 3, 0]


async def test_run_that_the_server_runs_takes_no_reports(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.plane.run()
        request = m.ReportTrackedActionsRequest(run_id=run_id(), updates=[update(ActionPhase.FAILED)])
        response = await (await server.tracked()).report_actions(request)
        assert [each.code for each in response.statuses] == [9]


async def test_reports_of_no_run_and_no_reports_are_refused(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        client = await server.tracked()
        request = m.ReportTrackedActionsRequest(run_id=run_id(), updates=[update(ActionPhase.RUNNING)])
        with pytest.raises(ConnectError) as unknown:
            await client.report_actions(request)
        with pytest.raises(ConnectError) as empty:
            await client.report_actions(m.ReportTrackedActionsRequest(run_id=run_id()))
        assert (unknown.value.code, empty.value.code) == (Code.NOT_FOUND, Code.INVALID_ARGUMENT)
