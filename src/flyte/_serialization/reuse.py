"""Workers that stay warm between actions."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from flyteidl2.core.tasks_pb2 import ReusePolicy as ReuseMessage
from flyteidl2.core.tasks_pb2 import TaskTemplate as TemplateMessage

from flyte._authoring.reuse import ReusePolicy
from flyte._authoring.task import TaskTemplate
from flyte._serialization.durations import duration_of
from flyte._serialization.pod import PRIMARY_CONTAINER, primary_container
from flyte.errors import TaskDefinitionError
from flyte.models import SerializationContext

_ACTOR = "actor"
_VERSION_LENGTH = 15


def add_reuse(task: TaskTemplate[Any, Any, Any], context: SerializationContext, message: TemplateMessage) -> None:
    """Say in `message`, which holds all else, that its workers are reused; nothing if they are not.

    Raises:
        TaskDefinitionError: the task is of a kind that has settings of its own where workers have theirs.
    """
    if task.reusable is None:
        return
    message.reuse_policy.CopyFrom(_policy(task.reusable))
    if task.task_type != TaskTemplate.task_type:
        return
    if message.HasField("custom"):
        raise TaskDefinitionError(
            f"task {task.name!r}: a {type(task).__name__} has settings of its own (custom_config), and reusable "
            f"workers cannot take them. Use an environment without reusable=."
        )
    message.custom.update(_actor(task, task.reusable, context, message))
    message.type = _ACTOR


def _policy(policy: ReusePolicy) -> ReuseMessage:
    return ReuseMessage(
        min_replicas=policy.min_replicas,
        max_replicas=policy.max_replicas,
        concurrency=policy.concurrency,
        idle_ttl=duration_of(policy.idle_ttl),
        scaledown_ttl=duration_of(policy.get_scaledown_ttl()),
        scope=ReuseMessage.RUN if policy.scope == "run" else ReuseMessage.GLOBAL,
    )


def _actor(
    task: TaskTemplate[Any, Any, Any], policy: ReusePolicy, context: SerializationContext, message: TemplateMessage
) -> dict[str, Any]:
    name = task.parent_env_name or task.name.split(".")[0]
    shared = _without_arguments(message)
    return {
        "name": name,
        "version": _version(name, shared, context),
        "type": _ACTOR,
        "spec": {
            "container_image": _image(shared),
            "backlog_length": None,
            "parallelism": policy.concurrency,
            "min_replica_count": policy.min_replicas,
            "replica_count": policy.max_replicas,
            "ttl_seconds": _seconds(policy.idle_ttl),
            "scaledown_ttl_seconds": _seconds(policy.get_scaledown_ttl()),
        },
    }


def _seconds(duration: Any) -> float | None:
    return None if duration is None else duration.total_seconds()


def _without_arguments(message: TemplateMessage) -> TemplateMessage:
    """What all tasks of an environment have in common: the arguments name the task."""
    shared = TemplateMessage(
        container=message.container if message.HasField("container") else None,
        k8s_pod=message.k8s_pod if message.HasField("k8s_pod") else None,
        security_context=message.security_context if message.HasField("security_context") else None,
        extended_resources=message.extended_resources if message.HasField("extended_resources") else None,
        reuse_policy=message.reuse_policy,
        config=message.config,
    )
    shared.metadata.interruptible = message.metadata.interruptible
    shared.metadata.pod_template_name = message.metadata.pod_template_name
    if shared.HasField("container"):
        del shared.container.args[:]
    elif shared.HasField("k8s_pod"):
        del primary_container(shared.k8s_pod.pod_spec, shared.config[PRIMARY_CONTAINER])["args"]
    return shared


def _image(shared: TemplateMessage) -> str:
    if shared.HasField("k8s_pod"):
        primary = primary_container(shared.k8s_pod.pod_spec, shared.config[PRIMARY_CONTAINER])
        return str(primary["image"]) if "image" in primary else ""
    return str(shared.container.image)


def _version(name: str, shared: TemplateMessage, context: SerializationContext) -> str:
    """Workers are shared by the tasks for which this is the same: all that a worker is made of enters it."""
    code = "" if context.code_bundle is None else context.code_bundle.computed_version
    wire = shared.SerializeToString(deterministic=True).hex()
    return hashlib.sha256(json.dumps([name, code, wire]).encode()).hexdigest()[:_VERSION_LENGTH]
