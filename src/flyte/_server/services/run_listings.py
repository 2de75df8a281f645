"""By what runs and actions are listed: the fields of filters and of sorting."""

from __future__ import annotations

from typing import Any

from flyteidl2.common.identifier_pb2 import ProjectIdentifier
from flyteidl2.workflow.run_service_pb2 import ListRunsRequest, WatchRunsRequest

from flyte._server.services.identifiers import TASK_NAME_LENGTH, text_of
from flyte._server.services.list_requests import Column, Listing, moment, number
from flyte._server.services.places import Places

# What a run is until it is over, its root action says.
_RUN_PHASE = (
    "CASE WHEN run.phase IN (5, 6, 7, 8, 10) THEN run.phase ELSE coalesce("
    "(SELECT root.phase FROM action AS root WHERE root.action_id = (run.run_id << 32 | 1)), run.phase) END"
)

RUNS = Listing(
    key="run.run_id",
    columns={
        # Runs get their numbers as they are made.
        "created_at": Column("run.created_us", moment, sort="run.run_id"),
        "updated_at": Column("coalesce(run.ended_us, run.created_us)", moment),
        "name": Column("run.name"),
        "run_name": Column("run.name"),
        "phase": Column(_RUN_PHASE, number),
        "task_name": Column("run.task_name"),
        "task_version": Column("run.version"),
        "created_by": Column("coalesce(served_run.created_by, '')"),
        "project": Column("run.project", is_sortable=False),
        "domain": Column("run.domain", is_sortable=False),
        "trigger_name": Column("served_run.trigger_name", is_sortable=False),
        "mode": Column("run.mode"),
    },
    maps={"labels": "run.labels"},
)

ACTIONS = Listing(
    key="action.action_id",
    columns={
        "created_at": Column("action.created_us", moment, sort="action.action_id"),
        "updated_at": Column("coalesce(action.ended_us, action.started_us, action.created_us)", moment),
        "name": Column("action.name"),
        "phase": Column("action.phase", number),
        "parent_name": Column("coalesce(parent.name, '')"),
        "action_type": Column("(action.kind + 1)", number),
        "task_name": Column("action.task_name"),
        "group": Column("coalesce(action.group_name, '')"),
        "attempts": Column("action.attempt_no", number),
        "cache_status": Column("action.cache_status", number),
    },
    is_descending=False,
)

_HAS_PAUSED = (
    "run.phase IN (1, 2, 3, 4, 9) AND EXISTS (SELECT 1 FROM action WHERE action.action_id > run.run_id << 32 "
    "AND action.action_id < (run.run_id + 1) << 32 AND action.phase = 9)"
)


def runs_asked_for(request: ListRunsRequest, places: Places) -> tuple[list[str], dict[str, Any]]:
    """SQL of the runs in the scope of a request, with its parameters.

    Raises:
        InvalidRequestError: the scope has no name.
    """
    conditions, parameters = _scope(request, request.WhichOneof("scope_by"), places)
    if request.paused_actions_only:
        conditions.append(_HAS_PAUSED)
    return conditions, parameters


def runs_watched(request: WatchRunsRequest, places: Places) -> tuple[list[str], dict[str, Any]]:
    """The same of the runs that are to be watched.

    Raises:
        InvalidRequestError: as of `runs_asked_for`.
    """
    return _scope(request, request.WhichOneof("target"), places)


def _scope(
    request: ListRunsRequest | WatchRunsRequest, scope: str | None, places: Places
) -> tuple[list[str], dict[str, Any]]:
    if scope in (None, "org", "cluster_id"):
        # One organisation, one machine.
        return [], {}
    if scope == "project_id":
        return in_project(request.project_id, places)
    if scope == "trigger_name":
        assert isinstance(request, ListRunsRequest)
        trigger = request.trigger_name
        conditions, parameters = _place(trigger.project, trigger.domain, places)
        parameters["trigger_name"] = text_of(trigger.name, "trigger_name.name", TASK_NAME_LENGTH)
        conditions.append("served_run.trigger_name = :trigger_name")
        if trigger.task_name:
            conditions.append("run.task_name = :scope_task")
            parameters["scope_task"] = trigger.task_name
        return conditions, parameters
    if scope == "task_name":
        assert isinstance(request, ListRunsRequest)
        return _of_task(request.task_name.project, request.task_name.domain, request.task_name.name, "", places)
    task = request.task_id
    return _of_task(task.project, task.domain, task.name, task.version, places)


def in_project(project: ProjectIdentifier, places: Places) -> tuple[list[str], dict[str, Any]]:
    """SQL of the runs in a project, and in one domain of it where that is named.

    Raises:
        InvalidRequestError: it has no name.
    """
    return _place(text_of(project.name, "project_id.name", TASK_NAME_LENGTH), project.domain, places)


def _of_task(project: str, domain: str, name: str, version: str, places: Places) -> tuple[list[str], dict[str, Any]]:
    conditions, parameters = _place(project, domain, places)
    parameters["scope_task"] = text_of(name, "the name of the task", TASK_NAME_LENGTH)
    conditions.append("run.task_name = :scope_task")
    if version:
        parameters["scope_version"] = version
        conditions.append("run.version = :scope_version")
    return conditions, parameters


def _place(project: str, domain: str, places: Places) -> tuple[list[str], dict[str, Any]]:
    conditions, parameters = places.conditions_of(ProjectIdentifier(name=project, domain=domain))
    return list(conditions), dict(parameters)
