"""Workers that are reused: who may share one, and how attempts get a place in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from flyteidl2.core.tasks_pb2 import ReusePolicy
from google.protobuf.json_format import MessageToDict

from flyte._controller.child_servers import Server
from flyte._controller.child_workers import WorkerPool
from flyte._server.executors.code import Code
from flyte._server.executors.images import Software
from flyte._server.executors.memory import MemoryWatch
from flyte._server.executors.orders import AttemptEnd, AttemptOrder
from flyte._server.executors.servers import AttemptServers
from flyte._server.executors.workers import ReusedWorker, WorkerStart

_ACTOR = "actor"
_DEFAULT_TTL_S = 30.0


@dataclass(frozen=True, slots=True)
class Reuse:
    """How the workers of an environment are kept.

    Attributes:
        group: What tasks share them: name and version of the environment, and the run where each has its own.
        concurrency: Attempts that one runs at the same time.
        min_replicas: Workers that are kept though they are idle, until all have been for `idle_ttl_s`.
        max_replicas: Workers that there are at most.
        idle_ttl_s: After so long without any attempt none of them is left.
        scaledown_ttl_s: After so long without an attempt one that is not needed ends.
    """

    group: tuple[str, ...]
    concurrency: int
    min_replicas: int
    max_replicas: int
    idle_ttl_s: float
    scaledown_ttl_s: float

    def get_scaledown_ttl(self) -> timedelta:
        """`scaledown_ttl_s` as a `timedelta`."""
        return timedelta(seconds=self.scaledown_ttl_s)


def reuse_of(order: AttemptOrder) -> Reuse | None:
    """How the worker of an attempt is kept; None where it has a process of its own."""
    template = order.spec.task_template
    if not template.HasField("reuse_policy") and template.type != _ACTOR:
        return None
    actor = MessageToDict(template.custom) if template.HasField("custom") else {}
    policy = template.reuse_policy if template.HasField("reuse_policy") else _policy_of(actor.get("spec") or {})
    group = [str(actor.get("name") or ""), str(actor.get("version") or order.spec_digest.hex())]
    if policy.scope == ReusePolicy.RUN:
        group.append(order.action.run_name or "")
    return Reuse(
        group=tuple(group),
        concurrency=max(policy.concurrency, 1),
        min_replicas=max(policy.min_replicas, 0),
        max_replicas=max(policy.max_replicas, policy.min_replicas, 1),
        idle_ttl_s=_seconds(policy, "idle_ttl"),
        scaledown_ttl_s=_seconds(policy, "scaledown_ttl"),
    )


def _policy_of(settings: Mapping[str, Any]) -> ReusePolicy:
    """The policy that the settings of an actor say, which older clients send alone."""
    policy = ReusePolicy(
        min_replicas=int(settings.get("min_replica_count") or 0),
        max_replicas=int(settings.get("replica_count") or 1),
        concurrency=int(settings.get("parallelism") or 1),
    )
    for name, key in (("idle_ttl", "ttl_seconds"), ("scaledown_ttl", "scaledown_ttl_seconds")):
        if settings.get(key):
            getattr(policy, name).FromTimedelta(timedelta(seconds=float(settings[key])))
    return policy


def _seconds(policy: ReusePolicy, name: str) -> float:
    if not policy.HasField(name):
        return _DEFAULT_TTL_S
    duration: timedelta = getattr(policy, name).ToTimedelta()
    return duration.total_seconds()


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """What it takes to run an attempt in a worker."""

    software: Software
    code: Code
    shared: Mapping[str, str]
    memory_limit: int | None
    reuse: Reuse


@dataclass(slots=True)
class _Seat:
    """A place that an attempt has."""

    pool: WorkerPool[ReusedWorker]
    worker: ReusedWorker
    is_lent: bool = False


class ReusedWorkers:
    """The workers of all environments. Lives on one event loop.

    Args:
        home: Their working directories are below it.
    """

    def __init__(self, home: Path, servers: AttemptServers, memory: MemoryWatch) -> None:
        self._home = home
        self._servers = servers
        self._memory = memory
        self._pools: dict[Any, WorkerPool[ReusedWorker]] = {}
        self._timers: dict[Any, asyncio.TimerHandle] = {}
        self._seats: dict[tuple[str, str], _Seat] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def run(self, order: AttemptOrder, plan: WorkerPlan, log: Path, started: Callable[[], None]) -> AttemptEnd:
        """How an attempt ended that has run in a worker; it waits for a place first.

        Raises:
            AttemptLostError: its worker was ended for another attempt in it.
            LaunchFailedError: there can be no worker.
            OSError: likewise.
        """
        server = await self._servers.plain(plan.software, plan.shared)
        key = (
            plan.reuse,
            plan.software.python,
            plan.code.folder,
            plan.memory_limit,
            tuple(sorted(plan.shared.items())),
        )
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = WorkerPool(plan.reuse, partial(self._new_worker, plan))
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()
        name = order.action.run_name or "", order.action.name
        try:
            worker = await pool.take(server)
            seat = self._seats[name] = _Seat(pool, worker)
            try:
                return await worker.run(order, plan.code.arguments, log, started)
            finally:
                del self._seats[name]
                if seat.is_lent:
                    worker.running += 1
                pool.give_back(worker)
        finally:
            if self._pools.get(key) is pool and pool.is_idle:
                idle_s = plan.reuse.idle_ttl_s
                self._timers[key] = asyncio.get_running_loop().call_later(idle_s, self._end, key, pool)

    def set_waiting(self, run_name: str, action_name: str, *, is_waiting: bool) -> None:
        """An attempt waits for others, and its place is free meanwhile, or it no longer does."""
        seat = self._seats.get((run_name, action_name))
        if seat is None or seat.is_lent == is_waiting:
            return
        seat.is_lent = is_waiting
        if is_waiting:
            seat.pool.give_back(seat.worker)
        else:
            seat.worker.running += 1

    async def close(self) -> None:
        """No worker is left."""
        for timer in self._timers.values():
            timer.cancel()
        pools, self._pools = list(self._pools.values()), {}
        await asyncio.gather(*(pool.close() for pool in pools), *self._closing)

    def _new_worker(self, plan: WorkerPlan, server: Server) -> ReusedWorker:
        start = WorkerStart(
            home=self._home,
            variables=self._servers.variables(plan.software, plan.shared),
            code=plan.code.folder,
            folder=None if plan.code.folder is not None else plan.software.environment.working_dir,
            memory_limit=plan.memory_limit,
        )
        return ReusedWorker(server, start, self._memory)

    def _end(self, key: Any, pool: WorkerPool[ReusedWorker]) -> None:
        self._timers.pop(key, None)
        if not pool.is_idle or self._pools.get(key) is not pool:
            return
        del self._pools[key]
        closing = asyncio.ensure_future(pool.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
