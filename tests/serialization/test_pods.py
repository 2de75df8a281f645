"""A task with a pod template runs in the primary container of that pod."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from kubernetes.client import V1Container, V1EnvVar, V1PodSpec, V1ResourceRequirements

import flyte
from flyte.errors import TaskDefinitionError
from tests.serialization.serving import spec_of, task_with


def pod(template: flyte.PodTemplate, **settings: Any) -> tuple[Any, dict[str, Any]]:
    """The template of a task, and its pod spec."""
    message = spec_of(task_with(pod_template=template, **settings)).task_template
    return message, MessageToDict(message.k8s_pod.pod_spec)


def test_template_of_labels_alone_gets_a_container_of_its_own() -> None:
    message, spec = pod(flyte.PodTemplate(labels={"queue": "x"}, annotations={"note": "y"}))
    (container,) = spec["containers"]
    assert message.WhichOneof("target") == "k8s_pod"
    assert (container["name"], container["image"], container["command"]) == ("primary", "base:1", [])
    assert container["args"][:3] == ["a0", "--inputs", "{{.input}}"]
    assert dict(message.k8s_pod.metadata.labels) == {"queue": "x"}
    assert dict(message.k8s_pod.metadata.annotations) == {"note": "y"}
    assert dict(message.config) == {"primary_container_name": "primary"}


def test_other_containers_and_settings_of_the_pod_are_left_alone() -> None:
    spec = V1PodSpec(
        containers=[V1Container(name="side", image="side:1"), V1Container(name="main", image="own:1")],
        termination_grace_period_seconds=30,
    )
    _, found = pod(flyte.PodTemplate(spec, primary_container_name="main"))
    side, main = found["containers"]
    assert side == {"name": "side", "image": "side:1"}
    assert (main["image"], main["args"][0]) == ("own:1", "a0")
    assert found["terminationGracePeriodSeconds"] == 30.0


def test_resources_and_variables_of_both_are_put_together() -> None:
    primary = V1Container(
        name="primary",
        env=[V1EnvVar(name="A", value="pod")],
        resources=V1ResourceRequirements(limits={"cpu": "9", "smarter-devices/fuse": "1"}),
    )
    resources = flyte.Resources(cpu=(1, 2), gpu=1, disk="1Gi")
    template = flyte.PodTemplate(V1PodSpec(containers=[primary]))
    _, spec = pod(template, resources=resources, env_vars={"A": "task", "B": "2"})
    (container,) = spec["containers"]
    assert container["resources"]["limits"] == {"cpu": "2", "smarter-devices/fuse": "1"}
    assert container["resources"]["requests"] == {"cpu": "1", "gpu": "1", "ephemeral-storage": "1Gi"}
    # Of two variables of one name the last counts.
    assert [(each["name"], each["value"]) for each in container["env"]] == [("A", "task"), ("B", "2"), ("A", "pod")]


def test_the_users_template_is_not_changed() -> None:
    spec = V1PodSpec(containers=[V1Container(name="primary")])
    pod(flyte.PodTemplate(spec))
    assert spec.containers[0].args is None


def test_template_without_the_primary_container_is_refused_with_those_it_has() -> None:
    template = flyte.PodTemplate(V1PodSpec(containers=[V1Container(name="side")]))
    with pytest.raises(TaskDefinitionError, match="no container named 'primary', to run the task in; it has 'side'"):
        pod(template)


def test_name_of_a_template_of_the_control_plane_travels_in_the_metadata() -> None:
    message = spec_of(task_with(pod_template="team-default")).task_template
    assert message.metadata.pod_template_name == "team-default"
    assert message.WhichOneof("target") == "container"


def test_reused_workers_in_pods_have_the_image_of_the_pod() -> None:
    spec = V1PodSpec(containers=[V1Container(name="primary", image="own:1")])
    message, _ = pod(flyte.PodTemplate(spec), reusable=flyte.ReusePolicy())
    assert message.type == "actor"
    assert MessageToDict(message.custom)["spec"]["container_image"] == "own:1"
    assert MessageToDict(message.k8s_pod.pod_spec)["containers"][0]["args"][0] == "a0"


def test_reused_workers_in_pods_without_any_image_have_none() -> None:
    spec = V1PodSpec(containers=[V1Container(name="primary")])
    message, _ = pod(flyte.PodTemplate(spec), reusable=flyte.ReusePolicy(), image=None)
    assert MessageToDict(message.custom)["spec"]["container_image"] == ""


def test_pod_spec_without_the_package_that_writes_it_is_an_error_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    template = flyte.PodTemplate(V1PodSpec(containers=[V1Container(name="primary")]))
    monkeypatch.setitem(sys.modules, "kubernetes.client", None)
    with pytest.raises(TaskDefinitionError, match="needs the kubernetes package, which cannot be imported"):
        pod(template)


def test_template_of_labels_alone_needs_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes.client", None)
    assert pod(flyte.PodTemplate(labels={"a": "b"}))[1]["containers"][0]["name"] == "primary"
