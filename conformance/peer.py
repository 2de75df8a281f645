"""A control plane in memory that records what it is asked, answers as the protocol says, and fails on request.

It runs nothing: whoever holds it says what becomes of each action.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.auth import identity_pb2
from flyteidl2.auth.identity_connect import IdentityServiceASGIApplication
from flyteidl2.cluster import payload_pb2 as cluster_pb2
from flyteidl2.cluster.service_connect import ClusterServiceASGIApplication
from flyteidl2.common import identifier_pb2, phase_pb2, run_pb2
from flyteidl2.common.list_pb2 import Filter
from flyteidl2.dataproxy import dataproxy_service_pb2 as data_pb2
from flyteidl2.dataproxy.dataproxy_service_connect import DataProxyServiceASGIApplication
from flyteidl2.logs.dataplane import payload_pb2 as logs_pb2
from flyteidl2.project import project_service_pb2 as project_pb2
from flyteidl2.project.project_service_connect import ProjectServiceASGIApplication
from flyteidl2.secret import definition_pb2 as secret_definition_pb2
from flyteidl2.secret import payload_pb2 as secret_pb2
from flyteidl2.secret.secret_connect import SecretServiceASGIApplication
from flyteidl2.task import task_definition_pb2
from flyteidl2.task import task_service_pb2 as task_pb2
from flyteidl2.task.common_pb2 import Inputs, Outputs
from flyteidl2.task.task_service_connect import TaskServiceASGIApplication
from flyteidl2.trigger import trigger_definition_pb2
from flyteidl2.trigger import trigger_service_pb2 as trigger_pb2
from flyteidl2.trigger.trigger_service_connect import TriggerServiceASGIApplication
from flyteidl2.workflow import run_definition_pb2 as run_definition
from flyteidl2.workflow import run_service_pb2 as run_service
from flyteidl2.workflow.run_service_connect import RunServiceASGIApplication

Phase = phase_pb2.ActionPhase
TERMINAL = frozenset(
    {
        phase_pb2.ACTION_PHASE_SUCCEEDED,
        phase_pb2.ACTION_PHASE_FAILED,
        phase_pb2.ACTION_PHASE_ABORTED,
        phase_pb2.ACTION_PHASE_TIMED_OUT,
        phase_pb2.ACTION_PHASE_RECOVERED,
    }
)
Key = tuple[str, str]


@dataclass
class Recorded:
    """A request."""

    method: str
    message: Any
    headers: dict[str, str]


@dataclass
class KeptRun:
    """A run, and what it was asked for with."""

    request: run_service.CreateRunRequest
    inputs: Inputs
    actions: dict[str, run_definition.ActionDetails] = field(default_factory=dict)
    outputs: dict[str, Outputs] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)


class Peer:
    """The server, on a loopback port of its own.

    Args:
        folder: Where uploads are kept; they outlive a restart.
        host: Where it listens.

    Attributes:
        recorded: All requests, in the order they came.
        runs: By name.
        on_run: Told of each new run; may settle it at once.
        faults: Errors that the next calls of a method end with, by its name.
        drops: How many calls of a method are carried out without an answer, as if the server was killed.
        cuts: How many streams of a method end after their first message, as if the server was killed.
        token: What calls have to bring as a bearer token; None lets all in.
    """

    def __init__(self, folder: Path, host: str = "localhost") -> None:
        self.folder = folder
        self.host = host
        self.port = 0
        self.recorded: list[Recorded] = []
        self.puts: list[str] = []
        self.runs: dict[str, KeptRun] = {}
        self.tasks: dict[Key, task_definition_pb2.TaskDetails] = {}
        self.projects: dict[str, project_pb2.Project] = {}
        self.secrets: dict[str, secret_definition_pb2.Secret] = {}
        self.triggers: dict[Key, trigger_definition_pb2.TriggerDetails] = {}
        self.faults: dict[str, list[ConnectError]] = defaultdict(list)
        self.drops: dict[str, int] = defaultdict(int)
        self.cuts: dict[str, int] = defaultdict(int)
        self.token: str | None = None
        self.on_run: Callable[[str], None] = lambda name: None
        self._changed: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._apps = {app.path: app for app in _applications(self)}

    @property
    def endpoint(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    def start(self, certificate: Path | None = None) -> None:
        """It listens; on the port it had before, if any."""
        extra: dict[str, Any] = (
            {} if certificate is None else {"ssl_certfile": str(certificate), "ssl_keyfile": str(certificate)}
        )
        config = uvicorn.Config(
            self._app,
            host=self.host,
            port=self.port,
            log_level="critical",
            interface="asgi3",
            lifespan="off",
            timeout_graceful_shutdown=0,
            **extra,
        )
        self._server = server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, args=(server,), name="peer", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 10
        while not server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError(f"no server at {self.endpoint}")
            time.sleep(0.005)
        self.port = server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        """It listens no more; open streams are cut."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = self._server.force_exit = True
            self._thread.join()
            self._server = self._thread = None

    @contextmanager
    def serving(self, certificate: Path | None = None) -> Iterator[Peer]:
        """It listens inside the block."""
        self.start(certificate)
        try:
            yield self
        finally:
            self.stop()

    def _serve(self, server: uvicorn.Server) -> None:
        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            await server.serve()
            # As of a process that is killed: nothing is said goodbye to.
            for task in list(server.server_state.tasks):
                task.cancel()
            for connection in list(server.server_state.connections):
                transport: Any = getattr(connection, "transport", None)
                if transport is not None:
                    transport.abort()
            await asyncio.sleep(0)

        asyncio.run(serve())

    def requests(self, *methods: str) -> list[Any]:
        """The messages of these methods, in the order they came."""
        return [each.message for each in self.recorded if each.method in methods]

    # What becomes of actions.

    def settle(
        self,
        run_name: str,
        phase: int = phase_pb2.ACTION_PHASE_SUCCEEDED,
        outputs: Outputs | None = None,
        *,
        action: str = "a0",
        error: run_definition.ErrorInfo | None = None,
    ) -> None:
        """The action is in that phase; who watches it is told."""
        run = self.runs[run_name]
        details = run.actions[action]
        details.status.phase = phase
        if phase in TERMINAL:
            details.status.end_time.GetCurrentTime()
        if error is not None:
            details.error_info.CopyFrom(error)
        if outputs is not None:
            run.outputs[action] = outputs
        details.status.attempts = 1
        del details.attempts[:]
        details.attempts.add(attempt=1, phase=phase, logs_available=True)
        self._tell(run_name)

    def add_action(self, run_name: str, details: run_definition.ActionDetails) -> None:
        """The run has another action."""
        self.runs[run_name].actions[details.id.name] = details
        self._tell(run_name)

    def _tell(self, run_name: str) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._wake, run_name)

    def _wake(self, run_name: str) -> None:
        for event in self._changed[run_name]:
            event.set()

    async def watch(self, run_name: str) -> AsyncIterator[None]:
        """An item now and after each change."""
        event = asyncio.Event()
        self._changed[run_name].add(event)
        try:
            while True:
                yield
                await event.wait()
                event.clear()
        finally:
            self._changed[run_name].discard(event)

    # The wire.

    def record(self, message: Any, ctx: Any) -> None:
        """The request is recorded; raises the fault that is due."""
        method = ctx.method().name
        copy = type(message)()
        copy.CopyFrom(message)
        headers = {name.lower(): value for name, value in ctx.request_headers().items()}
        self.recorded.append(Recorded(method, copy, headers))
        if self.faults[method]:
            raise self.faults[method].pop(0)
        if self.token is not None and headers.get("authorization") != f"Bearer {self.token}":
            raise ConnectError(Code.UNAUTHENTICATED, "no valid token")

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        app = self._apps.get(path.rsplit("/", 1)[0])
        method = path.rsplit("/", 1)[-1]
        if app is not None and self.drops[method] > 0:
            self.drops[method] -= 1
            await app(scope, receive, self._drop)
        elif app is not None:
            await app(scope, receive, send)
        elif path.startswith("/files/"):
            await self._serve_file(scope, receive, send)
        else:
            await _respond(send, 404, b"no such page")

    async def _drop(self, message: Any) -> None:
        """The connections break before anything is said."""
        assert self._server is not None
        for connection in list(self._server.server_state.connections):
            transport: Any = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()

    async def _serve_file(self, scope: Any, receive: Any, send: Any) -> None:
        path = self.folder / scope["path"].removeprefix("/files/")
        if scope["method"] == "GET":
            found = path.is_file()
            await _respond(send, 200 if found else 404, path.read_bytes() if found else b"")
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.puts.append(scope["path"])
        if self.faults["PUT"]:
            self.faults["PUT"].pop(0)
            await _respond(send, 503, b"")
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        await _respond(send, 200, b"")


