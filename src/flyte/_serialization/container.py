"""The container of a task."""

from __future__ import annotations

from typing import Any

from flyteidl2.core.literals_pb2 import KeyValuePair
from flyteidl2.core.tasks_pb2 import Container

from flyte._authoring.task import TaskTemplate
from flyte._serialization.entry_point import arguments_of
from flyte._serialization.images import image_uri
from flyte._serialization.resources import resources_of
from flyte.models import SerializationContext


def container_of(task: TaskTemplate[Any, Any, Any], context: SerializationContext) -> Container:
    """Image, arguments, resources and variables; the command is the image's own."""
    return Container(
        image=image_uri(task, context),
        args=arguments_of(task, context),
        resources=resources_of(task.resources),
        env=_pairs(task.env_vars),
        config=_pairs(task.config(context)),
        data_config=task.data_loading_config(context),
    )


def _pairs(mapping: dict[str, str] | None) -> list[KeyValuePair]:
    return [KeyValuePair(key=key, value=value) for key, value in (mapping or {}).items()]
