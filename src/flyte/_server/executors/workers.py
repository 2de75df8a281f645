"""One worker that is reused: the server's side of its process."""

from __future__ import annotations

import asyncio
import json
import signal
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyte._controller.child_servers import Server
from flyte._controller.log_writing import LogWriter
from flyte._forks.wire import LENGTH_BYTES, framed, length_of
from flyte._server.executors.attempt_log import PipeLog
from flyte._server.executors.code import link_code, tidy, value_of, with_value
from flyte._server.executors.memory import MemoryWatch, Watched
from flyte._server.executors.orders import AttemptEnd, AttemptLostError, AttemptOrder
from flyte._server.executors.outcomes import PROCESS_DIED, out_of_memory, outcome
from flyte._worker.forked import launch_worker

FOLDER = "workers"

CANCEL_GRACE_S = 2.0
"""So long may an attempt take to end when it is cancelled, before its worker is killed."""


@dataclass(frozen=True, slots=True)
class WorkerStart:
    """What a worker is started with.

    Attributes:
        home: Its working directory is below it.
        variables: All of its environment.
        code: The folder with its code; None where that is in the image, or pickled.
        folder: Its working directory where the image has one; None for a fresh one.
        memory_limit: Bytes that it may use, with what it starts; None for any number.
    """

    home: Path
    variables: Mapping[str, str]
    code: Path | None
    folder: Path | None
    memory_limit: int | None


@dataclass(slots=True)
class _Running:
    """An attempt in a worker."""

    log: LogWriter
    ended: asyncio.Future[int]
    is_stuck: asyncio.Event


class _Fanout(LogWriter):
    """What a worker writes past Python's streams: nobody knows of which attempt it is, so all that run in it get it."""

    def __init__(self, running: dict[int, _Running]) -> None:
        super().__init__(Path())
        self._running = running

    def write_bytes(self, data: bytes) -> None:
        """It is in the logs of all."""
        for each in self._running.values():
            each.log.write_bytes(data)

    def close(self) -> None:
        """Nothing was kept back."""
        for each in self._running.values():
            each.log.close()


