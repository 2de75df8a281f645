"""Workers that are kept between the attempts of one run, as a `ReusePolicy` says."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from flyte._authoring.reuse import ReusePolicy
from flyte._controller.child_seats import Worker
from flyte._controller.child_servers import Server


class WorkerPool:
    """The workers of one environment. Lives on the engine's loop.

    An attempt that waits for calls it has made leaves its place meanwhile: tasks that call one another never wait in a
    circle.
    """

    def __init__(self, policy: ReusePolicy) -> None:
        self._policy = policy
        self._workers: list[Worker] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closing: set[asyncio.Task[None]] = set()
        self._scale_down: asyncio.TimerHandle | None = None

    async def take(self, server: Server) -> Worker:
        """A worker with a place that is now taken."""
        while True:
            self._workers = [each for each in self._workers if not (each.is_ending or each.has_ended)]
            free = [each for each in self._workers if each.running < self._policy.concurrency]
            if free:
                worker = min(free, key=lambda each: each.running)
            elif len(self._workers) < self._policy.max_replicas:
                worker = Worker(server)
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

    def give_back(self, worker: Worker) -> None:
        """The place is free."""
        worker.running -= 1
        worker.idle_since = asyncio.get_running_loop().time()
        self._wake()
        self._look_later()

    @contextmanager
    def lent(self, worker: Worker) -> Iterator[None]:
        """Within the block the place is free."""
        self.give_back(worker)
        try:
            yield
        finally:
            worker.running += 1

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
