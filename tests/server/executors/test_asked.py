"""What a spec asks for, what is made of its command line, and what the files of an attempt say."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from flyteidl2.core.execution_pb2 import ContainerError, ErrorDocument, ExecutionError
from flyteidl2.core.tasks_pb2 import Resources
from flyteidl2.task.common_pb2 import Outputs
from flyteidl2.task.task_definition_pb2 import TaskSpec

from flyte._image.environment import RUNNING
from flyte._server.executors.capacity import (
    DEFAULT_CPU_MILLIS,
    DEFAULT_MEMORY_BYTES,
    machine_capacity,
    memory_limit,
    requested,
)
from flyte._server.executors.code import value_of, with_value
from flyte._server.executors.command import (
    ControlPlane,
    attempt_variables,
    filled,
    inherited_variables,
    shared_variables,
)
from flyte._server.executors.containers import process_of
from flyte._server.executors.images import ImageMapping, Images
from flyte._server.executors.memory import exactly_used_by, kernel_kills, used_by
from flyte._server.executors.official import ensure_official
from flyte._server.executors.orders import AttemptOrder, Capacity
from flyte._server.executors.outcomes import outcome
from flyte._server.executors.refused import UnrunnableError
from flyte._server.refusals import InvalidRequestError
from flyte.errors import ImageBuildError
from flyte.models import ActionID
from tests.server.executors.served import STARTED


def spec_with(requests: dict[int, str], limits: dict[int, str] | None = None) -> TaskSpec:
    """A spec whose container has these resources."""
    spec = TaskSpec()
    spec.task_template.container.SetInParent()
    for entries, quantities in (("requests", requests), ("limits", limits or {})):
        for name, text in quantities.items():
            entry = Resources.ResourceEntry(name=name, value=text)
            getattr(spec.task_template.container.resources, entries).append(entry)
    return spec


def order_of(spec: TaskSpec, folder: Path, **changes: object) -> AttemptOrder:
    """An order for the second attempt at an action."""
    order = AttemptOrder(
        action=ActionID(name="a1", run_name="r1", project="p1", domain="d1", org="o1"),
        attempt_no=2,
        spec=spec,
        spec_digest=b"",
        inputs_uri="/in/inputs.pb",
        outputs_path=str(folder),
        run_base_dir="/base",
        raw_data_path="/raw",
        checkpoint_path="/2/_c",
        prev_checkpoint="/1/_c",
        run_started_at=STARTED,
    )
    return replace(order, **changes)  # type: ignore[arg-type]


def test_what_a_task_takes_is_its_requests_else_its_limits_else_a_little() -> None:
    assert requested(spec_with({})) == Capacity(DEFAULT_CPU_MILLIS, DEFAULT_MEMORY_BYTES, 0)
    asked = {Resources.CPU: "1500m", Resources.MEMORY: "2Gi", Resources.GPU: "1"}
    assert requested(spec_with(asked)) == Capacity(1500, 2 << 30, 1)
    assert requested(spec_with({}, {Resources.CPU: "2", Resources.MEMORY: "1G"})) == Capacity(2000, 10**9, 0)
    assert requested(spec_with({Resources.CPU: "0.0001"})).cpu_millis == 1
    assert requested(TaskSpec()) == Capacity(0, 0, 0)


@pytest.mark.parametrize("quantity", ["many", "-5", "nan", "inf", "1e999999999", "9" * 400, "1e9999999999999999999"])
@pytest.mark.parametrize("name", [Resources.CPU, Resources.MEMORY, Resources.GPU])
def test_a_quantity_that_no_machine_has_is_refused(name: int, quantity: str) -> None:
    for spec in (spec_with({name: quantity}), spec_with({}, {name: quantity})):
        with pytest.raises(InvalidRequestError, match="the task's resources"):
            requested(spec)


def test_a_pod_that_is_none_is_refused() -> None:
    spec = TaskSpec()
    spec.task_template.k8s_pod.pod_spec["containers"] = 7
    with pytest.raises(UnrunnableError, match="none of Kubernetes"):
        process_of(spec)


def test_a_limit_is_bytes_or_a_refusal() -> None:
    assert memory_limit(process_of(spec_with({Resources.MEMORY: "1Gi"}))) is None
    assert memory_limit(process_of(spec_with({}, {Resources.MEMORY: "1Gi"}))) == 1 << 30
    with pytest.raises(UnrunnableError, match="512m"):
        memory_limit(process_of(spec_with({}, {Resources.MEMORY: "512m"})))


def test_a_container_with_less_than_the_machine_counts(tmp_path: Path) -> None:
    machine = machine_capacity(tmp_path)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert machine_capacity(tmp_path) == machine
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text("1048576\n")
    assert machine_capacity(tmp_path) == Capacity(500, 1 << 20, machine.gpus)


def test_the_primary_container_of_a_pod_is_the_process() -> None:
    spec = TaskSpec()
    spec.task_template.k8s_pod.pod_spec.update(
        {
            "containers": [
                {"name": "sidecar", "image": "other:1"},
                {
                    "name": "main",
                    "image": "mine:1",
                    "args": ["a0", "--inputs", "{{.input}}"],
                    "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"fieldRef": {}}}],
                    "resources": {"requests": {"cpu": 2, "nvidia.com/gpu": 1}, "limits": {"memory": "1Gi"}},
                },
            ]
        }
    )
    spec.task_template.config["primary_container_name"] = "main"
    process = process_of(spec)
    assert (process.image, process.arguments) == ("mine:1", ("a0", "--inputs", "{{.input}}"))
    assert process.variables == {"A": "1"}
    assert requested(spec) == Capacity(2000, 1 << 30, 1)
    spec.task_template.config["primary_container_name"] = "none"
    with pytest.raises(UnrunnableError, match="'sidecar', 'main'"):
        process_of(spec)
    with pytest.raises(UnrunnableError, match="neither a container nor a pod"):
        process_of(TaskSpec())


def test_placeholders_are_filled_in(tmp_path: Path) -> None:
    names = "input outputPrefix rawOutputDataPrefix checkpointOutputPrefix prevCheckpointPrefix runName actionName"
    names += " runStartTime executionProject executionDomain executionOrg unknown"
    arguments = tuple(f"{{{{.{name}}}}}" for name in names.split())
    order = order_of(TaskSpec(), tmp_path)
    expected = ["/in/inputs.pb", str(tmp_path), "/raw", "/2/_c", "/1/_c", "r1", "a1", "2026-01-02T03:04:05+00:00"]
    assert filled(arguments, order) == [*expected, "p1", "d1", "o1", "{{.unknown}}"]
    assert filled(("{{.prevCheckpointPrefix}}", "x-{{ .runName }}-y"), replace(order, prev_checkpoint=None)) == [
        "",
        "x-r1-y",
    ]


def test_variables_tell_the_attempt_where_it_is(tmp_path: Path) -> None:
    order = order_of(TaskSpec(), tmp_path, env_vars={"LOG_LEVEL": "10", "ACTION_NAME": "lost", "_U_ORG_NAME": "lost"})
    assert attempt_variables(order) == {
        "ACTION_NAME": "a1",
        "RUN_NAME": "r1",
        "_U_RUN_BASE": "/base",
        "FLYTE_ATTEMPT_NUMBER": "1",
    }
    assert shared_variables(order, {"LOG_LEVEL": "30", "MINE": "1"}, ControlPlane("localhost:1", {"T": "x"})) == {
        "LOG_LEVEL": "10",
        "MINE": "1",
        "FLYTE_INTERNAL_EXECUTION_PROJECT": "p1",
        "FLYTE_INTERNAL_EXECUTION_DOMAIN": "d1",
        "_U_ORG_NAME": "o1",
        "_U_EP_OVERRIDE": "localhost:1",
        "_U_USE_ACTIONS": "1",
        "T": "x",
    }


def test_a_run_may_have_the_other_family_of_services(tmp_path: Path) -> None:
    order = order_of(TaskSpec(), tmp_path, env_vars={"_U_USE_ACTIONS": "0"})
    assert shared_variables(order, {}, ControlPlane("localhost:1", {}))["_U_USE_ACTIONS"] == "0"


@pytest.mark.parametrize(
    ("endpoint", "is_plain"), [("localhost:1", None), ("127.0.0.1:1", "1"), ("http://h:1", "1"), ("https://h:1", None)]
)
def test_plain_http_is_said_where_it_does_not_go_without_saying(endpoint: str, is_plain: str | None) -> None:
    assert ControlPlane(endpoint, {}).all_variables().get("_U_INSECURE") == is_plain


def test_nothing_of_the_server_itself_is_inherited() -> None:
    of_machine = {"PATH": "/bin", "HOME": "/root", "AWS_REGION": "r", "FLYTE_AWS_ENDPOINT": "e", "RUN_NAMES": "x"}
    of_server = {"FLYTE_HOME": "/h", "_U_EP_OVERRIDE": "x", "_UNION_EAGER_API_KEY": "k", "FLYTECTL_CONFIG": "c"}
    of_server |= {"LOG_LEVEL": "10", "RUN_NAME": "r", "ACTION_NAME": "a", "_F_SYS_PATH": "p", "FLYTE_AUTH_TOKEN": "t"}
    added = {"FSSPEC_FILE_AUTO_MKDIR": "true", "DO_NOT_TRACK": "1"}
    assert inherited_variables(of_machine | of_server) == of_machine | added


def test_options_of_the_resolver_are_none_of_the_program() -> None:
    line = ("a0", "--dest", ".", "--resolver", "r", "mod", "--tgz", "instance", "x")
    assert value_of(line, "--tgz") is None
    assert value_of(line, "--dest") == "."
    assert with_value(line, "--dest", "/code")[:3] == ("a0", "--dest", "/code")
    assert with_value(line, "--tgz", "/t")[:3] == ("a0", "--tgz", "/t")


async def test_an_error_document_comes_first_then_the_exit_code_then_outputs(tmp_path: Path) -> None:
    spec = TaskSpec()
    spec.task_template.id.name = "t"
    order = order_of(spec, tmp_path)
    # Without outputs to give, a task may leave no file.
    assert (await outcome(order, 0)).outputs == b""
    spec.task_template.interface.outputs.variables.add(key="o0")
    missing = (await outcome(order, 0)).failure
    assert missing is not None
    assert (missing.code, missing.kind, missing.recoverable) == ("OutputsMissing", "system", True)
    (tmp_path / "outputs.pb").write_bytes(Outputs().SerializeToString() + b"")
    assert (await outcome(order, 0)).outputs == b""
    died = (await outcome(order, 7)).failure
    assert died is not None
    assert "exit code 7" in died.message
    error = ContainerError(code="C", message="m", kind=ContainerError.NON_RECOVERABLE, origin=ExecutionError.SYSTEM)
    (tmp_path / "error.pb").write_bytes(ErrorDocument(error=error).SerializeToString())
    for exit_code in (0, 1, -9):
        told = (await outcome(order, exit_code)).failure
        assert told is not None
        assert (told.code, told.kind, told.message, told.recoverable) == ("C", "system", "m", False)
    (tmp_path / "error.pb").write_bytes(b"\xff\xff")
    damaged = (await outcome(order, 0)).failure
    assert damaged is not None
    assert damaged.code == "ErrorUnreadable"


async def test_a_pipe_that_a_task_leaves_keeps_nobody_waiting(tmp_path: Path) -> None:
    for name in ("outputs.pb", "error.pb"):
        os.mkfifo(tmp_path / name)
        # It would wait in this very thread, so that no timeout could end it.
        told = (await asyncio.to_thread(asyncio.run, outcome(order_of(TaskSpec(), tmp_path), 0))).failure
        assert told is not None
        assert (told.code, "is no file" in told.message) == ("OutputsUnreadable", True)
        (tmp_path / name).unlink()


async def test_an_interpreter_is_found_by_a_pattern(tmp_path: Path) -> None:
    mapping = ImageMapping.parse([f"mine/*:1={sys.prefix}", f"mine/*={sys.prefix}"])
    assert mapping.find("mine/a:1") == Path(sys.prefix) / "bin" / "python"
    assert mapping.find("other/a:1") is None
    spec = TaskSpec()
    spec.task_template.container.image = "mine/a:1"
    software = await Images(tmp_path, mapping).software(process_of(spec), spec)
    assert (software.environment.key, software.is_ours) == (RUNNING, True)


@pytest.mark.parametrize("text", ["nothing", "=folder", "image=", "image=/nowhere/at/all"])
def test_a_mapping_that_leads_nowhere_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="--image"):
        ImageMapping.parse([text])


async def test_an_environment_without_flyte_is_no_image(tmp_path: Path) -> None:
    import venv

    venv.create(tmp_path / "bare", with_pip=False)
    spec = TaskSpec()
    spec.task_template.container.image = "mine:1"
    images = Images(tmp_path, ImageMapping([("mine:*", tmp_path / "bare")]))
    with pytest.raises(UnrunnableError, match="it has no flyte") as refused:
        await images.software(process_of(spec), spec)
    assert refused.value.failure.code == "ImagePullBackOff"


@pytest.mark.parametrize("version", ["0.9.1", "2", "2.1.0 --index-url x", "3.0.0", ""])
def test_only_official_releases_are_installed_on_demand(tmp_path: Path, version: str) -> None:
    with pytest.raises(ImageBuildError, match="releases 2.x"):
        ensure_official(tmp_path, version, (3, 11))
    assert not (tmp_path / "images").exists()


def test_memory_of_a_session_is_seen() -> None:
    session = os.getsid(0)
    if session == 0:
        pytest.skip("the session is not of this container")
    resident, exact = used_by([session])[session], exactly_used_by(session)
    assert 0 < exact <= resident * 1.2
    assert kernel_kills() >= 0