async def _respond(send: Any, status: int, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


class _Service:
    """One service; each of its methods is recorded first."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    def __getattr__(self, name: str) -> Any:
        async def refuse(request: Any, ctx: Any) -> Any:
            self.peer.record(request, ctx)
            raise ConnectError(Code.UNIMPLEMENTED, f"the peer has no {name}")

        if name.startswith("_"):
            raise AttributeError(name)
        return refuse


class _Runs(_Service):
    def _run(self, name: str) -> KeptRun:
        if name not in self.peer.runs:
            raise ConnectError(Code.NOT_FOUND, f"there is no run {name!r}")
        return self.peer.runs[name]

    def _action(self, action_id: identifier_pb2.ActionIdentifier) -> run_definition.ActionDetails:
        actions = self._run(action_id.run.name).actions
        if action_id.name not in actions:
            raise ConnectError(Code.NOT_FOUND, f"there is no action {action_id.name!r}")
        return actions[action_id.name]

    async def create_run(self, request: run_service.CreateRunRequest, ctx: Any) -> run_service.CreateRunResponse:
        self.peer.record(request, ctx)
        run_id = identifier_pb2.RunIdentifier()
        if request.HasField("run_id"):
            run_id.CopyFrom(request.run_id)
        else:
            place = request.project_id
            name = f"r{len(self.peer.runs):08d}"
            run_id = identifier_pb2.RunIdentifier(
                org=place.organization, project=place.name, domain=place.domain, name=name
            )
        if run_id.name in self.peer.runs:
            raise ConnectError(Code.ALREADY_EXISTS, f"there is a run {run_id.name!r}")
        data = Path(request.offloaded_input_data.uri)
        kept = KeptRun(request, Inputs.FromString(data.read_bytes()) if data.is_file() else Inputs())
        details = run_definition.ActionDetails(id=identifier_pb2.ActionIdentifier(run=run_id, name="a0"))
        details.status.phase = phase_pb2.ACTION_PHASE_QUEUED
        details.status.start_time.GetCurrentTime()
        details.metadata.action_type = run_definition.ACTION_TYPE_TASK
        spec = self._spec(request)
        details.task.CopyFrom(spec)
        named = spec.task_template.id
        details.metadata.task.id.CopyFrom(
            task_definition_pb2.TaskIdentifier(
                org=named.org, project=named.project, domain=named.domain, name=named.name, version=named.version
            )
        )
        kept.actions["a0"] = details
        self.peer.runs[run_id.name] = kept
        self.peer.on_run(run_id.name)
        return run_service.CreateRunResponse(run=_run_of(kept))

    def _spec(self, request: run_service.CreateRunRequest) -> task_definition_pb2.TaskSpec:
        if request.HasField("task_spec"):
            return request.task_spec
        if request.HasField("trigger_name"):
            for details in self.peer.tasks.values():
                if details.task_id.name == request.trigger_name.task_name:
                    return details.spec
        key = (request.task_id.name, request.task_id.version)
        if key not in self.peer.tasks:
            raise ConnectError(Code.NOT_FOUND, f"there is no task {key}")
        return self.peer.tasks[key].spec

    async def get_run_details(self, request: Any, ctx: Any) -> run_service.GetRunDetailsResponse:
        self.peer.record(request, ctx)
        run = self._run(request.run_id.name)
        return run_service.GetRunDetailsResponse(
            details=run_definition.RunDetails(run_spec=run.request.run_spec, action=run.actions["a0"])
        )

    async def get_action_details(self, request: Any, ctx: Any) -> run_service.GetActionDetailsResponse:
        self.peer.record(request, ctx)
        return run_service.GetActionDetailsResponse(details=self._action(request.action_id))

    async def watch_action_details(
        self, request: Any, ctx: Any
    ) -> AsyncIterator[run_service.WatchActionDetailsResponse]:
        self.peer.record(request, ctx)
        async for _ in self.peer.watch(request.action_id.run.name):
            details = self._action(request.action_id)
            yield run_service.WatchActionDetailsResponse(details=details)
            if self.peer.cuts["WatchActionDetails"] > 0:
                self.peer.cuts["WatchActionDetails"] -= 1
                return
            if details.status.phase in TERMINAL:
                return

    async def list_runs(self, request: Any, ctx: Any) -> run_service.ListRunsResponse:
        self.peer.record(request, ctx)
        found, token = _page([_run_of(run) for run in self.peer.runs.values()], request.request)
        return run_service.ListRunsResponse(runs=found, token=token)

    async def list_actions(self, request: Any, ctx: Any) -> run_service.ListActionsResponse:
        self.peer.record(request, ctx)
        actions = [_action_of(each) for each in self._run(request.run_id.name).actions.values()]
        found, token = _page(actions, request.request)
        return run_service.ListActionsResponse(actions=found, token=token)

    async def abort_run(self, request: Any, ctx: Any) -> run_service.AbortRunResponse:
        self.peer.record(request, ctx)
        self._run(request.run_id.name).actions["a0"].abort_info.reason = request.reason
        self.peer.settle(request.run_id.name, phase_pb2.ACTION_PHASE_ABORTED)
        return run_service.AbortRunResponse()

    async def abort_action(self, request: Any, ctx: Any) -> run_service.AbortActionResponse:
        self.peer.record(request, ctx)
        self._action(request.action_id).abort_info.reason = request.reason
        name = request.action_id.run.name
        self.peer.settle(name, phase_pb2.ACTION_PHASE_ABORTED, action=request.action_id.name)
        return run_service.AbortActionResponse()

    async def signal_event(self, request: Any, ctx: Any) -> run_service.SignalEventResponse:
        self.peer.record(request, ctx)
        self._action(request.action_id)
        return run_service.SignalEventResponse()

    async def get_action_data_ur_is(self, request: Any, ctx: Any) -> run_service.GetActionDataURIsResponse:
        self.peer.record(request, ctx)
        return run_service.GetActionDataURIsResponse()


class _Data(_Service):
    async def create_upload_location(self, request: Any, ctx: Any) -> data_pb2.CreateUploadLocationResponse:
        self.peer.record(request, ctx)
        root = request.filename_root or hashlib.md5(request.filename.encode()).hexdigest()
        place = f"{request.project}/{request.domain}/{root}/{request.filename}"
        scheme = "https" if self.peer._server and self.peer._server.config.is_ssl else "http"
        return data_pb2.CreateUploadLocationResponse(
            signed_url=f"{scheme}://{self.peer.endpoint}/files/{place}", native_url=str(self.peer.folder / place)
        )

    async def upload_inputs(self, request: Any, ctx: Any) -> data_pb2.UploadInputsResponse:
        self.peer.record(request, ctx)
        data = request.inputs.SerializeToString(deterministic=True)
        digest = hashlib.sha256(data).hexdigest()
        path = self.peer.folder / "inputs" / digest / "inputs.pb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return data_pb2.UploadInputsResponse(
            offloaded_input_data=run_pb2.OffloadedInputData(uri=str(path), inputs_hash=digest)
        )

    async def get_action_data(self, request: Any, ctx: Any) -> data_pb2.GetActionDataResponse:
        self.peer.record(request, ctx)
        run = self.peer.runs[request.action_id.run.name]
        name = request.action_id.name
        return data_pb2.GetActionDataResponse(
            inputs=run.inputs if name == "a0" else None, outputs=run.outputs.get(name, Outputs())
        )

    async def create_download_link(self, request: Any, ctx: Any) -> data_pb2.CreateDownloadLinkResponse:
        self.peer.record(request, ctx)
        name = "report.html" if request.artifact_type == data_pb2.ARTIFACT_TYPE_REPORT else "code.tar.gz"
        if not (self.peer.folder / name).exists():
            raise ConnectError(Code.NOT_FOUND, f"there is no {name}")
        links = data_pb2.PreSignedURLs(signed_url=[f"http://{self.peer.endpoint}/files/{name}"])
        return data_pb2.CreateDownloadLinkResponse(pre_signed_urls=links)

    async def tail_logs(self, request: Any, ctx: Any) -> AsyncIterator[data_pb2.TailLogsResponse]:
        self.peer.record(request, ctx)
        lines = self.peer.runs[request.action_id.run.name].logs.get(request.action_id.name, [])
        for number, text in enumerate(lines):
            line = logs_pb2.LogLine(message=f"{text}\n", originator=logs_pb2.USER)
            line.timestamp.FromMilliseconds(1_700_000_000_000 + number)
            yield data_pb2.TailLogsResponse(logs=[data_pb2.TailLogsResponse.Logs(lines=[line])])
            if self.peer.cuts["TailLogs"] > 0:
                self.peer.cuts["TailLogs"] -= 1
                raise ConnectError(Code.UNAVAILABLE, "the server was killed")


class _Clusters(_Service):
    async def select_cluster(self, request: Any, ctx: Any) -> cluster_pb2.SelectClusterResponse:
        self.peer.record(request, ctx)
        if request.operation == cluster_pb2.SelectClusterRequest.OPERATION_UPLOAD_TRIGGER:
            raise ConnectError(Code.UNIMPLEMENTED, "inputs of triggers stay in them")
        return cluster_pb2.SelectClusterResponse()


class _Tasks(_Service):
    async def deploy_task(self, request: task_pb2.DeployTaskRequest, ctx: Any) -> task_pb2.DeployTaskResponse:
        self.peer.record(request, ctx)
        key = (request.task_id.name, request.task_id.version)
        if key in self.peer.tasks:
            raise ConnectError(Code.ALREADY_EXISTS, f"there is a task {key}")
        details = task_definition_pb2.TaskDetails(task_id=request.task_id, spec=request.spec)
        details.metadata.short_name = request.spec.short_name
        details.metadata.deployed_at.GetCurrentTime()
        self.peer.tasks[key] = details
        return task_pb2.DeployTaskResponse()

    async def get_task_details(self, request: Any, ctx: Any) -> task_pb2.GetTaskDetailsResponse:
        self.peer.record(request, ctx)
        key = (request.task_id.name, request.task_id.version)
        if key not in self.peer.tasks:
            raise ConnectError(Code.NOT_FOUND, f"there is no task {key}")
        return task_pb2.GetTaskDetailsResponse(details=self.peer.tasks[key])

    async def list_tasks(self, request: Any, ctx: Any) -> task_pb2.ListTasksResponse:
        self.peer.record(request, ctx)
        wanted = [each for each in request.request.filters if each.field == "name"]
        found = [
            task_definition_pb2.Task(task_id=each.task_id, metadata=each.metadata)
            for each in reversed(self.peer.tasks.values())
            if all(_fits(each.task_id.name, condition) for condition in wanted)
        ]
        page, token = _page(found, request.request)
        return task_pb2.ListTasksResponse(tasks=page, token=token)


class _Projects(_Service):
    async def create_project(self, request: Any, ctx: Any) -> project_pb2.CreateProjectResponse:
        self.peer.record(request, ctx)
        if request.project.id in self.peer.projects:
            raise ConnectError(Code.ALREADY_EXISTS, f"there is a project {request.project.id!r}")
        self.peer.projects[request.project.id] = request.project
        return project_pb2.CreateProjectResponse()

    async def update_project(self, request: Any, ctx: Any) -> project_pb2.UpdateProjectResponse:
        self.peer.record(request, ctx)
        self.peer.projects[request.project.id] = request.project
        return project_pb2.UpdateProjectResponse()

    async def get_project(self, request: Any, ctx: Any) -> project_pb2.GetProjectResponse:
        self.peer.record(request, ctx)
        if request.id not in self.peer.projects:
            raise ConnectError(Code.NOT_FOUND, f"there is no project {request.id!r}")
        return project_pb2.GetProjectResponse(project=self.peer.projects[request.id])

    async def list_projects(self, request: Any, ctx: Any) -> project_pb2.ListProjectsResponse:
        self.peer.record(request, ctx)
        found, token = _page(list(self.peer.projects.values()), request)
        return project_pb2.ListProjectsResponse(projects=project_pb2.Projects(projects=found, token=token))


class _Secrets(_Service):
    async def create_secret(self, request: Any, ctx: Any) -> secret_pb2.CreateSecretResponse:
        self.peer.record(request, ctx)
        metadata = secret_definition_pb2.SecretMetadata(type=request.secret_spec.type)
        self.peer.secrets[request.id.name] = secret_definition_pb2.Secret(id=request.id, secret_metadata=metadata)
        return secret_pb2.CreateSecretResponse()

    async def get_secret(self, request: Any, ctx: Any) -> secret_pb2.GetSecretResponse:
        self.peer.record(request, ctx)
        if request.id.name not in self.peer.secrets:
            raise ConnectError(Code.NOT_FOUND, f"there is no secret {request.id.name!r}")
        return secret_pb2.GetSecretResponse(secret=self.peer.secrets[request.id.name])

    async def list_secrets(self, request: Any, ctx: Any) -> secret_pb2.ListSecretsResponse:
        self.peer.record(request, ctx)
        found, token = _page(list(self.peer.secrets.values()), request)
        return secret_pb2.ListSecretsResponse(secrets=found, token=token)

    async def delete_secret(self, request: Any, ctx: Any) -> secret_pb2.DeleteSecretResponse:
        self.peer.record(request, ctx)
        self.peer.secrets.pop(request.id.name, None)
        return secret_pb2.DeleteSecretResponse()


class _Triggers(_Service):
    async def deploy_trigger(self, request: Any, ctx: Any) -> trigger_pb2.DeployTriggerResponse:
        self.peer.record(request, ctx)
        details = trigger_definition_pb2.TriggerDetails(
            id=identifier_pb2.TriggerIdentifier(name=request.name, revision=1),
            spec=request.spec,
            automation_spec=request.automation_spec,
        )
        self.peer.triggers[(request.name.task_name, request.name.name)] = details
        return trigger_pb2.DeployTriggerResponse(trigger=details)

    async def get_trigger_details(self, request: Any, ctx: Any) -> trigger_pb2.GetTriggerDetailsResponse:
        self.peer.record(request, ctx)
        key = (request.name.task_name, request.name.name)
        if key not in self.peer.triggers:
            raise ConnectError(Code.NOT_FOUND, f"there is no trigger {key}")
        return trigger_pb2.GetTriggerDetailsResponse(trigger=self.peer.triggers[key])

    async def list_triggers(self, request: Any, ctx: Any) -> trigger_pb2.ListTriggersResponse:
        self.peer.record(request, ctx)
        triggers = [
            trigger_definition_pb2.Trigger(
                id=each.id, active=each.spec.active, automation_spec=each.automation_spec, status=each.status
            )
            for each in self.peer.triggers.values()
        ]
        found, token = _page(triggers, request.request)
        return trigger_pb2.ListTriggersResponse(triggers=found, token=token)

    async def update_triggers(self, request: Any, ctx: Any) -> trigger_pb2.UpdateTriggersResponse:
        self.peer.record(request, ctx)
        for name in request.names:
            self.peer.triggers[(name.task_name, name.name)].spec.active = request.active
        return trigger_pb2.UpdateTriggersResponse()

    async def delete_triggers(self, request: Any, ctx: Any) -> trigger_pb2.DeleteTriggersResponse:
        self.peer.record(request, ctx)
        for name in request.names:
            self.peer.triggers.pop((name.task_name, name.name), None)
        return trigger_pb2.DeleteTriggersResponse()


class _Identity(_Service):
    async def user_info(self, request: Any, ctx: Any) -> identity_pb2.UserInfoResponse:
        self.peer.record(request, ctx)
        return identity_pb2.UserInfoResponse(subject="ada", name="Ada Lovelace")


def _applications(peer: Peer) -> list[Any]:
    return [
        RunServiceASGIApplication(_Runs(peer)),
        DataProxyServiceASGIApplication(_Data(peer)),
        ClusterServiceASGIApplication(_Clusters(peer)),
        TaskServiceASGIApplication(_Tasks(peer)),
        ProjectServiceASGIApplication(_Projects(peer)),
        SecretServiceASGIApplication(_Secrets(peer)),
        TriggerServiceASGIApplication(_Triggers(peer)),
        IdentityServiceASGIApplication(_Identity(peer)),
    ]


def _action_of(details: run_definition.ActionDetails) -> run_definition.Action:
    return run_definition.Action(id=details.id, metadata=details.metadata, status=details.status)


def _run_of(run: KeptRun) -> run_definition.Run:
    labels = dict(run.request.run_spec.labels.values)
    return run_definition.Run(action=_action_of(run.actions["a0"]), labels=labels)


def _fits(name: str, condition: Filter) -> bool:
    (value,) = condition.values
    return value in name if condition.function == Filter.CONTAINS else name == value


def _page(items: list[Any], request: Any) -> tuple[list[Any], str]:
    start = int(request.token or 0)
    end = start + (request.limit or 100)
    return items[start:end], str(end) if end < len(items) else ""
