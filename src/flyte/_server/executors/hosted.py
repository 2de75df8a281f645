"""The executor of a server whose attempts run below a process of their own, which outlives it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flyte._logging import system_logger
from flyte._server.executors.host_socket import connected
from flyte._server.executors.host_wire import VERSION, end_of, framed, packed_order, received
from flyte._server.executors.orders import AttemptEnd, AttemptKey, AttemptLostError, AttemptOrder, Capacity

_HOST = "flyte._server.executors.host"
_MOST_HOSTS = 3
"""So many may end before they have said a word; one that was killed can still be connected to for a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """How a host runs attempts; the fields are those of `ExecutorSettings`, as text.

    Attributes:
        capacity: What attempts may use together; None for what the host says. It holds for a host of an earlier server,
            too.
        log_file: Where a host that is started writes what it logs; None for where this process does.
    """

    home: Path
    endpoint: str
    images: tuple[str, ...] = ()
    extra_env: Mapping[str, str] = field(default_factory=dict)
    capacity: Capacity | None = None
    log_file: Path | None = None

    def as_text(self) -> str:
        """As the host reads them."""
        given = self.capacity
        return json.dumps(
            {
                "endpoint": self.endpoint,
                "images": list(self.images),
                "extra_env": dict(self.extra_env),
                "capacity": None if given is None else [given.cpu_millis, given.memory_bytes, given.gpus],
            }
        )


class _Waiting:
    """A `run_attempt` that waits for the end."""

    def __init__(self, started: Callable[[], None]) -> None:
        self.started = started
        self.end: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()


