"""The Kubernetes pod of a task that has a pod template."""

from __future__ import annotations

from typing import Any

from flyteidl2.core.tasks_pb2 import Container, DataLoadingConfig, K8sObjectMetadata, K8sPod, Resources

from flyte._authoring.pod import PodTemplate
from flyte.errors import TaskDefinitionError

PRIMARY_CONTAINER = "primary_container_name"
"""The setting of a task that names the container with the task."""


def pod_of(template: PodTemplate, container: Container, task_name: str) -> K8sPod:
    """The pod of the template, with the task in its primary container.

    Of the task are the command line, always, and the image, where the template names none. Resources and variables of
    both are put together: a resource of the task wins, as does a variable of the template.

    Raises:
        TaskDefinitionError: the template has no primary container, or the kubernetes package is missing.
    """
    spec = _spec(template, task_name)
    primary = next((each for each in spec["containers"] if each.get("name") == template.primary_container_name), None)
    if primary is None:
        names = ", ".join(repr(each.get("name")) for each in spec["containers"])
        raise TaskDefinitionError(
            f"task {task_name!r}: pod_template has no container named {template.primary_container_name!r}, to run the "
            f"task in; it has {names}. Set primary_container_name=, or rename one."
        )
    primary.update(_merged(primary, container))
    return K8sPod(
        metadata=K8sObjectMetadata(labels=template.labels, annotations=template.annotations),
        pod_spec=spec,
        data_config=_data_config(container),
    )


def primary_container(pod_spec: Any, name: str) -> Any:
    """The container of that name in a pod spec that is a message."""
    return next(each for each in pod_spec["containers"] if "name" in each and each["name"] == name)


def _spec(template: PodTemplate, task_name: str) -> dict[str, Any]:
    """The pod spec as Kubernetes writes it, to be changed freely."""
    spec: dict[str, Any] = {}
    if template.pod_spec is not None:
        try:
            from kubernetes.client import ApiClient
        except ImportError as error:
            raise TaskDefinitionError(
                f"task {task_name!r}: writing its pod_spec needs the kubernetes package, which cannot be imported: "
                f"{error}. Install it: pip install kubernetes"
            ) from error
        client: Any = ApiClient()
        spec = client.sanitize_for_serialization(template.pod_spec)
    if not spec.get("containers"):
        # A template of labels alone, for example to choose a queue.
        spec["containers"] = [{"name": template.primary_container_name}]
    return spec


def _merged(primary: dict[str, Any], container: Container) -> dict[str, Any]:
    changes: dict[str, Any] = {"command": list(container.command), "args": list(container.args)}
    if not primary.get("image") and container.image:
        changes["image"] = container.image
    resources = dict(primary.get("resources") or {})
    for kind, entries in (("limits", container.resources.limits), ("requests", container.resources.requests)):
        if entries:
            resources[kind] = (resources.get(kind) or {}) | {_resource_name(each): each.value for each in entries}
    if resources:
        changes["resources"] = resources
    of_task = [{"name": each.key, "value": each.value} for each in container.env]
    changes["env"] = of_task + (primary.get("env") or [])
    return changes


def _resource_name(entry: Resources.ResourceEntry) -> str:
    return str(Resources.ResourceName.Name(entry.name)).lower().replace("_", "-")


def _data_config(container: Container) -> DataLoadingConfig | None:
    return container.data_config if container.HasField("data_config") else None
