"""How many processes of tasks run at one time."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

LIMIT = max(8, 4 * (os.cpu_count() or 1))


class ProcessSlots:
    """Lets `LIMIT` processes run. Lives on the engine's loop.

    One that waits for calls it has made lends its slot meanwhile, and gets it back at once: tasks that call one another
    never wait in a circle.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._free = limit
        self._waiters: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        """A slot is taken, when there is one."""
        if self._free > 0:
            self._free -= 1
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.give_back()
            raise

    def give_back(self) -> None:
        """A slot is free, or goes to who has waited longest."""
        self._free += 1
        while self._free > 0 and self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._free -= 1
                waiter.set_result(None)

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Within the block a slot that was taken is free."""
        self.give_back()
        try:
            yield
        finally:
            self._free -= 1
