"""The services over a real scheduler and a real store, behind a real HTTP server, with the generated clients."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from connectrpc.errors import ConnectError
from flyteidl2.actions.actions_service_connect import ActionsServiceClient
from flyteidl2.common.identifier_pb2 import ActionIdentifier, ProjectIdentifier, RunIdentifier
from flyteidl2.imagebuilder.service_connect import ImageServiceClient
from flyteidl2.project.project_service_connect import ProjectServiceClient
from flyteidl2.secret.secret_connect import SecretServiceClient
from flyteidl2.settings.settings_service_connect import SettingsServiceClient
from flyteidl2.task.task_service_connect import TaskServiceClient
from flyteidl2.trigger.trigger_service_connect import TriggerServiceClient
from flyteidl2.workflow.queue_service_connect import QueueServiceClient
from flyteidl2.workflow.run_service_connect import RunServiceClient
from flyteidl2.workflow.state_service_connect import StateServiceClient
from flyteidl2.workflow.tracked_run_service_connect import TrackedRunServiceClient

from flyte._server.readers import StoreReaders
from flyte._server.services.all import services
from flyte._server.services.places import Places
from flyte._server.services.projects import ensure_project
from flyte._store.writer import Writer
from tests.server.scheduler.scripted import Plane, ScriptedExecutor, plane

Client = TypeVar("Client")

PLACE = ProjectIdentifier(name="flytesnacks", domain="development")


def run_id(name: str = "r") -> RunIdentifier:
    """A run as official clients name it, without the organisation that they do not know."""
    return RunIdentifier(project=PLACE.name, domain=PLACE.domain, name=name)


def action_id(name: str = "a0", run: str = "r") -> ActionIdentifier:
    """An action of such a run."""
    return ActionIdentifier(run=run_id(run), name=name)


class Applications:
    """What is mounted on the port: each service below its path. Who hangs up is not answered any more."""

    def __init__(self, mounted: Mapping[str, Any]) -> None:
        self._mounted = mounted

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        answering: asyncio.Future[None] | None = None

        async def heard() -> Any:
            message = await receive()
            if message["type"] == "http.disconnect" and answering is not None:
                answering.cancel()
            return message

        application = self._mounted[scope["path"].rpartition("/")[0]]
        answering = asyncio.ensure_future(application(scope, heard, send))
        with suppress(asyncio.CancelledError, ConnectError):
            await answering


@dataclass
class Served:
    """A server for a test, with a client for each service."""

    plane: Plane
    writer: Writer
    address: str
    stack: AsyncExitStack

    async def client(self, made: type[Client]) -> Client:
        """A client of that class, closed with the server."""
        client: Client = made(self.address)  # type: ignore[call-arg]
        await self.stack.enter_async_context(client)  # type: ignore[arg-type]
        return client

    @property
    def executor(self) -> ScriptedExecutor:
        """What runs the attempts."""
        return self.plane.executor

    async def runs(self) -> RunServiceClient:
        return await self.client(RunServiceClient)

    async def tasks(self) -> TaskServiceClient:
        return await self.client(TaskServiceClient)

    async def projects(self) -> ProjectServiceClient:
        return await self.client(ProjectServiceClient)

    async def triggers(self) -> TriggerServiceClient:
        return await self.client(TriggerServiceClient)

    async def secrets(self) -> SecretServiceClient:
        return await self.client(SecretServiceClient)

    async def settings(self) -> SettingsServiceClient:
        return await self.client(SettingsServiceClient)

    async def images(self) -> ImageServiceClient:
        return await self.client(ImageServiceClient)

    async def queue(self) -> QueueServiceClient:
        return await self.client(QueueServiceClient)

    async def state(self) -> StateServiceClient:
        return await self.client(StateServiceClient)

    async def actions(self) -> ActionsServiceClient:
        return await self.client(ActionsServiceClient)

    async def tracked(self) -> TrackedRunServiceClient:
        return await self.client(TrackedRunServiceClient)


@asynccontextmanager
async def served(home: Path, executor: ScriptedExecutor | None = None) -> AsyncIterator[Served]:
    """A server of that home, until the block ends."""
    async with plane(home, executor) as scheduled:
        writer, readers, places = Writer(home), StoreReaders(home), Places()
        await asyncio.to_thread(ensure_project, writer, places)
        mounted = services(scheduled.scheduler, writer, home, readers, places=places)
        try:
            async with serving(Applications(mounted)) as address, AsyncExitStack() as stack:
                yield Served(scheduled, writer, address, stack)
        finally:
            readers.close()
            writer.close()


@asynccontextmanager
async def serving(application: Any) -> AsyncIterator[str]:
    """The address at which uvicorn serves an application, until the block ends."""
    # With its protocol named, asyncio turns Nagle's algorithm off for its connections: answers come 40 ms earlier.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        application, lifespan="off", log_level="warning", timeout_graceful_shutdown=1, http="auto", ws="none"
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve([listener]))
    try:
        async with asyncio.timeout(5):
            while not server.started:
                await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running
        listener.close()
