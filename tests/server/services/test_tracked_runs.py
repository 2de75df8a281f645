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


async def test_other_actions_are_refused_one_by_one(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await make(server)
        reports = [update(ActionPhase.RUNNING, "child"), update(ActionPhase.SUCCEEDED)]
        request = m.ReportTrackedActionsRequest(run_id=run_id(), updates=reports)
        response = await (await server.tracked()).report_actions(request)
        assert [each.code for each in response.statuses] == [12, 0]
        assert "'child'" in response.statuses[0].message


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
