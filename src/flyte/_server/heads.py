"""Requests whose heads come within bounds. Nobody has said yet who they are, so they get little memory and time."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 512 << 10
"""Of the line and the headers of a request; more than what one reading of a socket gives."""

HEAD_S = 30.0
"""How long they may take from their first byte on, or from the beginning of the connection."""


class BoundedHeads(HttpToolsProtocol):
    """A connection that ends where the head of a request is too large, or too long on its way."""

    _head_bytes = 0
    _is_in_head = True
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As its base class does it; the first head has to come."""
        super().connection_made(transport)
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """As its base class does it."""
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """As its base class does it, as long as the head is not too large."""
        super().data_received(data)
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response(f"The head of this request has more than {HEAD_BYTES} bytes.")

    def on_message_begin(self) -> None:
        """As its base class does it; a head begins."""
        super().on_message_begin()
        self._begin_head()

    def on_headers_complete(self) -> None:
        """As its base class does it; the head is there."""
        self._end_head()
        super().on_headers_complete()

    def _begin_head(self) -> None:
        self._end_head()
        self._is_in_head, self._head_bytes = True, 0
        self._timer = self.loop.call_later(HEAD_S, self.transport.close)

    def _end_head(self) -> None:
        self._is_in_head = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
