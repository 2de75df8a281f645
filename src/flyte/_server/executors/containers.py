"""What a task spec says of the process of an attempt: the container of the task, or the one of its pod."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flyteidl2.core.tasks_pb2 import Container, Resources
from flyteidl2.task.task_definition_pb2 import TaskSpec
from google.protobuf.json_format import MessageToDict

from flyte._server.executors.refused import NO_CONTAINERS, UnrunnableError

PROGRAM = "a0"
_PRIMARY = "primary_container_name"
_NAMES = {Resources.CPU: "cpu", Resources.MEMORY: "memory", Resources.GPU: "gpu"}


@dataclass(frozen=True, slots=True)
class TaskProcess:
    """The process that a spec asks for.

    Attributes:
        image: Address of its image.
        arguments: Its command line, with placeholders; the first is the program.
        variables: Of its environment.
        requests: What it needs of each resource, as Kubernetes writes quantities.
        limits: What it may use at most, likewise.
    """

    image: str
    arguments: tuple[str, ...]
    variables: Mapping[str, str]
    requests: Mapping[str, str]
    limits: Mapping[str, str]


def process_of(spec: TaskSpec) -> TaskProcess:
    """The process that a spec asks for.

    Raises:
        UnrunnableError: it asks for none, such as a query.
    """
    template = spec.task_template
    if template.HasField("container"):
        return _of_container(template.container)
    if template.HasField("k8s_pod"):
        try:
            return _of_pod(template.k8s_pod, template.config.get(_PRIMARY, ""), template.id.name)
        except (AttributeError, KeyError, TypeError) as error:
            raise UnrunnableError(
                NO_CONTAINERS, f"task {template.id.name!r}: its pod_spec is none of Kubernetes ({error})."
            ) from None
    raise UnrunnableError(
        NO_CONTAINERS,
        f"task {template.id.name!r} of type {template.type!r} has neither a container nor a pod: this server runs "
        "Python tasks, as processes.",
    )


def check_is_attempt(process: TaskProcess, task_name: str) -> None:
    """Nothing, when the process is that of a Python task.

    Raises:
        UnrunnableError: it is another program, which only a container of its own can run.
    """
    if process.arguments[:1] != (PROGRAM,):
        begin = " ".join(process.arguments[:3]) or "nothing"
        raise UnrunnableError(
            NO_CONTAINERS,
            f"task {task_name!r} starts {begin!r} in the image {process.image!r}: this server runs Python tasks "
            f"({PROGRAM}) as processes, and has no containers for other programs.",
        )


def _of_container(container: Container) -> TaskProcess:
    return TaskProcess(
        image=container.image,
        arguments=(*container.command, *container.args),
        variables={pair.key: pair.value for pair in container.env},
        requests=_quantities(container.resources.requests),
        limits=_quantities(container.resources.limits),
    )


def _quantities(entries: Any) -> dict[str, str]:
    return {_NAMES[entry.name]: entry.value for entry in entries if entry.name in _NAMES}


def _of_pod(pod: Any, primary_name: str, task_name: str) -> TaskProcess:
    containers = MessageToDict(pod.pod_spec).get("containers") or []
    name = pod.primary_container_name or primary_name
    primary = next((each for each in containers if each.get("name") == name), None)
    if primary is None and len(containers) == 1:
        primary = containers[0]
    if primary is None:
        names = ", ".join(repr(each.get("name")) for each in containers) or "none"
        raise UnrunnableError(
            NO_CONTAINERS, f"task {task_name!r}: its pod has no container named {name!r}, to run it in; it has {names}."
        )
    resources = primary.get("resources") or {}
    return TaskProcess(
        image=str(primary.get("image") or ""),
        arguments=tuple(map(str, (primary.get("command") or []) + (primary.get("args") or []))),
        variables={
            str(each["name"]): str(each.get("value") or "")
            for each in primary.get("env") or ()
            if "valueFrom" not in each
        },
        requests=_of_pod_resources(resources.get("requests")),
        limits=_of_pod_resources(resources.get("limits")),
    )


def _of_pod_resources(quantities: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in (quantities or {}).items():
        # `nvidia.com/gpu`, `amd.com/gpu`: whose they are makes no difference here.
        known = "gpu" if str(name).endswith("/gpu") else str(name)
        if known in _NAMES.values():
            # Numbers of a struct are floating ones: `2` comes as `2.0`.
            found[known] = f"{value:g}" if isinstance(value, float) else str(value)
    return found
