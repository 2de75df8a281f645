"""Streams to watchers: what is sent when something has changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

T = TypeVar("T")
Message = TypeVar("Message")

POLL_EVERY_S = 0.5
"""How often a run is looked at that another process executes, of whose commits nobody tells."""


@asynccontextmanager
async def closing(items: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """The iterator; it is closed after the block, so that nothing waits for its next item."""
    try:
        yield items
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()


async def ticks(every_s: float = POLL_EVERY_S) -> AsyncIterator[None]:
    """An item at once, and one each so many seconds."""
    while True:
        yield None
        await asyncio.sleep(every_s)


async def with_ticks(changes: AsyncIterator[None], every_s: float) -> AsyncIterator[None]:
    """An item for each of `changes`, and one whenever none has come for so many seconds."""
    async with closing(changes) as each:
        while True:
            step = asyncio.ensure_future(anext(each, _END))
            try:
                while not (await asyncio.wait({step}, timeout=every_s))[0]:
                    yield None
            finally:
                # What is cancelled must have ended before the iterator can be closed.
                step.cancel()
                with suppress(asyncio.CancelledError):
                    ended = await step is _END
            if ended:
                return
            yield None


_END = object()


class Pace:
    """Keeps what is read again and again from taking more than a quarter of the time.

    Args:
        at_least_s: The shortest rest.
    """

    def __init__(self, at_least_s: float) -> None:
        self._at_least_s = at_least_s
        self._began_s = time.monotonic()

    def begin(self) -> None:
        """Reading begins."""
        self._began_s = time.monotonic()

    async def rest(self) -> None:
        """A moment has passed: three times what it took since `begin`, or the shortest rest."""
        await asyncio.sleep(max(self._at_least_s, 3 * (time.monotonic() - self._began_s)))


async def snapshots(
    changes: AsyncIterator[None], load: Callable[[], Awaitable[Message]], is_last: Callable[[Message], bool]
) -> AsyncIterator[Message]:
    """What `load` gives, at once and after each change by which it differs, up to the first that is the last."""
    sent: Message | None = None
    async with closing(changes) as each:
        async for _ in each:
            message = await load()
            if message != sent:
                sent = message
                yield message
            if is_last(message):
                return
