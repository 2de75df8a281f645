"""A task as one message."""

from __future__ import annotations

from typing import Any

from flyteidl2.core.identifier_pb2 import TASK, Identifier
from flyteidl2.core.tasks_pb2 import TaskTemplate as TemplateMessage
from flyteidl2.task.task_definition_pb2 import TaskSpec
from google.protobuf.struct_pb2 import Struct

from flyte._authoring.pod import PodTemplate
from flyte._authoring.task import TaskTemplate
from flyte._serialization.container import container_of
from flyte._serialization.documentation import MAX_NAME, documentation_of, environment_of
from flyte._serialization.interface import default_inputs_of, interface_of
from flyte._serialization.metadata import metadata_of
from flyte._serialization.pod import PRIMARY_CONTAINER, pod_of
from flyte._serialization.resources import extended_resources_of
from flyte._serialization.reuse import add_reuse
from flyte._serialization.security import security_of
from flyte.errors import TaskDefinitionError
from flyte.models import SerializationContext


def task_spec(task: TaskTemplate[Any, Any, Any], context: SerializationContext, *, documented: bool = True) -> TaskSpec:
    """The message that tells a control plane all about a task: how to start it, what it takes and gives.

    Nothing is built, packed or sent; equal tasks in equal contexts give equal messages.

    Args:
        task: With the settings of this call, if it has any.
        context: Version, place, code and images.
        documented: False leaves out what is for people only, for an action of a task that is known already:
            descriptions are parsed, and the link to the code asks git.

    Raises:
        ModuleLoadError: no module below `context.root_dir` holds the task.
        RuntimeUserError: there is no such folder in the context, or no image of the environment.
        TaskDefinitionError: a default, a link, a pod template or custom settings make no message.
        ValueError: the task is cached, and its version cannot be computed.
    """
    return TaskSpec(
        task_template=_template(task, context, described=documented),
        default_inputs=default_inputs_of(task),
        short_name=task.short_name[:MAX_NAME],
        environment=environment_of(task, described=documented),
        documentation=documentation_of(task) if documented else None,
    )


def _template(task: TaskTemplate[Any, Any, Any], context: SerializationContext, *, described: bool) -> TemplateMessage:
    message = TemplateMessage(
        id=Identifier(
            resource_type=TASK,
            project=context.project,
            domain=context.domain,
            org=context.org,
            name=task.name,
            version=context.version,
        ),
        type=task.task_type,
        task_type_version=task.task_type_version,
        metadata=metadata_of(task, context),
        interface=interface_of(task, described=described),
        custom=_custom(task, context),
        security_context=security_of(task),
        extended_resources=extended_resources_of(task.resources),
    )
    _add_target(task, context, message)
    add_reuse(task, context, message)
    return message


def _custom(task: TaskTemplate[Any, Any, Any], context: SerializationContext) -> Struct | None:
    settings = task.custom_config(context)
    if not settings:
        return None
    message = Struct()
    try:
        message.update(settings)
    except (ValueError, TypeError) as error:
        raise TaskDefinitionError(
            f"task {task.name!r}: custom_config must give what JSON has, got {settings!r}: {error}"
        ) from error
    return message


def _add_target(task: TaskTemplate[Any, Any, Any], context: SerializationContext, message: TemplateMessage) -> None:
    """What runs the task: a pod, a database or, mostly, a container."""
    template = task.pod_template
    if isinstance(template, PodTemplate):
        message.k8s_pod.CopyFrom(pod_of(template, container_of(task, context), task.name))
        message.config[PRIMARY_CONTAINER] = template.primary_container_name
    elif (query := task.sql(context)) is not None:
        message.sql.CopyFrom(query)
    else:
        message.container.CopyFrom(container_of(task, context))
