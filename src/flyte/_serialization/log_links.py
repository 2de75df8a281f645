"""Links shown beside the actions of a task."""

from __future__ import annotations

from typing import Any

from flyteidl2.core.execution_pb2 import TaskLog

from flyte._authoring.task import TaskTemplate
from flyte.errors import TaskDefinitionError
from flyte.models import SerializationContext

_ACTION = "{{.actionName}}"


def log_links_of(task: TaskTemplate[Any, Any, Any], context: SerializationContext) -> list[TaskLog]:
    """The links, with placeholders for what differs between actions; the control plane fills them in.

    A custom context differs between actions too and has no placeholder, so links get an empty one.

    Raises:
        TaskDefinitionError: a link fails, or gives no address.
    """
    return [TaskLog(name=link.name, uri=_uri(task, link), icon_uri=link.icon_uri or "") for link in task.links]


def _uri(task: TaskTemplate[Any, Any, Any], link: Any) -> str:
    try:
        uri = link.get_link(
            run_name="{{.runName}}",
            project="{{.executionProject}}",
            domain="{{.executionDomain}}",
            context={},
            parent_action_name=_ACTION,
            action_name=_ACTION,
            pod_name="{{.podName}}",
        )
    except Exception as error:
        raise TaskDefinitionError(
            f"task {task.name!r}: link {link.name!r} fails to give an address: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(uri, str):
        raise TaskDefinitionError(f"task {task.name!r}: link {link.name!r} must give a str as address, got {uri!r}")
    return uri