class ReusedWorker:
    """A worker, from its start until nothing of it is left. Lives on one event loop.

    Attributes:
        running: Attempts in it that are not waiting for others.
        idle_since: When the last attempt left it, by the loop's clock, in seconds.
        is_ending: It gets no further attempt.
    """

    def __init__(self, server: Server, start: WorkerStart, memory: MemoryWatch) -> None:
        self.running = 0
        self.idle_since = 0.0
        self.is_ending = False
        self._server = server
        self._start = start
        self._memory = memory
        self._attempts: dict[int, _Running] = {}
        self._last = 0
        self._used_bytes = 0
        self._ended_for: str | None = None
        self._folder = start.folder or start.home / FOLDER / uuid.uuid4().hex
        if start.folder is None:
            self._folder.mkdir(parents=True)
            if start.code is not None:
                link_code(start.code, self._folder)
        self._pipe = PipeLog(_Fanout(self._attempts))
        streams = (self._pipe.writing, self._pipe.writing)
        try:
            self._launched, connection = launch_worker(server, start.variables, str(self._folder), streams)
        except BaseException:
            self._pipe.close()
            raise
        self._pipe.given_away()
        self._writer: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
        self._listening = asyncio.ensure_future(self._listen(connection))
        self._exit = asyncio.ensure_future(self._finish())

    @property
    def has_ended(self) -> bool:
        """Whether its process is gone."""
        return self._exit.done()

    async def run(
        self, order: AttemptOrder, arguments: tuple[str, ...], log: Path, started: Callable[[], None]
    ) -> AttemptEnd:
        """How an attempt ended that has run in it.

        Raises:
            AttemptLostError: the worker was ended for another attempt in it, or before this one.
            LaunchFailedError: it has no process.
        """
        pid = await self._launched.started()
        writer = await asyncio.shield(self._writer)
        if self._exit.done():
            raise AttemptLostError(f"the worker of action {order.action.name} had ended before it could begin")
        self._last += 1
        number = self._last
        attempt = _Running(LogWriter(log), asyncio.get_running_loop().create_future(), asyncio.Event())
        self._attempts[number] = attempt
        if self._start.memory_limit is not None and len(self._attempts) == 1 and not self._used_bytes:
            self._memory.add(Watched(pid, self._start.memory_limit, self._exceeded))
        message = {
            "attempt": number,
            "arguments": list(_named(arguments, order)[1:]),
            "log": str(log),
            "number": order.attempt_no - 1,
        }
        try:
            writer.write(b"".join(framed(message)))
            started()
            code = await asyncio.shield(attempt.ended)
        except asyncio.CancelledError:
            await _finished(asyncio.ensure_future(self._cancel(number, attempt, order)))
            raise
        finally:
            self._attempts.pop(number, None)
            attempt.log.close()
            if not self._attempts:
                self._memory.remove(pid)
        if self._used_bytes and self._start.memory_limit is not None:
            return AttemptEnd(failure=out_of_memory(order.spec, self._used_bytes, self._start.memory_limit))
        if self._ended_for is not None and self._exit.done():
            raise AttemptLostError(f"the worker of action {order.action.name} was ended: {self._ended_for}")
        end = await outcome(order, code, "It ran in a worker that is reused." if code < 0 else "")
        if code < 0 and self._server.has_ended and end.failure is not None and end.failure.code == PROCESS_DIED:
            raise AttemptLostError(f"the fork server of the worker of action {order.action.name} has ended")
        return end

    def end(self) -> None:
        """It is being ended, with all that it has started."""
        self.is_ending = True
        self._launched.kill(signal.SIGKILL)

    async def close(self) -> None:
        """It has ended, with all that it has started."""
        self.end()
        await asyncio.shield(self._exit)

    async def _cancel(self, number: int, attempt: _Running, order: AttemptOrder) -> None:
        """The attempt has ended, or its worker has."""
        if not attempt.ended.done():
            (await asyncio.shield(self._writer)).write(b"".join(framed({"cancel": number})))
            stuck = asyncio.ensure_future(attempt.is_stuck.wait())
            either: tuple[asyncio.Future[Any], ...] = (attempt.ended, stuck)
            await asyncio.wait(either, timeout=CANCEL_GRACE_S, return_when=asyncio.FIRST_COMPLETED)
            stuck.cancel()
        if not attempt.ended.done():
            self._ended_for = f"action {order.action.name}, which ran in it too, did not end when it was cancelled."
            self.end()
        if self.is_ending:
            await asyncio.shield(self._exit)

    def _exceeded(self, count: int) -> None:
        self._used_bytes = count
        self.end()

    async def _listen(self, connection: Any) -> None:
        reader, writer = await asyncio.open_connection(sock=connection)
        self._writer.set_result(writer)
        try:
            while True:
                head = await reader.readexactly(LENGTH_BYTES)
                self._hear(json.loads(await reader.readexactly(length_of(head))))
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    def _hear(self, message: dict[str, Any]) -> None:
        attempt = self._attempts.get(message.get("ended", message.get("stuck", 0)))
        if attempt is None:
            return
        if "stuck" in message:
            attempt.is_stuck.set()
        elif not attempt.ended.done():
            attempt.ended.set_result(message["exit"])

    async def _finish(self) -> int:
        """Waits for its end, and leaves nothing of it; returns its exit code."""
        code = await self._launched.wait()
        self.is_ending = True
        await asyncio.wait([self._listening])
        self._pipe.close()
        with suppress(OSError):
            if self._start.folder is None:
                tidy(self._folder, self._start.code)
        # An attempt that is not over ended with its process: code 0 would say that all is well.
        for attempt in self._attempts.values():
            if not attempt.ended.done():
                attempt.ended.set_result(code or 1)
        return code


def _named(arguments: tuple[str, ...], order: AttemptOrder) -> tuple[str, ...]:
    """The command line with all that it otherwise takes from variables, which are those of the worker here."""
    action = order.action
    for option, value in (
        ("--name", action.name),
        ("--run-name", action.run_name),
        ("--project", action.project),
        ("--domain", action.domain),
        ("--org", action.org),
        ("--run-base-dir", order.run_base_dir),
    ):
        if value_of(arguments, option) in (None, ""):
            arguments = with_value(arguments, option, value or "")
    return arguments


async def _finished(task: asyncio.Task[None]) -> None:
    """It has ended, however often this is cancelled meanwhile."""
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    task.result()
