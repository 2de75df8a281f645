"""The data plane over a real scheduler and store, with attempts that end as a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyteidl2.common.identifier_pb2 import ActionIdentifier, RunIdentifier
from flyteidl2.dataproxy.dataproxy_service_connect import DataProxyServiceASGIApplication, DataProxyServiceClient
from flyteidl2.workflow.run_logs_service_connect import RunLogsServiceASGIApplication, RunLogsServiceClient

from flyte._controller.log_files import log_line, log_path
from flyte._server.log_tails import LogTails
from flyte._server.readers import StoreReaders
from flyte._server.services.data_proxy import DataPlane, DataProxyService
from flyte._server.services.logs import RunLogsService
from flyte._server.services.store import ServedStore
from flyte._store.writer import Writer
from tests.server.app.conftest import Serve, Served
from tests.server.scheduler.scripted import Plane, plane


@dataclass
class DataServer:
    """A server with the services of data, and what is behind it."""

    served: Served
    plane: Plane
    client: DataProxyServiceClient
    logs: RunLogsServiceClient

    @property
    def home(self) -> Path:
        """Where it keeps everything."""
        return self.plane.home


def action_id(name: str = "a0", run: str = "r") -> ActionIdentifier:
    """The full name of an action."""
    return ActionIdentifier(run=RunIdentifier(project="flytesnacks", domain="development", name=run), name=name)


def printed(home: Path, *texts: str, action: str = "a0", attempt_no: int = 1, run: str = "r") -> None:
    """An attempt has printed these lines."""
    path = log_path(home, run, action, attempt_no)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.writelines(map(log_line, texts))


@asynccontextmanager
async def data_server(serve: Serve, home: Path) -> AsyncIterator[DataServer]:
    """It, until the block ends."""
    async with AsyncExitStack() as stack:
        scheduled = await stack.enter_async_context(plane(home))
        readers, writer = StoreReaders(home), Writer(home)
        stack.callback(writer.close)
        stack.callback(readers.close)
        tails = LogTails(readers, scheduled.scheduler)

        def services(served: Served) -> list[tuple[Any, Any]]:
            store = ServedStore(home, writer, readers)
            data = DataProxyService(DataPlane(store, served.uploads, served.downloads, tails))
            return [(DataProxyServiceASGIApplication, data), (RunLogsServiceASGIApplication, RunLogsService(tails))]

        served = await serve(more=services)
        stack.push_async_callback(served.streams.stop)
        client = await stack.enter_async_context(DataProxyServiceClient(served.url))
        logs = await stack.enter_async_context(RunLogsServiceClient(served.url))
        yield DataServer(served, scheduled, client, logs)
