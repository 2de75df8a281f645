"""Deploying tasks, and running deployed ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from flyteidl2.task.common_pb2 import TriggerAutomationSpecType

import flyte
from conformance.peer import Peer
from flyte._context import ActionScope, enter_scope, leave_scope
from flyte.errors import DeploymentError, RemoteTaskNotFoundError, RemoteTaskUsageError, TaskDefinitionError
from flyte.models import NULL_TASK_CONTEXT
from flyte.remote import Run, Task, Trigger, TriggerDetails
from tests.remote.programs import double, env


@pytest.fixture
def deployed(peer: Peer) -> Peer:
    """`programs.env` is deployed as `v1`."""
    flyte.deploy(env, version="v1")
    return peer


def test_deploying_sends_each_task_with_its_triggers_and_its_code(peer: Peer) -> None:
    (deployment,) = flyte.deploy(env, version="v1")
    requests = {each.task_id.name: each for each in peer.requests("DeployTask")}
    assert set(requests) == set(env.tasks)
    request = requests["digits.double"]
    assert request.task_id.version == "v1"
    assert [each.name for each in request.spec.default_inputs] == ["y"]
    assert request.spec.documentation.short_description == "Twice as much."
    assert request.spec.environment.description == "Some digits."
    arguments = list(request.spec.task_template.container.args)
    assert arguments[arguments.index("--tgz") + 1].endswith(".tar.gz")
    assert request.spec.task_template.container.image == "python:3.11"
    noon, rate = requests["digits.timed"].triggers
    assert noon.automation_spec.schedule.cron.timezone == "Europe/Berlin"
    assert noon.automation_spec.schedule.kickoff_time_input_arg == "at"
    assert [each.name for each in noon.spec.inputs.literals] == ["y"]
    assert {each.key: each.value for each in noon.spec.inputs.context} == {"c": "d", "_u_kickoff_time_input_arg": "at"}
    assert rate.automation_spec.schedule.rate.value == 5
    assert (noon.spec.active, rate.spec.active) == (True, False)
    assert "digits.double" in deployment.summary_repr()
    assert all(each.is_new for each in deployment.envs["digits"].deployed_entities)


def test_deploying_twice_is_deploying_once(deployed: Peer) -> None:
    (again,) = flyte.deploy(env, version="v1")
    assert not any(each.is_new for each in again.envs["digits"].deployed_entities)
    assert len(deployed.requests("CreateUploadLocation")) == 1


def test_without_a_version_it_is_that_of_the_code(peer: Peer) -> None:
    (deployment,) = flyte.deploy(env)
    versions = {each.version for each in deployment.envs["digits"].deployed_entities}
    assert len(versions) == 1
    assert all(len(version) == 32 for version in versions)


def test_a_dry_run_of_a_deployment_calls_nobody(peer: Peer) -> None:
    (deployment,) = flyte.deploy(env, dry_run=True)
    assert peer.recorded == []
    assert {each.name for each in deployment.envs["digits"].deployed_entities} == set(env.tasks)


def test_what_cannot_be_deployed_is_refused(peer: Peer) -> None:
    with pytest.raises(ValueError, match="none is given"):
        flyte.deploy()
    with pytest.raises(TypeError, match="takes environments"):
        flyte.deploy(double)  # type: ignore[arg-type]
    with pytest.raises(DeploymentError, match="interactive_mode"):
        flyte.deploy(env, interactive_mode=True)
    with pytest.raises(ValueError, match="version"):
        flyte.deploy(env, copy_style="none")
    other = flyte.TaskEnvironment("digits")
    with pytest.raises(DeploymentError, match="two environments are named 'digits'"):
        flyte.deploy(env, other)
    assert peer.requests("DeployTask") == []


def test_a_deployed_task_is_asked_for_when_it_is_used(deployed: Peer) -> None:
    task = Task.get("digits.double", version="v1")
    assert deployed.requests("GetTaskDetails") == []
    deployed.on_run = lambda name: deployed.settle(name, outputs=double.codec.encode_outputs(6))
    run = flyte.run(task, x=3)
    assert isinstance(run, Run)
    assert run.outputs().o0 == 6
    request = deployed.requests("CreateRun")[0]
    assert request.task_id.name == "digits.double"
    inputs = deployed.requests("UploadInputs")[0].inputs
    assert [each.name for each in inputs.literals] == ["x", "y"]


def test_the_latest_version_is_the_one_deployed_last(deployed: Peer) -> None:
    flyte.deploy(env, version="v2")
    details = Task.get("digits.double", auto_version="latest").fetch()
    assert details.version == "v2"
    assert details.required_args == ("x",)
    assert details.default_input_args == ("y",)
    assert details.interface.get_input_types() == {"x": int, "y": str}


def test_a_deployed_task_with_other_settings_is_sent_whole(deployed: Peer) -> None:
    task = Task.get("digits.double", version="v1")
    changed = task.override(
        retries=3,
        timeout=60,
        resources=flyte.Resources(cpu=2),
        env_vars={"B": "2"},
        secrets="key",
        cache=flyte.Cache("override", version_override="7"),
        queue="fast",
    )
    flyte.run(changed, x=3)
    request = deployed.requests("CreateRun")[0]
    template = request.task_spec.task_template
    assert template.metadata.retries.retries == 3
    assert template.metadata.timeout.seconds == 60
    assert template.metadata.discovery_version == "7"
    assert [each.value for each in template.container.resources.requests] == ["2"]
    assert {each.key: each.value for each in template.container.env} == {"B": "2"}
    assert [each.key for each in template.security_context.secrets] == ["key"]
    assert request.run_spec.queue == "fast"
    flyte.run(task, x=3)
    assert deployed.requests("CreateRun")[1].HasField("task_id")


def test_mistakes_about_deployed_tasks_are_told(deployed: Peer) -> None:
    with pytest.raises(RemoteTaskNotFoundError, match="digits.nowhere"):
        Task.get("digits.nowhere", version="v1").fetch()
    with pytest.raises(RemoteTaskNotFoundError, match="no version of task"):
        Task.get("digits.nowhere", auto_version="latest").fetch()
    with pytest.raises(ValueError, match="not both"):
        Task.get("digits.double")
    with pytest.raises(ValueError, match="none runs here"):
        Task.get("digits.double", auto_version="current").fetch()
    with pytest.raises(TaskDefinitionError, match="image"):
        Task.get("digits.double", version="v1").fetch().override(image="x")
    with pytest.raises(ValueError, match="mode='remote'"):
        flyte.with_runcontext(mode="local").run(Task.get("digits.double", version="v1"), x=1)


async def test_outside_a_task_a_deployed_one_is_not_called(deployed: Peer) -> None:
    with pytest.raises(RemoteTaskUsageError, match="flyte.run"):
        await Task.get("digits.double", version="v1")(x=1)


async def test_inside_a_task_a_deployed_one_goes_to_the_controller(deployed: Peer) -> None:
    calls: list[Any] = []

    class Controller:
        async def submit_spec(
            self, scope: Any, spec: Any, codec: Any, limited: Any, args: Any, kwargs: Any, queue: str
        ) -> int:
            calls.append((limited.name, spec.task_template.id.version, args, kwargs, queue))
            return int(codec.decode_inputs(codec.encode_inputs(kwargs))["x"])

    controller: Any = Controller()
    token = enter_scope(ActionScope("a0", controller, lambda scope: NULL_TASK_CONTEXT))
    try:
        assert await Task.get("digits.double", version="v1")(x=3) == 3
    finally:
        leave_scope(token)
    assert calls == [("digits.double", "v1", (), {"x": 3}, "")]


async def test_a_local_run_cannot_call_a_deployed_task(deployed: Peer) -> None:
    controller: Any = object()
    token = enter_scope(ActionScope("a0", controller, lambda scope: NULL_TASK_CONTEXT))
    try:
        with pytest.raises(RemoteTaskUsageError, match="local run"):
            await Task.get("digits.double", version="v1")(x=3)
    finally:
        leave_scope(token)


def test_tasks_are_listed(deployed: Peer) -> None:
    names = [each.name for each in Task.listall(by_task_env="digits", entrypoint=False)]
    assert set(names) == set(env.tasks)
    request = deployed.requests("ListTasks")[0]
    assert [list(each.values) for each in request.request.filters] == [["digits."]]
    assert [each.is_entrypoint for each in request.known_filters] == [False]
    (found,) = (each for each in Task.listall() if each.name == "digits.double")
    assert found.version == "v1"
    assert found.url.endswith("/tasks/digits.double")


def test_triggers_are_made_changed_fired_and_deleted(deployed: Peer) -> None:
    declared = flyte.Trigger("late", flyte.Cron("0 1 * * *"), inputs={"at": flyte.TriggerTime}, labels={"l": "1"})
    trigger = Trigger.create(declared, "digits.timed")
    assert trigger.is_active
    assert trigger.automation_spec.type == TriggerAutomationSpecType.TYPE_SCHEDULE
    assert deployed.requests("DeployTrigger")[0].spec.task_version == "v1"
    Trigger.update("late", "digits.timed", active=False)
    details = Trigger.get(name="late", task_name="digits.timed")
    assert isinstance(details, TriggerDetails)
    assert not details.is_active
    assert details.trigger.spec.run_spec.labels.values == {"l": "1"}
    flyte.run(details, at=datetime(2026, 1, 1, tzinfo=UTC))
    assert deployed.requests("CreateRun")[0].trigger_name.name == "late"
    assert [each.name for each in Trigger.listall("digits.timed")] == ["late"]
    Trigger.delete("late", "digits.timed")
    assert list(Trigger.listall()) == []


def test_a_trigger_whose_inputs_do_not_fit_is_refused(deployed: Peer) -> None:
    with pytest.raises(DeploymentError, match="trigger 'bad'"):
        Trigger.create(flyte.Trigger("bad", inputs={"at": 3}), "digits.timed")
    with pytest.raises(DeploymentError, match="trigger 'bad'"):
        Trigger.create(flyte.Trigger("bad", inputs={"when": 3}), "digits.timed")
