"""Runs by the task that they are of: how many, how they ended, how long they took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flyteidl2.common.list_pb2 import Sort
from flyteidl2.workflow import run_definition_pb2 as messages
from flyteidl2.workflow.run_service_pb2 import WatchGroupsRequest
from google.protobuf.duration_pb2 import Duration

from flyte._server.services.list_requests import page_size
from flyte._server.services.places import Places
from flyte._server.services.run_listings import RUNS, in_project
from flyte._server.services.views import identity, timestamp
from flyte._store.queries import Query
from flyte._store.reader import StoreReader
from flyte._store.records import ErrorRecord

RECENT = 50
"""The newest runs of a task that tell about it one by one."""


def task_groups(reader: StoreReader, places: Places, request: WatchGroupsRequest) -> list[messages.TaskGroup]:
    """The tasks with the runs that are asked for; by the latest run, newest first where nothing else is asked for.

    Raises:
        InvalidRequestError: a filter or a limit cannot be.
    """
    where, parameters = _scope(places, request)
    is_ascending = any(each.created_at == Sort.ASCENDING for each in request.known_sort_fields)
    groups = Query(
        key="run.task_name",
        sort="max(run.run_id)",
        is_descending=not is_ascending,
        conditions=where,
        parameters=parameters,
        limit=page_size(request.request.limit),
    )
    runs = Query(key="run.run_id", sort="run.run_id", conditions=where, parameters=parameters, limit=RECENT)
    with reader.snapshot():
        rows = reader.select(groups.filled("task_groups"), groups.values())
        return [_group(reader, row, runs) for row in rows]


def _scope(places: Places, request: WatchGroupsRequest) -> tuple[Sequence[str], dict[str, Any]]:
    conditions, parameters = ([], {}) if not request.HasField("project_id") else in_project(request.project_id, places)
    more, values = RUNS.conditions_of(request.request.filters)
    conditions += more
    parameters.update(values)
    for field, comparison in (("start_date", ">="), ("end_date", "<")):
        if request.HasField(field):
            conditions.append(f"run.created_us {comparison} :{field}")
            parameters[field] = max(-(2**62), min(2**62, getattr(request, field).seconds * 1_000_000))
    return conditions, parameters


def _group(reader: StoreReader, row: Any, runs: Query) -> messages.TaskGroup:
    values = {**runs.values(), "task_name": row["task_name"]}
    recent = reader.select(runs.filled("task_group_runs"), values)
    phases = reader.select(runs.filled("task_group_phases"), values)
    environment, _, short_name = row["task_name"].rpartition(".")
    ended = row["succeeded"] + row["failed"]
    group = messages.TaskGroup(
        task_name=row["task_name"],
        environment_name=environment,
        short_name=short_name,
        total_runs=row["total"],
        latest_run_time=timestamp(row["latest_us"]),
        latest_finished_time=timestamp(row["finished_us"]),
        average_failure_rate=row["failed"] / ended if ended else 0.0,
        average_duration=_duration(row["average_us"]),
        average_time_to_running=_duration(_average([each["waited_us"] for each in recent])),
        recent_statuses=[
            messages.TaskGroup.RecentStatus(run_name=each["name"], phase=each["phase"]) for each in recent
        ],
        phase_counts=[messages.TaskGroup.PhaseCounts(phase=each["phase"], count=each["count"]) for each in phases],
        error_counts=_error_counts([each["error"] for each in recent if each["error"] is not None]),
    )
    subjects = sorted({each["created_by"] for each in recent if each["created_by"]})
    group.created_by.extend(who for each in subjects if (who := identity(each)) is not None)
    return group


def _error_counts(errors: list[str]) -> messages.TaskGroup.ErrorCounts:
    kinds = [ErrorRecord.from_json(error).kind for error in errors]
    return messages.TaskGroup.ErrorCounts(
        user_error=kinds.count("user"),
        system_error=kinds.count("system"),
        unspecified_error=kinds.count("unknown"),
    )


def _average(values: list[int | None]) -> float | None:
    known = [each for each in values if each is not None]
    return sum(known) / len(known) if known else None


def _duration(microseconds: float | None) -> Duration | None:
    if microseconds is None:
        return None
    duration = Duration()
    duration.FromMicroseconds(round(microseconds))
    return duration
