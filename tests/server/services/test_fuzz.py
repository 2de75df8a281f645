"""Every RPC of every service, asked with garbage: no crash, and no error but a declared one.

`FLYTE_FUZZ_CALLS=5000` makes so many calls of each RPC; without it there are few.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.actions import actions_service_pb2
from flyteidl2.core.types_pb2 import SimpleType
from flyteidl2.imagebuilder import service_pb2 as image_service_pb2
from flyteidl2.project import project_service_pb2
from flyteidl2.secret import secret_pb2
from flyteidl2.secret.definition_pb2 import SecretIdentifier, SecretSpec
from flyteidl2.secret.payload_pb2 import CreateSecretRequest
from flyteidl2.settings import settings_service_pb2
from flyteidl2.task import task_service_pb2
from flyteidl2.task.task_definition_pb2 import TaskIdentifier, TaskTrigger, TaskTriggerSpec
from flyteidl2.trigger import trigger_service_pb2
from flyteidl2.workflow import queue_service_pb2, run_service_pb2, state_service_pb2, tracked_run_service_pb2
from google.protobuf.message_factory import GetMessageClass

from flyte.models import ActionPhase
from tests.server.scheduler.scripted import spec
from tests.server.services.garbage import fill, tameness
from tests.server.services.serving import Served, served
from tests.server.services.stored_runs import local_run

CALLS = int(os.environ.get("FLYTE_FUZZ_CALLS", "12"))

DECLARED = {
    Code.INVALID_ARGUMENT,
    Code.NOT_FOUND,
    Code.ALREADY_EXISTS,
    Code.FAILED_PRECONDITION,
    Code.ABORTED,
    Code.RESOURCE_EXHAUSTED,
}
NOT_OFFERED = {"Put", "Update"}

FILES = {
    "actions": (actions_service_pb2, "ActionsService"),
    "images": (image_service_pb2, "ImageService"),
    "projects": (project_service_pb2, "ProjectService"),
    "secrets": (secret_pb2, "SecretService"),
    "settings": (settings_service_pb2, "SettingsService"),
    "tasks": (task_service_pb2, "TaskService"),
    "triggers": (trigger_service_pb2, "TriggerService"),
    "queue": (queue_service_pb2, "QueueService"),
    "state": (state_service_pb2, "StateService"),
    "runs": (run_service_pb2, "RunService"),
    "tracked": (tracked_run_service_pb2, "TrackedRunService"),
}


async def call(client: Any, method: Any, request: Any) -> Code | None:
    """The code of the answer; None for a good one, of a stream its first message."""
    name = re.sub(r"(?<!^)([A-Z])", r"_\1", method.name).lower()
    try:
        if not method.server_streaming:
            await getattr(client, name)(request, timeout_ms=10_000)
        else:
            stream = getattr(client, name)(request, timeout_ms=10_000)
            try:
                async for _ in stream:
                    break
            finally:
                await stream.aclose()
    except ConnectError as error:
        return error.code
    return None


async def fuzz(server: Served, name: str, calls: int) -> Counter[tuple[str, Code | None]]:
    """How often which RPC of a service was answered with which code."""
    module, service = FILES[name]
    client = await getattr(server, name)()
    answers: Counter[tuple[str, Code | None]] = Counter()
    for method in module.DESCRIPTOR.services_by_name[service].methods:
        random = Random(f"{service}.{method.name}")
        for _ in range(calls):
            request = fill(random, GetMessageClass(method.input_type)(), tameness(random))
            code = await call(client, method, request)
            allowed = DECLARED | ({Code.UNIMPLEMENTED} if method.name in NOT_OFFERED else set())
            assert code is None or code in allowed, f"{service}.{method.name}: {code}\n{request}"
            answers[method.name, code] += 1
    return answers


async def prepare(server: Served) -> None:
    """There is something of each kind, under the names that garbage has now and then."""
    place = {"project": "flytesnacks", "domain": "development"}
    task_id = TaskIdentifier(name="env.root", version="v1", **place)
    trigger = TaskTrigger(name="nightly", spec=TaskTriggerSpec(active=True))
    deployed = task_service_pb2.DeployTaskRequest(task_id=task_id, spec=spec("env.root"), triggers=[trigger])
    await (await server.tasks()).deploy_task(deployed)
    secret = SecretIdentifier(name="token", **place)
    await (await server.secrets()).create_secret(
        CreateSecretRequest(id=secret, secret_spec=SecretSpec(string_value="word"))
    )
    await server.plane.run(spec("env.root"), "done")
    (await server.executor.attempt("a0")).end()
    await server.plane.until("a0", ActionPhase.SUCCEEDED, "done")
    await server.plane.run(spec("env.root"))
    await server.plane.call("child")
    question = server.plane.target("question")
    question.condition.name = "go"
    question.condition.type.simple = SimpleType.STRING
    await server.plane.scheduler.enqueue(question)
    await asyncio.to_thread(server.writer.write, local_run("local-run"))


@pytest.mark.parametrize("name", FILES)
async def test_garbage_is_answered_with_declared_errors(tmp_path: Path, name: str) -> None:
    home = tmp_path / "home"
    async with served(home) as server:
        await prepare(server)
        answers = await fuzz(server, name, CALLS)
        assert server.plane.scheduler.error is None
    assert answers.total() >= CALLS
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
