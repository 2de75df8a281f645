"""Streams that are open: whose they are, and how they end."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from connectrpc.errors import ConnectError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flyte._server.limits import StreamCount


class OpenStreams:
    """The streaming calls that go on. Lives on one event loop."""

    def __init__(self, per_peer: int) -> None:
        self._count = StreamCount(per_peer)
        self._handlers: set[asyncio.Task[None]] = set()
        self.is_stopping = False

    @property
    def total(self) -> int:
        """How many there are."""
        return self._count.total

    async def run(self, peer: str, application: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """The call is handled to its end, or until its caller has gone, which ends its handler wherever that waits.

        Raises:
            TooBusyError: the peer has too many.
            Exception: whatever the application raises.
        """
        has_gone = False

        async def watched() -> Message:
            nonlocal has_gone
            message = await receive()
            if message["type"] == "http.disconnect":
                has_gone = True
                handler.cancel()
            return message

        with self._count.one_more(peer):
            handler = asyncio.ensure_future(_run(application, scope, watched, send))
            self._handlers.add(handler)
            try:
                await handler
            except (asyncio.CancelledError, ConnectError):
                # What a handler makes of being cancelled is told to nobody who has gone.
                if not has_gone:
                    raise
            finally:
                self._handlers.discard(handler)
                if not handler.done():
                    handler.cancel()
                    with suppress(asyncio.CancelledError, ConnectError):
                        await handler

    async def stop(self) -> None:
        """None is left: each ends with `unavailable`, so that clients come back to the next server."""
        self.is_stopping = True
        handlers = list(self._handlers)
        for handler in handlers:
            handler.cancel()
        if handlers:
            await asyncio.wait(handlers)


async def _run(application: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await application(scope, receive, send)
