"""Attempts as processes of this machine."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from flyte._controller.isolation import allow_many_descriptors
from flyte._controller.local_run import run_folder
from flyte._controller.log_files import log_path
from flyte._forks.client import LaunchFailedError
from flyte._logging import system_logger
from flyte._server.executors.capacity import machine_capacity, memory_limit
from flyte._server.executors.code import Code, SharedCode, Tidying, link_code
from flyte._server.executors.command import (
    ControlPlane,
    attempt_variables,
    filled,
    inherited_variables,
    shared_variables,
)
from flyte._server.executors.containers import TaskProcess, check_is_attempt, process_of
from flyte._server.executors.images import ImageMapping, Images, Software
from flyte._server.executors.memory import MemoryWatch
from flyte._server.executors.orders import AttemptEnd, AttemptKey, AttemptLostError, AttemptOrder, Capacity
from flyte._server.executors.outcomes import OUT_OF_MEMORY, PROCESS_DIED, out_of_memory, outcome
from flyte._server.executors.processes import Exit, Launch, run_process
from flyte._server.executors.refused import UnrunnableError
from flyte._server.executors.secrets import Secrets, SecretsOf, no_secrets
from flyte._server.executors.servers import AttemptServers
from flyte._server.executors.worker_pools import ReusedWorkers, WorkerPlan, reuse_of

_NAME = re.compile(r"(?!\.)[\w.-]{1,255}")
_WORK = "work"
_START_LIMIT_S = 120.0
_MOST_KNOWN = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorSettings:
    """How attempts run on this machine.

    Attributes:
        home: Where runs, environments and code are kept.
        endpoint: Of the control plane, as attempts reach it.
        images: Which environments stand for images.
        secrets: Where the values of secrets come from; it is called on a thread.
        extra_env: Variables of each attempt, such as a token for the control plane.
        capacity: What attempts may use together; None for what this machine has.
    """

    home: Path
    endpoint: str
    images: ImageMapping = field(default_factory=ImageMapping)
    secrets: SecretsOf = no_secrets
    extra_env: Mapping[str, str] = field(default_factory=dict)
    capacity: Capacity | None = None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What it takes to run an attempt."""

    software: Software
    code: Code
    shared: dict[str, str]
    memory_limit: int | None


