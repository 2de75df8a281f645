"""Quiet for one harmless event-loop complaint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio


def silence_polling_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Event-loop exception handler that drops `BlockingIOError` and leaves the rest to the default handler.

    The poller of gRPC's asyncio wakes several loops for one event; all but the first find nothing to read.
    """
    if not isinstance(context.get("exception"), BlockingIOError):
        loop.default_exception_handler(context)
