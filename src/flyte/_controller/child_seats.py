"""Where an attempt in another process runs: in a process of its own, or beside others in a worker that is kept."""

from __future__ import annotations

import asyncio
import codecs
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from flyte._controller.child_servers import Server
from flyte._forks.client import Launched
from flyte._forks.spawning import Spawned
from flyte._forks.wire import send

OUTPUT_GRACE_S = 1.0
"""How long what was written to a pipe is waited for when the process is gone: something may have escaped its group."""

Print = Callable[[str, str], object]
"""Takes what was written: the name of the stream, and the text."""


@dataclass(frozen=True, slots=True)
class Line:
    """The engine's end of the connection to the process of an attempt."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


@asynccontextmanager
async def new_line() -> AsyncIterator[tuple[Line, socket.socket]]:
    """A connection, and its other end, which is closed here after the block; all of it is where the block fails."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            line = Line(*await asyncio.open_connection(sock=ours))
        except BaseException:
            ours.close()
            raise
        try:
            yield line, theirs
        except BaseException:
            line.writer.close()
            raise


class Seat(Protocol):
    """What the engine does with the process of an attempt."""

    async def begin(self) -> Line:
        """The connection to the process, which waits for what it is to run."""
        ...

    def release(self, line: Line, *, is_over: bool) -> None:
        """The engine has done with the connection. `is_over` says that the attempt is, as its process has told."""
        ...

    def end(self) -> None:
        """The attempt, and all it has started, is being ended. Safe to call at any time, more than once."""
        ...

    async def ended(self) -> None:
        """What `end` began is done, and what the process wrote was read."""
        ...

    async def died(self) -> int:
        """Its process has closed the connection before the attempt was over: the exit code, or minus a signal."""
        ...


class OwnProcess:
    """A forked process, with pipes for what it, and whatever it starts, writes past Python's streams."""

    def __init__(self, server: Server, folder: str | None, print_text: Print) -> None:
        self._server = server
        self._folder = folder
        self._print = print_text
        self._launched: Launched | Spawned | None = None
        self._pipes: list[asyncio.Task[None]] = []

    async def begin(self) -> Line:
        """As `Seat` says.

        Raises:
            LaunchFailedError: the process cannot be forked.
        """
        async with new_line() as (line, theirs):
            writing: list[int] = []
            try:
                for name in ("stdout", "stderr"):
                    reading, other = os.pipe()
                    writing.append(other)
                    self._pipes.append(asyncio.ensure_future(_read_pipe(reading, name, self._print)))
                self._launched = self._server.launch((theirs.fileno(), *writing), self._folder)
            finally:
                for descriptor in writing:
                    os.close(descriptor)
            await self._launched.started()
        return line

    def release(self, line: Line, *, is_over: bool) -> None:
        """As `Seat` says."""
        line.writer.close()

    def end(self) -> None:
        """As `Seat` says."""
        if self._launched is not None:
            self._launched.kill(signal.SIGKILL)

    async def ended(self) -> None:
        """As `Seat` says."""
        if self._launched is not None:
            await self._launched.wait()
        if self._pipes:
            _, unread = await asyncio.wait(self._pipes, timeout=OUTPUT_GRACE_S)
            for pipe in unread:
                pipe.cancel()

    async def died(self) -> int:
        """As `Seat` says."""
        # What it has started may live on.
        self.end()
        await self.ended()
        return -signal.SIGKILL if self._launched is None else await self._launched.wait()


class WorkerSeat:
    """A place in a worker. What the worker writes past Python's streams belongs to no attempt.

    Args:
        worker: Where it is.
        is_async: An attempt at an async task, which can be cancelled; with any other, its worker has to end.
    """

    def __init__(self, worker: Worker, *, is_async: bool) -> None:
        self._worker = worker
        self._is_async = is_async

    async def begin(self) -> Line:
        """As `Seat` says.

        Raises:
            LaunchFailedError: the worker has no process.
        """
        return await self._worker.line()

    def release(self, line: Line, *, is_over: bool) -> None:
        """As `Seat` says. A sync attempt that is not over cannot be ended but with its worker."""
        if is_over:
            self._worker.idle_lines.append(line)
            return
        line.writer.close()
        if not self._is_async:
            self._worker.end()

    def end(self) -> None:
        """As `Seat` says: when its line is released."""

    async def ended(self) -> None:
        """As `Seat` says."""
        if self._worker.is_ending:
            await self._worker.exit_code()

    async def died(self) -> int:
        """As `Seat` says."""
        self._worker.end()
        return await self._worker.exit_code()


class Worker:
    """A forked process that runs attempts until it is closed.

    Attributes:
        running: Attempts in it that are not waiting for calls they have made.
        idle_lines: Connections for further attempts.
        idle_since: When the last attempt left it, by the loop's clock, in seconds.
        is_ending: It gets no further attempt.
    """

    def __init__(self, server: Server) -> None:
        self.running = 0
        self.is_ending = False
        self.idle_since = 0.0
        self.idle_lines: list[Line] = []
        self._control, theirs = socket.socketpair()
        with theirs:
            self._launched = server.launch((theirs.fileno(),))
        self._exit = asyncio.ensure_future(self._launched.wait())
        self._exit.add_done_callback(lambda _: self._hang_up())

    @property
    def has_ended(self) -> bool:
        """Whether its process is gone."""
        return self._exit.done()

    async def line(self) -> Line:
        """A connection for one attempt at a time.

        Raises:
            LaunchFailedError: its process cannot be forked.
        """
        if self.idle_lines:
            return self.idle_lines.pop()
        await self._launched.started()
        async with new_line() as (line, theirs):
            with suppress(OSError):
                # Where it has just ended, the attempt sees its connection closed.
                send(self._control, {}, (theirs.fileno(),))
        return line

    async def exit_code(self) -> int:
        """How it ended, once it has."""
        return await asyncio.shield(self._exit)

    def end(self) -> None:
        """It is being ended, with all that it has started."""
        self.is_ending = True
        self._launched.kill()

    async def close(self) -> None:
        """It has ended, with all that it has started."""
        self.end()
        await self.exit_code()

    def _hang_up(self) -> None:
        self._control.close()
        for line in self.idle_lines:
            line.writer.close()
        self.idle_lines.clear()


async def _read_pipe(descriptor: int, name: str, print_text: Print) -> None:
    """Hands on what is written to a pipe, until nobody has it open for writing."""
    loop = asyncio.get_running_loop()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    try:
        while data := await reader.read(1 << 16):
            print_text(name, decoder.decode(data))
        if rest := decoder.decode(b"", final=True):
            print_text(name, rest)
    finally:
        transport.close()