class LocalExecutor:
    """Runs attempts as processes of this machine. Lives on one event loop."""

    def __init__(self, settings: ExecutorSettings) -> None:
        self._home = settings.home.absolute()
        self._plane = ControlPlane(settings.endpoint, settings.extra_env)
        self._capacity = settings.capacity or machine_capacity()
        self._images = Images(self._home, settings.images)
        self._code = SharedCode(self._home)
        self._tidying = Tidying()
        self._secrets = Secrets(settings.secrets)
        self._servers = AttemptServers(inherited_variables())
        self._memory = MemoryWatch()
        self._workers = ReusedWorkers(self._home, self._servers, self._memory)
        self._known: dict[bytes, tuple[TaskProcess, int | None]] = {}
        self._running: set[asyncio.Task[AttemptEnd]] = set()
        allow_many_descriptors()

    @property
    def capacity(self) -> Capacity:
        """As `Executor` says."""
        return self._capacity

    async def warm(self) -> None:
        """The first attempt does not wait for an interpreter to start. Optional.

        Raises:
            LaunchFailedError: this interpreter cannot be started once more.
        """
        await self._servers.warm()

    async def start(self) -> None:
        """As `Executor` says."""

    def knows(self, attempt: AttemptKey) -> bool:
        """As `Executor` says: what an earlier process had running has ended with it."""
        return False

    def keep_known(self, wanted: set[AttemptKey]) -> None:
        """As `Executor` says."""

    def forget(self, attempt: AttemptKey) -> None:
        """As `Executor` says."""

    async def run_attempt(self, order: AttemptOrder, started: Callable[[], None]) -> AttemptEnd:
        """As `Executor` says.

        Raises:
            AttemptLostError: it could not be run, or was lost, for a reason that lies not in it.
        """
        running = asyncio.current_task()
        assert running is not None
        self._running.add(running)
        try:
            plan = await self._plan(order)
            reuse = reuse_of(order) if plan.software.is_ours else None
            if reuse is not None:
                worker_plan = WorkerPlan(plan.software, plan.code, plan.shared, plan.memory_limit, reuse)
                return await self._workers.run(order, worker_plan, self._log(order), started)
            return await self._in_own_process(order, plan, started)
        except UnrunnableError as refused:
            return AttemptEnd(failure=refused.failure)
        except (LaunchFailedError, OSError, TimeoutError) as error:
            raise AttemptLostError(
                f"attempt {order.attempt_no} at {order.action.name} did not start: {error}"
            ) from error
        finally:
            self._running.discard(running)

    def set_waiting(self, run_name: str, action_name: str, *, is_waiting: bool) -> None:
        """An action that has an attempt here waits for others, or no longer does.

        Its place in a worker that is reused is free meanwhile: tasks of one environment that call one another never
        wait in a circle. No-op for one in a process of its own.
        """
        self._workers.set_waiting(run_name, action_name, is_waiting=is_waiting)

    def release(self, spec_digest: bytes) -> None:
        """As `Executor` says: fork servers that nobody wants for five minutes from now end; workers as they say."""
        self._servers.release()

    async def close(self) -> None:
        """As `Executor` says."""
        for running in list(self._running):
            running.cancel()
        if self._running:
            await asyncio.wait(set(self._running))
        await self._workers.close()
        await self._servers.close()
        await self._images.close()
        await self._code.close()
        await self._memory.close()
        await self._tidying.close()
        self._secrets.close()

    async def _plan(self, order: AttemptOrder) -> _Plan:
        for name in (order.action.run_name, order.action.name):
            if not _NAME.fullmatch(name or ""):
                raise UnrunnableError("InvalidName", f"{name!r} is no name of a run or an action: it names a folder.")
        process, limit = self._asked(order)
        software = await self._images.software(process, order.spec)
        arguments = tuple(filled(process.arguments, order))
        code = await self._code.prepare(arguments) if software.is_ours else Code(arguments)
        shared = shared_variables(order, process.variables, self._plane)
        if order.spec.task_template.security_context.secrets:
            shared |= await asyncio.to_thread(self._secrets.variables, order.action, order.spec)
        return _Plan(software, code, shared, limit)

    def _asked(self, order: AttemptOrder) -> tuple[TaskProcess, int | None]:
        """The process that the spec asks for, and its memory limit."""
        if (asked := self._known.get(order.spec_digest)) is None:
            process = process_of(order.spec)
            check_is_attempt(process, order.spec.task_template.id.name)
            asked = self._known[order.spec_digest] = process, memory_limit(process)
            if len(self._known) > _MOST_KNOWN:
                del self._known[next(iter(self._known))]
        return asked

    async def _in_own_process(self, order: AttemptOrder, plan: _Plan, started: Callable[[], None]) -> AttemptEnd:
        async with asyncio.timeout(_START_LIMIT_S):
            server = await self._servers.get(plan.software, plan.code, plan.shared)
        of_attempt = attempt_variables(order)
        folder, fresh = self._folder(order, plan)
        launch = Launch(
            arguments=list(plan.code.arguments[1:]),
            variables=self._servers.variables(plan.software, {**plan.shared, **of_attempt}),
            folder=folder,
            log=self._log(order),
            marks=of_attempt,
            memory_limit=plan.memory_limit,
        )
        try:
            ended = await run_process(server, launch, self._memory, started)
        finally:
            if fresh is not None:
                self._tidying.later(fresh, plan.code.folder)
        if ended.log_failure is not None:
            system_logger.warning("the log of %s is not whole: %s", launch.log, ended.log_failure)
        return await _end(order, plan, ended)

    def _folder(self, order: AttemptOrder, plan: _Plan) -> tuple[Path, Path | None]:
        """The working directory; and what is to be tidied up afterwards, where that is of the attempt."""
        fresh = run_folder(self._home, order.action.run_name or "") / order.action.name / str(order.attempt_no) / _WORK
        if fresh.exists():
            # Of an attempt of that number that was lost.
            shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True, exist_ok=True)
        if plan.code.folder is not None:
            link_code(plan.code.folder, fresh)
        elif plan.software.environment.working_dir is not None and "--pkl" not in plan.code.arguments:
            # The code is in the image, which has a place for it.
            return plan.software.environment.working_dir, fresh
        return fresh, fresh

    def _log(self, order: AttemptOrder) -> Path:
        return log_path(self._home, order.action.run_name or "", order.action.name, order.attempt_no)


async def _end(order: AttemptOrder, plan: _Plan, ended: Exit) -> AttemptEnd:
    if ended.memory_bytes is not None and plan.memory_limit is not None:
        return AttemptEnd(failure=out_of_memory(order.spec, ended.memory_bytes, plan.memory_limit))
    end = await outcome(order, ended.code, _hint(ended))
    if ended.is_lost and end.failure is not None and end.failure.code == PROCESS_DIED:
        raise AttemptLostError(f"the fork server of attempt {order.attempt_no} at {order.action.name} has ended")
    if ended.is_memory_short and end.failure is not None:
        return AttemptEnd(failure=replace(end.failure, code=OUT_OF_MEMORY))
    return end


def _hint(ended: Exit) -> str:
    if ended.is_memory_short:
        return "The system has ended a process for lack of memory meanwhile."
    if ended.code == -9:
        return "It was not this server, and the system tells of no lack of memory."
    lines = [line for line in ended.last_lines if line.strip()]
    return "It last printed: " + " / ".join(line[:300] for line in lines) if lines and ended.code else ""
