"""`served_runs.py RUNS TIMES`: fills a store with so many served runs; prints what listing them takes, in ms."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from flyteidl2.common.identifier_pb2 import ActionIdentifier, ProjectIdentifier, RunIdentifier
from flyteidl2.common.list_pb2 import Filter, ListRequest, Sort
from flyteidl2.task.task_definition_pb2 import TaskIdentifier, TaskSpec
from flyteidl2.workflow.run_definition_pb2 import ActionSpec, TaskAction
from flyteidl2.workflow.run_service_pb2 import ListRunsRequest, ListRunsResponse

from flyte._server.readers import StoreReaders
from flyte._server.services.places import Places
from flyte._server.services.runs import RunReads
from flyte._server.services.store import ServedStore
from flyte._store.owners import this_process
from flyte._store.records import ActionKind, ActionRecord, NewRun, action_id
from flyte._store.served import SERVED, ServedAction, ServedRun, insert_served_run, put_spec
from flyte._store.writer import Change, Writer, end_run, in_order

SUCCEEDED = 5
HOUR_US = 3_600_000_000
PROJECTS, TASKS = 3, 20
DIGEST = b"\0" * 32


def made(number: int) -> Change:
    """A change that adds a run that has succeeded; every hundredth still runs."""
    name, task = f"r{number:08}", f"env.task{number % TASKS}"
    project = f"project{number % PROJECTS}"
    created_us = HOUR_US + number * 1_000_000
    phase = 4 if number % 100 == 0 else SUCCEEDED
    run = RunIdentifier(org="local", project=project, domain="development", name=name)
    target = ActionSpec(
        action_id=ActionIdentifier(run=run, name="a0"),
        input_uri=f"/home/runs/{name}/a0/inputs.pb",
        run_output_base=f"/home/runs/{name}",
        task=TaskAction(id=TaskIdentifier(org="local", project=project, domain="development", name=task, version="v1")),
    ).SerializeToString()

    def rows(run_id: int) -> tuple[tuple[object, ...], tuple[object, ...]]:
        record = ActionRecord(
            action_id=action_id(run_id, 1),
            run_id=run_id,
            name="a0",
            parent_id=None,
            kind=ActionKind.TASK,
            task_name=task,
            group_name=None,
            phase=phase,
            attempt_no=1,
            created_us=created_us,
            started_us=created_us + 1000,
            ended_us=created_us + 2000 if phase == SUCCEEDED else None,
        )
        served = ServedAction(
            action_id=record.action_id,
            target=target,
            spec_digest=DIGEST,
            cache_key=None,
            recovered_from=None,
            output_uri=f"/home/runs/{name}/a0/1",
            called_in=1,
            tries=0,
            due_us=None,
            abort_reason=None,
            aborted_by=None,
            signalled_by=None,
        )
        return record.row(), tuple(getattr(served, each) for each in ServedAction.__slots__)

    new = NewRun(
        name=name,
        task_name=task,
        mode=SERVED,
        created_us=created_us,
        owner=this_process(),
        project=project,
        domain="development",
        org="local",
        version="v1",
        labels={"team": f"team{number % 7}"},
    )
    served = ServedRun(b"", 2, f"user{number % 5}", None, f"/home/runs/{name}", f"/home/runs/{name}/raw_data")
    added = insert_served_run(new, lambda _: served, rows, None)
    if phase != SUCCEEDED:
        return added
    # Ids go by the order in which rows are made, in a store that was empty.
    return in_order(added, end_run(number + 1, SUCCEEDED, created_us + 2000))


def fill(home: Path, count: int) -> None:
    """The store has so many runs."""
    spec = TaskSpec(short_name="task")
    spec.task_template.type = "python"
    spec.task_template.container.args.extend(["a0"] * 40)
    spec.environment.name = "env"
    writer = Writer(home)
    try:
        writer.write(put_spec(DIGEST, spec.SerializeToString()))
        for first in range(0, count, 2000):
            writer.write(in_order(*map(made, range(first, min(first + 2000, count)))))
    finally:
        writer.close()


def questions() -> dict[str, ListRunsRequest]:
    """What is listed, by what that is called."""
    phases = Filter(function=Filter.VALUE_IN, field="phase", values=["4"])
    project = ProjectIdentifier(name="project1", domain="development")
    by_name = Sort(key="name", direction=Sort.DESCENDING)
    team = Filter(function=Filter.EQUAL, field="labels.team", values=["team3"])
    return {
        "first page of all": ListRunsRequest(request=ListRequest(limit=100)),
        "first page of a project": ListRunsRequest(request=ListRequest(limit=100), project_id=project),
        "first page of those that run": ListRunsRequest(request=ListRequest(limit=100, filters=[phases])),
        "first page of those with a label": ListRunsRequest(request=ListRequest(limit=100, filters=[team])),
        "first page by name": ListRunsRequest(request=ListRequest(limit=100, sort_by=by_name)),
    }


async def measured(ask: Callable[[], Awaitable[ListRunsResponse]], times: int) -> list[float]:
    """How long it took, so many times, after once that is not counted."""
    await ask()
    samples = []
    for _ in range(times):
        started = time.perf_counter()
        response = await ask()
        samples.append((time.perf_counter() - started) * 1000)
        assert len(response.runs) == 100
    return samples


async def main(home: Path, times: int) -> None:
    """Prints the samples as JSON."""
    writer, readers = Writer(home), StoreReaders(home)
    # Listing asks nothing of a scheduler.
    service = RunReads(None, ServedStore(home, writer, readers), Places())  # type: ignore[arg-type]
    samples = {}
    try:
        for what, request in questions().items():
            samples[what] = await measured(lambda request=request: service.list_runs(request, None), times)  # type: ignore[misc, arg-type]
    finally:
        readers.close()
        writer.close()
    print(json.dumps(samples))


if __name__ == "__main__":
    folder = Path(os.environ["FLYTE_HOME"])
    fill(folder, int(sys.argv[1]))
    asyncio.run(main(folder, int(sys.argv[2])))
