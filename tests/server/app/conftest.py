"""A server's application at a free port of this machine, with services of the test's choice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from flyte._server.access import Access
from flyte._server.app import AppParts, create_app
from flyte._server.calls import Calls
from flyte._server.downloads import Downloads
from flyte._server.health import Health
from flyte._server.limits import RequestRate
from flyte._server.listening import Listener
from flyte._server.metrics import Metrics, OpenWork
from flyte._server.signing import LinkSigner
from flyte._server.sockets import bind
from flyte._server.streams import OpenStreams
from flyte._server.tokens import TokenStore
from flyte._server.uploads import Uploads

TASK_TOKEN = "flyte_task_of_the_test"


@dataclass
class Served:
    """A running server and its parts."""

    port: int
    http: httpx.AsyncClient
    home: Path
    signer: LinkSigner
    uploads: Uploads
    downloads: Downloads
    streams: OpenStreams
    health: Health
    tokens: TokenStore

    @property
    def url(self) -> str:
        """How it is reached."""
        return f"http://localhost:{self.port}"


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serve(flyte_home: Path) -> AsyncIterator[Serve]:
    """`await serve((ApplicationClass, service), ..., option=...)`: a server until the test ends."""
    async with AsyncExitStack() as servers:

        async def start(
            *services: tuple[Callable[..., Any], Any],
            requires_token: bool = False,
            hosts: tuple[str, ...] = (),
            max_request_bytes: int = 1 << 20,
            max_upload_bytes: int = 1 << 20,
            max_streams: int = 100,
            rate: RequestRate | None = None,
            check: Callable[[], Awaitable[object]] | None = None,
            more: Callable[[Served], list[tuple[Any, Any]]] = lambda served: [],
        ) -> Served:
            async def no_work() -> OpenWork:
                return OpenWork({"running": 2}, {"queued": 7, "running": 3}, 3)

            home = flyte_home
            signer = LinkSigner(home)
            streams = OpenStreams(max_streams)
            metrics = Metrics(no_work, lambda: streams.total)
            calls = Calls(metrics, streams, max_request_bytes)
            uploads = Uploads(home, signer, metrics, max_upload_bytes)
            downloads = Downloads(home, signer, metrics)
            health = Health(check or no_work)
            health.is_ready = True
            tokens = TokenStore(home)
            access = Access(tokens, "tester", requires_token=requires_token, task_token=TASK_TOKEN, hosts=hosts)
            parts = AppParts(
                calls=calls,
                access=access,
                metrics=metrics,
                health=health,
                uploads=uploads,
                downloads=downloads,
                rate=rate,
                limits_own_machine=rate is not None,
            )
            sockets = bind("localhost", 0)
            port = sockets[0].getsockname()[1]
            http = httpx.AsyncClient(base_url=f"http://localhost:{port}", timeout=10)
            served = Served(port, http, home, signer, uploads, downloads, streams, health, tokens)
            made = [*services, *more(served)]
            app = create_app(dict(calls.mount(kind, service) for kind, service in made), parts)
            listener = Listener(app, sockets)
            await listener.begin()
            servers.push_async_callback(listener.end)
            servers.push_async_callback(streams.stop)
            servers.push_async_callback(http.aclose)
            return served

        yield start