class HostedExecutor:
    """Runs attempts below a host. Lives on one event loop.

    A host that dies loses its attempts; another one is started then.

    Attributes:
        host_pid: The process of the host; 0 before `start`.
    """

    def __init__(self, settings: HostSettings) -> None:
        self._settings = settings
        self._capacity = Capacity(0, 0)
        self.host_pid = 0
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None
        self._waiting: dict[AttemptKey, _Waiting] = {}
        self._known: set[AttemptKey] = set()
        self._specs: set[bytes] = set()
        self._connecting = asyncio.Lock()
        self._is_closed = self._is_left = False
        self._process: subprocess.Popen[str] | None = None

    @property
    def capacity(self) -> Capacity:
        """As `Executor` says."""
        return self._capacity

    async def start(self) -> None:
        """A host is there: the one that an earlier server has left, or a new one.

        Raises:
            AttemptLostError: there can be none; the text says why.
        """
        async with self._connecting:
            if self._writer is None:
                try:
                    await self._connect()
                except OSError as error:
                    raise AttemptLostError(f"the host of attempts could not be started: {error}") from error

    def knows(self, attempt: AttemptKey) -> bool:
        """As `Executor` says."""
        return attempt in self._known

    def keep_known(self, wanted: set[AttemptKey]) -> None:
        """Of the attempts that an earlier server has ordered only these are wanted; the others are killed."""
        self._known &= wanted
        self._say(kind="keep", attempts=[list(key) for key in self._known | self._waiting.keys()])

    def forget(self, attempt: AttemptKey) -> None:
        """As `Executor` says."""
        self._known.discard(attempt)
        self._say(kind="forget", key=list(attempt))

    async def run_attempt(self, order: AttemptOrder, started: Callable[[], None]) -> AttemptEnd:
        """As `Executor` says."""
        await self.start()
        key = order.key
        self._known.discard(key)
        waiting = self._waiting[key] = _Waiting(started)
        with_spec = order.spec_digest not in self._specs
        self._specs.add(order.spec_digest)
        self._say(kind="run", key=list(key), order=packed_order(order, with_spec=with_spec))
        try:
            message = await asyncio.shield(waiting.end)
        except asyncio.CancelledError:
            if self._is_left:
                raise
            self._say(kind="kill", key=list(key))
            while not (waiting.end.done() or self._is_left):
                # However often it is cancelled.
                with suppress(asyncio.CancelledError):
                    await asyncio.wait((waiting.end,))
            self.forget(key)
            raise
        finally:
            if self._waiting.get(key) is waiting:
                del self._waiting[key]
        if message["kind"] == "ended":
            return end_of(message)
        self.forget(key)
        raise AttemptLostError(message.get("why", "it was killed below its host"))

    def set_waiting(self, run_name: str, action_name: str, *, is_waiting: bool) -> None:
        """As `Executor` says."""
        self._say(kind="waiting", key=[run_name, action_name, 0], is_waiting=is_waiting)

    def release(self, spec_digest: bytes) -> None:
        """As `Executor` says."""
        self._specs.discard(spec_digest)
        self._say(kind="release", digest=spec_digest)

    async def close(self) -> None:
        """The host has ended, and every attempt with it, unless they were left to the next server."""
        if self._is_left:
            return
        self._is_closed = True
        self._say(kind="close")
        if self._listening is not None:
            await asyncio.wait((self._listening,))
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)

    async def leave(self) -> None:
        """The host and its attempts are left to the next server. Who waits for their end here, waits for ever."""
        self._is_closed = self._is_left = True
        if self._writer is not None:
            with suppress(OSError):
                await self._writer.drain()
            self._writer.close()
        if self._listening is not None:
            await asyncio.wait((self._listening,))
        if self._process is not None:
            # It goes on, and nobody of this process waits for it.
            self._process.returncode = 0

    async def _connect(self) -> None:
        for _ in range(_MOST_HOSTS):
            if await self._is_connected():
                return
        raise AttemptLostError(f"the host of attempts in {self._settings.home} ended at once")

    async def _is_connected(self) -> bool:
        """Whether there is a host; another one may be where this one was about to end."""
        home = self._settings.home
        connection = await asyncio.to_thread(connected, home)
        is_new = connection is None
        if connection is None:
            await asyncio.to_thread(self._start_host)
            connection = await asyncio.to_thread(connected, home)
        if connection is None:
            raise AttemptLostError(f"the host of attempts in {home} does not answer")
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        try:
            hello = await received(reader)
        except (asyncio.IncompleteReadError, OSError):
            writer.close()
            return False
        if is_new and hello["version"] != VERSION:
            writer.write(framed({"kind": "close"}))
            writer.close()
            raise AttemptLostError("another release of flyte was installed below this server: start the server again")
        if hello["version"] != VERSION:
            system_logger.warning("the attempts of an earlier release are lost: its host speaks another language")
            writer.write(framed({"kind": "close"}))
            with suppress(asyncio.IncompleteReadError, OSError):
                while True:
                    await received(reader)
            writer.close()
            return False
        self._capacity = self._settings.capacity or Capacity(*hello["capacity"])
        self.host_pid = hello["pid"]
        self._known = {AttemptKey(*each) for each in hello["attempts"]}
        self._specs = set(hello["specs"])
        self._writer = writer
        self._listening = asyncio.get_running_loop().create_task(self._listen(reader, writer))
        return True

    def _start_host(self) -> None:
        """A new host is ready. Blocks."""
        settings = self._settings
        settings.home.mkdir(parents=True, exist_ok=True)
        log = settings.log_file.open("a") if settings.log_file is not None else None
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", _HOST, str(settings.home)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                text=True,
            )
        finally:
            if log is not None:
                log.close()
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdin, process.stdout:
            process.stdin.write(settings.as_text())
            process.stdin.close()
            ready = process.stdout.readline()
        if ready != "ready\n":
            raise AttemptLostError(f"the host of attempts could not be started: it ended with {process.wait()}")
        self._process = process

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                self._hear(await received(reader))
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self._writer = None
            self._specs.clear()
            self._known.clear()
            writer.close()
            for waiting in () if self._is_left else self._waiting.values():
                if not waiting.end.done():
                    waiting.end.set_exception(AttemptLostError("the host of attempts has ended"))
                    waiting.end.exception()
            if not self._is_closed:
                system_logger.error("the host of attempts has ended, and its attempts are lost")
                if self._process is not None:
                    await asyncio.to_thread(self._process.wait)

    def _hear(self, message: dict[str, Any]) -> None:
        waiting = self._waiting.get(AttemptKey(*message["key"]))
        if waiting is None:
            return
        if message["kind"] == "started":
            waiting.started()
        elif not waiting.end.done():
            waiting.end.set_result(message)

    def _say(self, **message: Any) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(framed(message))
