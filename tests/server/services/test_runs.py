"""Runs, as clients make, read, list, watch, answer and end them."""

from __future__ import annotations

from pathlib import Path

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.workflow import run_service_pb2 as m

from flyte.models import ActionPhase
from tests.server.scheduler.scripted import fails, outputs_of, spec
from tests.server.services.serving import PLACE, action_id, run_id, served


async def test_run_is_made_watched_and_read(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        runs = await server.runs()
        task = spec("env.root")
        made = await runs.create_run(m.CreateRunRequest(project_id=PLACE, task_spec=task))
        name = made.run.action.id.run.name
        assert made.run.action.id.run.org == "local"
        seen = []
        async for response in runs.watch_action_details(m.WatchActionDetailsRequest(action_id=action_id("a0", name))):
            seen.append(response.details.status.phase)
            if seen[-1] == 4:
                (await server.executor.attempt("a0")).end()
        assert seen[-1] == ActionPhase.SUCCEEDED.to_protobuf_value()
        details = (await runs.get_run_details(m.GetRunDetailsRequest(run_id=run_id(name)))).details
        assert details.action.task == task
        assert [each.phase for each in details.action.attempts] == [5]
        data = await runs.get_action_data(m.GetActionDataRequest(action_id=action_id("a0", name)))
        assert data.outputs.SerializeToString() == outputs_of(1)
