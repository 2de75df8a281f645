"""The HTTP servers of a process: each application at its sockets, with or without TLS."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from flyte._server.heads import BoundedHeads

_KEEP_ALIVE_S = 75
_LAST_ANSWERS_S = 5


class Listener(uvicorn.Server):
    """Answers at sockets that are bound already, until it is told to stop. Signals are not its concern."""

    def __init__(
        self, app: ASGIApp, sockets: list[socket.socket], tls_cert: Path | None = None, tls_key: Path | None = None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=BoundedHeads,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                # What a proxy says of who asks is what anybody could say.
                proxy_headers=False,
                server_header=False,
                backlog=2048,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_LAST_ANSWERS_S,
                ssl_certfile=tls_cert,
                ssl_keyfile=tls_key,
            )
        )
        self._sockets = sockets
        self._is_ready = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """It answers."""
        self._serving = asyncio.create_task(self.serve(self._sockets))
        ready = asyncio.create_task(self._is_ready.wait())
        await asyncio.wait((self._serving, ready), return_when=asyncio.FIRST_COMPLETED)
        if self._serving.done():
            ready.cancel()
            self._serving.result()

    async def end(self) -> None:
        """It takes no more requests, and has answered those it had, or has given them up after a while."""
        self.should_exit = True
        if self._serving is not None:
            await self._serving

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As its base class does it; whoever waits in `begin` is told."""
        await super().startup(sockets)
        self._is_ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None are."""
        yield
