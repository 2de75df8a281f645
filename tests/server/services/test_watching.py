"""Watching runs, actions and groups of runs: a snapshot, then what changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.common.list_pb2 import Filter
from flyteidl2.workflow import run_service_pb2 as m
from flyteidl2.workflow.run_definition_pb2 import EnrichedAction

from flyte._server.services.streams import with_ticks
from flyte.models import ActionPhase
from tests.server.scheduler.scripted import eventually, fails
from tests.server.services.serving import PLACE, Served, run_id, served
from tests.server.services.stored_runs import local_run


async def watched(server: Served, *filters: Filter) -> AsyncIterator[EnrichedAction]:
    """Each action that a watch sends."""
    request = m.WatchActionsRequest(run_id=run_id(), filter=filters)
    async for response in (await server.runs()).watch_actions(request):
        for action in response.enriched_actions:
            yield action


async def test_actions_come_whole_and_then_as_they_change(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.plane.run()
        for name in ("c1", "c2"):
            await server.plane.call(name)
        attempts = [await server.executor.attempt(name) for name in ("c1", "c2", "a0")]
        last: dict[str, EnrichedAction] = {}
        is_sent = 0
        async for action in watched(server):
            last[action.action.id.name] = action
            if {"a0", "c1", "c2"} <= set(last) and not is_sent:
                is_sent = 1
                attempts[0].end()
                attempts[1].end(fails())
            if last.get("a0") and dict(last["a0"].children_phase_counts) == {5: 1, 6: 1} and is_sent == 1:
                is_sent = 2
                attempts[2].end()
        assert {name: each.action.status.phase for name, each in last.items()} == {"a0": 5, "c1": 5, "c2": 6}
        assert dict(last["a0"].children_phase_counts) == {5: 1, 6: 1}


async def test_watched_actions_tell_whether_they_meet_the_filter(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.plane.run()
        await server.plane.call("c1")
        (await server.executor.attempt("c1")).end()
        await server.plane.until("c1", ActionPhase.SUCCEEDED)
        (await server.executor.attempt("a0")).end(fails())
        await server.plane.until("a0", ActionPhase.FAILED)
        succeeded = Filter(function=Filter.EQUAL, field="phase", values=["5"])
        meets = {each.action.id.name: each.meets_filter async for each in watched(server, succeeded)}
        assert meets == {"a0": False, "c1": True}


async def test_watch_of_actions_refuses_unknown_filters(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.plane.run()
        with pytest.raises(ConnectError, match="filter field 'colour'") as refused:
            await anext(watched(server, Filter(field="colour", values=["red"])))
        assert refused.value.code is Code.INVALID_ARGUMENT


async def test_runs_come_as_they_are_made_and_end(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.plane.run(name="first")
        stream = (await server.runs()).watch_runs(m.WatchRunsRequest(project_id=PLACE))

        async def next_of(name: str, *phases: ActionPhase) -> None:
            wanted = [phase.to_protobuf_value() for phase in phases]
            async with asyncio.timeout(5):
                async for response in stream:
                    for run in response.runs:
                        if run.action.id.run.name == name and run.action.status.phase in wanted:
                            return

        await next_of("first", ActionPhase.QUEUED, ActionPhase.RUNNING)
        await server.plane.run(name="second")
        await next_of("second", ActionPhase.QUEUED, ActionPhase.RUNNING)
        (await server.executor.attempt("a0")).end()
        await next_of("first", ActionPhase.SUCCEEDED)
        await stream.aclose()


async def test_run_of_another_process_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flyte._server.services.runs._LOCAL_RUNS_EVERY_S", 0.02)
    async with served(tmp_path) as server:
        stream = (await server.runs()).watch_runs(m.WatchRunsRequest())
        assert list((await anext(stream)).runs) == []
        await asyncio.to_thread(server.writer.write, local_run("mine"))
        (run,) = (await anext(stream)).runs
        assert run.action.id.run.name == "mine"
        await stream.aclose()


async def test_groups_count_runs_of_each_task(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        for name in ("one", "two"):
            await server.plane.run(name=name)
        await eventually(lambda: len(server.executor.attempts) == 2 or None)
        for attempt in list(server.executor.attempts):
            attempt.end() if attempt.order.action.run_name == "one" else attempt.end(fails())
        await server.plane.until("a0", ActionPhase.SUCCEEDED, "one")
        await server.plane.until("a0", ActionPhase.FAILED, "two")
        stream = (await server.runs()).watch_groups(m.WatchGroupsRequest(project_id=PLACE))
        (group,) = (await anext(stream)).task_groups
        assert (group.task_name, group.total_runs, group.average_failure_rate) == ("env.root", 2, 0.5)
        assert {each.phase: each.count for each in group.phase_counts} == {5: 1, 6: 1}
        assert group.error_counts.user_error == 1
        assert (await anext(stream)).sentinel
        await stream.aclose()


async def test_ticks_come_when_changes_do_not() -> None:
    release = asyncio.Event()

    async def changes() -> AsyncIterator[None]:
        yield
        await release.wait()
        yield

    items = with_ticks(changes(), 0.01)
    for _ in range(3):
        await anext(items)
    release.set()
    assert len([each async for each in items]) >= 1
