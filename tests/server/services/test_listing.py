"""Listing: filters, sorting, pages, and what is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.common.identifier_pb2 import ProjectIdentifier
from flyteidl2.common.list_pb2 import Filter, ListRequest, Sort
from flyteidl2.task.task_definition_pb2 import TaskName
from flyteidl2.workflow import run_service_pb2 as m
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyte._server.readers import StoreReaders
from flyte._server.services.places import Places
from flyte._server.services.runs import RunReads
from flyte._server.services.store import ServedStore
from flyte._store.writer import Change, Writer, in_order
from flyte.models import ActionPhase
from tests.server.scheduler.scripted import spec
from tests.server.services.serving import PLACE, Served, run_id, served
from tests.server.services.stored_runs import CREATED_US, local_run


async def fill(server: Served, *changes: Change) -> None:
    """The store has these, too."""
    await asyncio.to_thread(server.writer.write, in_order(*changes))


async def names(server: Served, request: m.ListRunsRequest) -> list[str]:
    """The names of the runs of a page."""
    response = await (await server.runs()).list_runs(request)
    return [run.action.id.run.name for run in response.runs]


def by(field: str, *values: str, function: int = Filter.EQUAL) -> m.ListRunsRequest:
    """A request with one filter."""
    return m.ListRunsRequest(request=ListRequest(filters=[Filter(function=function, field=field, values=values)]))


def sorted_by(key: str) -> m.ListRunsRequest:
    """A request in ascending order."""
    return m.ListRunsRequest(request=ListRequest(sort_by=Sort(key=key, direction=Sort.ASCENDING)))


@pytest.mark.parametrize(
    ("request_of", "expected"),
    [
        (m.ListRunsRequest(), ["served", "c", "b", "a"]),
        (by("phase", "5"), ["b"]),
        (by("phase", "5", "4", function=Filter.VALUE_IN), ["served", "b", "a"]),
        (by("phase", "5", "4", function=Filter.VALUE_NOT_IN), ["c"]),
        (by("task_name", "env.other"), ["c"]),
        (by("task_name", "other", function=Filter.ENDS_WITH), ["c"]),
        (by("task_name", "ENV", function=Filter.CONTAINS_CASE_INSENSITIVE), ["served", "c", "b", "a"]),
        (by("name", "b"), ["b"]),
        (by("run_name", "b", function=Filter.NOT_EQUAL), ["served", "c", "a"]),
        (by("name", "b", function=Filter.GREATER_THAN), ["served", "c"]),
        (by("labels.team", "red"), ["a"]),
        (by("labels.team", function=Filter.EXISTS), ["b", "a"]),
        (by("labels.team", function=Filter.NOT_EXISTS), ["served", "c"]),
        (by("labels.team", "red", function=Filter.NOT_EQUAL), ["served", "c", "b"]),
        (by("task_version", "v1"), ["served"]),
        (by("created_by", ""), ["served", "c", "b", "a"]),
        (by("created_at", "2024-01-01T00:00:00Z", function=Filter.GREATER_THAN_OR_EQUAL), ["served"]),
        (by("created_at", "2024-01-01T00:00:00+00:00", function=Filter.LESS_THAN), ["c", "b", "a"]),
        (m.ListRunsRequest(project_id=PLACE), ["served", "c", "b", "a"]),
        (m.ListRunsRequest(project_id=ProjectIdentifier(name="flytesnacks", domain="staging")), []),
        (m.ListRunsRequest(task_name=TaskName(name="env.other")), ["c"]),
        (m.ListRunsRequest(paused_actions_only=True), []),
        (m.ListRunsRequest(request=ListRequest(limit=1)), ["served"]),
        (m.ListRunsRequest(request=ListRequest(sort_by=Sort(key="name", direction=1))), ["a", "b", "c", "served"]),
        (
            m.ListRunsRequest(request=ListRequest(sort_by=Sort(key="created_at", direction=1))),
            ["a", "b", "c", "served"],
        ),
    ],
)
async def test_filters_and_scopes_choose_runs(
    tmp_path: Path, request_of: m.ListRunsRequest, expected: list[str]
) -> None:
    async with served(tmp_path) as server:
        await fill(
            server,
            local_run("a", labels={"team": "red"}),
            local_run("b", phase=ActionPhase.SUCCEEDED, labels={"team": "blue"}),
            local_run("c", phase=ActionPhase.FAILED, task_name="env.other"),
        )
        await server.plane.run(name="served")
        await server.executor.attempt("a0")
        await server.plane.until("a0", ActionPhase.RUNNING, "served")
        assert await names(server, request_of) == expected


@pytest.mark.parametrize(
    ("request_of", "named"),
    [
        (by("phse", "5"), "Did you mean 'phase'"),
        (by("phase", "running"), "whole number"),
        (by("phase", "5", function=Filter.CONTAINS), "no text"),
        (by("name", "a", "b"), "expected 1"),
        (by("name", "a", function=8), "function 8"),
        (by("created_at", "yesterday"), "expected a time"),
        (m.ListRunsRequest(request=ListRequest(limit=200_000)), "100000"),
        (m.ListRunsRequest(request=ListRequest(sort_by=Sort(key="labels"))), "sort_by.key"),
        (m.ListRunsRequest(request=ListRequest(raw_filters=["x"])), "raw_filters"),
        (m.ListRunsRequest(request=ListRequest(token="nonsense")), "token"),
        (m.ListRunsRequest(request=ListRequest(token="W10=")), "token"),
        (m.ListRunsRequest(project_id=ProjectIdentifier()), "project_id.name"),
    ],
)
async def test_what_cannot_be_listed_is_refused_by_its_field(
    tmp_path: Path, request_of: m.ListRunsRequest, named: str
) -> None:
    async with served(tmp_path) as server:
        with pytest.raises(ConnectError) as refused:
            await (await server.runs()).list_runs(request_of)
        assert (refused.value.code, named in refused.value.message) == (Code.INVALID_ARGUMENT, True), refused.value


async def test_token_of_another_sorting_is_refused(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await fill(server, *(local_run(f"r{index}") for index in range(3)))
        runs = await server.runs()
        token = (await runs.list_runs(m.ListRunsRequest(request=ListRequest(limit=1)))).token
        by_name = ListRequest(limit=1, token=token, sort_by=Sort(key="name"))
        with pytest.raises(ConnectError) as refused:
            await runs.list_runs(m.ListRunsRequest(request=by_name))
        assert refused.value.code is Code.INVALID_ARGUMENT


@given(
    sort=st.sampled_from(["created_at", "name", "phase", "task_name", "updated_at"]),
    direction=st.sampled_from([Sort.ASCENDING, Sort.DESCENDING]),
    limit=st.integers(1, 7),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_have_each_run_once_while_others_are_added(
    tmp_path_factory: pytest.TempPathFactory, sort: str, direction: int, limit: int, seed: int
) -> None:
    home, random = tmp_path_factory.mktemp("home"), Random(seed)
    writer, readers = Writer(home), StoreReaders(home)
    reads = RunReads(None, ServedStore(home, writer, readers), Places())  # type: ignore[arg-type]
    phases = (ActionPhase.RUNNING, ActionPhase.SUCCEEDED, ActionPhase.FAILED)

    def add(count: int) -> set[str]:
        added = {f"r{random.randrange(2**40):012}" for _ in range(count)}
        changes = [local_run(name, phase=random.choice(phases)) for name in sorted(added)]
        writer.write(in_order(*changes))
        return added

    async def pages() -> list[str]:
        there, seen, token = add(15), list[str](), ""
        while True:
            wanted = ListRequest(limit=limit, token=token, sort_by=Sort(key=sort, direction=direction))
            response = await reads.list_runs(m.ListRunsRequest(request=wanted), None)  # type: ignore[arg-type]
            seen += [run.action.id.run.name for run in response.runs]
            token = response.token
            if not token:
                assert there <= set(seen)
                return seen
            if len(seen) < 60:
                add(random.randrange(1, 3))

    try:
        seen = asyncio.run(pages())
    finally:
        readers.close()
        writer.close()
    assert len(seen) == len(set(seen))


async def test_actions_are_listed_by_parent_kind_and_phase(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.plane.run()
        await server.plane.call("c1")
        await server.plane.call("c2", spec("env.second"))
        await server.plane.call("d1", parent="c1")
        (await server.executor.attempt("c2")).end()
        await server.plane.until("c2", ActionPhase.SUCCEEDED)
        runs = await server.runs()

        async def listed(*filters: Filter, **wanted: object) -> list[str]:
            request = ListRequest(filters=filters, **wanted)
            response = await runs.list_actions(m.ListActionsRequest(run_id=run_id(), request=request))
            return [each.id.name for each in response.actions]

        def equal(field: str, value: str) -> Filter:
            return Filter(function=Filter.EQUAL, field=field, values=[value])

        assert await listed() == ["a0", "c1", "c2", "d1"]
        assert await listed(equal("parent_name", "a0")) == ["c1", "c2"]
        assert await listed(equal("phase", "5")) == ["c2"]
        assert await listed(equal("action_type", "1"), equal("task_name", "env.second")) == ["c2"]
        assert await listed(equal("action_type", "3")) == []
        assert await listed(sort_by=Sort(key="created_at", direction=Sort.DESCENDING), limit=2) == ["d1", "c2"]


def test_listed_times_are_those_of_the_store() -> None:
    assert CREATED_US < 1_704_067_200_000_000, "the filters above tell runs of 2023 from those of now"
