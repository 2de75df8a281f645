"""Kubernetes settings of a task."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, Optional

from flyte._authoring.expectations import expect, expect_str_mapping

if TYPE_CHECKING:
    from typing import Any as V1PodSpec


@dataclass(frozen=True)
class PodTemplate:
    """Settings of the pod around a task, for control planes that run tasks on Kubernetes; local runs have no pods.

    Attributes:
        pod_spec: A `V1PodSpec` of the kubernetes package, which is needed for nothing else.
        primary_container_name: The container of the spec that runs the task.
        labels: Labels of the pod.
        annotations: Annotations of the pod.

    Raises:
        TypeError: a field is of another type.
    """

    pod_spec: Optional[V1PodSpec] = None
    primary_container_name: str = "primary"
    labels: Optional[Dict[str, str]] = None
    annotations: Optional[Dict[str, str]] = None

    def __post_init__(self) -> None:
        name = self.primary_container_name
        expect(isinstance(name, str) and name != "", "PodTemplate.primary_container_name", "a name", name)
        has_containers = self.pod_spec is None or hasattr(self.pod_spec, "containers")
        expect(has_containers, "PodTemplate.pod_spec", "a kubernetes V1PodSpec or None", self.pod_spec)
        for what, mapping in (("labels", self.labels), ("annotations", self.annotations)):
            if mapping is not None:
                expect_str_mapping(f"PodTemplate.{what}", mapping)

    @classmethod
    def from_spec(
        cls,
        pod_spec: V1PodSpec,
        *,
        primary_container_name: Optional[str] = None,
        labels: Optional[Dict[str, str]] = None,
        annotations: Optional[Dict[str, str]] = None,
    ) -> PodTemplate:
        """A template around a copy of `pod_spec`.

        Args:
            pod_spec: A `V1PodSpec`; later changes to it do not reach the template.
            primary_container_name: By default the one named `primary`, or the only one there is.
            labels: Labels of the pod.
            annotations: Annotations of the pod.

        Raises:
            ValueError: there is no container of that name, or it is not clear which one is meant.
        """
        names = [container.name for container in pod_spec.containers]
        name = primary_container_name or _only_or_primary(names)
        if name not in names:
            raise ValueError(f"primary_container_name {name!r} not found in pod spec; available containers: {names}")
        return cls(deepcopy(pod_spec), name, labels, annotations)


def _only_or_primary(names: list[Any]) -> str:
    if "primary" in names:
        return "primary"
    if len(names) != 1:
        raise ValueError(
            f"cannot tell the primary container: the pod spec has containers {names} and none is named 'primary'. "
            f"Pass primary_container_name= to pick one."
        )
    return str(names[0])
