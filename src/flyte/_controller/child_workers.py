"""Workers that are kept between the attempts of one run, as a `ReusePolicy` says."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Generic, Protocol, TypeVar

from flyte._controller.child_servers import Server


class Policy(Protocol):
    """How many workers there are, and for how long."""

    @property
    def concurrency(self) -> int:
        """Attempts that one worker runs at the same time."""
        ...

    @property
    def min_replicas(self) -> int:
        """Workers that are kept even when idle."""
        ...

    @property
    def max_replicas(self) -> int:
        """Workers that there are at most."""
        ...

    def get_scaledown_ttl(self) -> timedelta | None:
        """How long a worker is idle before it ends."""
        ...


class Pooled(Protocol):
    """A worker.

    Attributes:
        running: Attempts in it that are not waiting for calls they have made.
        idle_since: When the last attempt left it, by the loop's clock, in seconds.
        is_ending: It gets no further attempt.
    """

    running: int
    idle_since: float
    is_ending: bool

    @property
    def has_ended(self) -> bool:
        """Whether its process is gone."""
        ...

    async def close(self) -> None:
        """It has ended, with all that it has started."""
        ...


W = TypeVar("W", bound=Pooled)


class WorkerPool(Generic[W]):
    """The workers of one environment. Lives on the engine's loop.

    An attempt that waits for calls it has made leaves its place meanwhile: tasks that call one another never wait in a
    circle.

    Args:
        new_worker: Starts one.
    """

    def __init__(self, policy: Policy, new_worker: Callable[[Server], W]) -> None:
        self._policy = policy
        self._new_worker = new_worker
        self._workers: list[W] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closing: set[asyncio.Task[None]] = set()
        self._scale_down: asyncio.TimerHandle | None = None

    async def take(self, server: Server) -> W:
        """A worker with a place that is now taken."""
        while True:
            self._workers = [each for each in self._workers if not (each.is_ending or each.has_ended)]
            free = [each for each in self._workers if each.running < self._policy.concurrency]
            if free:
                worker = min(free, key=lambda each: each.running)
            elif len(self._workers) < self._policy.max_replicas:
                try:
                    worker = self._new_worker(server)
                except BaseException:
                    # Whoever waits tries too: nobody is left who would call them.
                    self._wake()
                    raise
                self._workers.append(worker)
            else:
                waiter = asyncio.get_running_loop().create_future()
                self._waiting.append(waiter)
                try:
                    await waiter
                except asyncio.CancelledError:
                    if waiter.done() and not waiter.cancelled():
                        self._wake()
                    raise
                continue
            worker.running += 1
            return worker

    def give_back(self, worker: W) -> None:
        """The place is free."""
        worker.running -= 1
        worker.idle_since = asyncio.get_running_loop().time()
        self._wake()
        self._look_later()

    @contextmanager
    def lent(self, worker: W) -> Iterator[None]:
        """Within the block the place is free."""
        self.give_back(worker)
        try:
            yield
        finally:
            worker.running += 1

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs in its workers, and nobody waits for a place."""
        return not any(each.running for each in self._workers) and not any(not each.done() for each in self._waiting)

    async def close(self) -> None:
        """No worker is left."""
        if self._scale_down is not None:
            self._scale_down.cancel()
        workers, self._workers = self._workers, []
        await asyncio.gather(*(worker.close() for worker in workers), *self._closing)

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _look_later(self) -> None:
        idle_s = self._policy.get_scaledown_ttl()
        if self._scale_down is None and idle_s is not None:
            loop = asyncio.get_running_loop()
            self._scale_down = loop.call_later(idle_s.total_seconds(), self._end_idle, idle_s.total_seconds())

    def _end_idle(self, idle_s: float) -> None:
        self._scale_down = None
        now = asyncio.get_running_loop().time()
        for worker in list(self._workers):
            if worker.running or len(self._workers) <= self._policy.min_replicas:
                continue
            if now - worker.idle_since >= idle_s:
                self._workers.remove(worker)
                closing = asyncio.ensure_future(worker.close())
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)
        if any(not worker.running for worker in self._workers):
            self._look_later()
