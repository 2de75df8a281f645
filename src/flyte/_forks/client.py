"""The owner's side of a fork server, on an event loop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from flyte._forks.wire import LENGTH_BYTES, length_of, send

IS_SAFE = sys.platform == "linux"
"""Whether processes are forked on this system: macOS has libraries that a forked process must not use."""

PATH_SETUP = "sys.path[:] = path['first'] + [each for each in sys.path if path['keeps'] and each not in path['first']]"
"""With `path` at hand, `sys.path` is what a `ServerSpec` says."""

_BOOT = (
    f"import json, sys; path = json.loads(sys.argv[3]); {PATH_SETUP}\n"
    "%s\n"
    "from flyte._forks.server import main; main(int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[4]))"
)


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """What a fork server is for. Launches of equal specs share one server.

    Attributes:
        python: The interpreter.
        flags: Its options.
        path: Its `sys.path`.
        keeps_own_path: Whether the entries it has of itself follow those.
        environment: Its variables, which are those of each process.
        entry: The function that a forked process calls with its connection, as `module:name`.
        preload: The function that loads the user's code, and its argument.
        prelude: Python that is run before anything of this package is imported, for an interpreter without it.
    """

    python: str
    flags: tuple[str, ...]
    path: tuple[str, ...]
    keeps_own_path: bool
    environment: Mapping[str, str] = field(hash=False, repr=False)
    entry: str
    preload: tuple[str, str] | None = None
    prelude: str = ""


class LaunchFailedError(Exception):
    """A process could not be launched; the text says why."""


class Launched:
    """A process that a fork server has forked. It leads a session and a process group of its own.

    Attributes:
        pid: Its number; 0 where it could not be launched.
    """

    def __init__(self, server: ForkServer, number: int) -> None:
        self.pid = 0
        self._server = server
        self._number = number
        self._forked: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def started(self) -> int:
        """Its process number, once it is forked.

        Raises:
            LaunchFailedError: it could not be.
        """
        return await asyncio.shield(self._forked)

    async def wait(self) -> int:
        """Its exit code, or the number of the signal that ended it, negative; nothing of its group is left then."""
        return await asyncio.shield(self._exit)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Its group gets a signal, if it has not ended. Safe to call at any time."""
        if not self._exit.done():
            self._server.signal(self._number, number)

    def told(self, message: Mapping[str, Any]) -> None:
        """What the server said of it."""
        if "pid" in message:
            self.pid = message["pid"]
            if not self._forked.done():
                self._forked.set_result(self.pid)
        elif "failed" in message:
            self.lost(f"the process could not be forked: {message['failed']}")
        else:
            self._settle_exit(message["exit"])

    def lost(self, reason: str) -> None:
        """The server is gone, and the process with it; what that has started is ended."""
        if self.pid and not self._exit.done():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        if not self._forked.done():
            self._forked.set_exception(LaunchFailedError(reason))
            self._forked.exception()
        self._settle_exit(-signal.SIGKILL)

    def _settle_exit(self, code: int) -> None:
        if not self._exit.done():
            self._exit.set_result(code)


class ForkServer:
    """A running fork server. Lives on one event loop.

    Raises:
        OSError: the interpreter cannot be run.
    """

    def __init__(self, spec: ServerSpec) -> None:
        self.spec = spec
        self._launches: dict[int, Launched] = {}
        self._last = 0
        self._is_closed = False
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        start = {"entry": spec.entry}
        if spec.preload is not None:
            start["preload"], start["preload_with"] = spec.preload
        # Requests go by one socket, which blocks, and come with descriptors; answers by another, to the event loop.
        with ExitStack() as theirs, ExitStack() as ours:
            (self._requests, requested), (answers, answering) = socket.socketpair(), socket.socketpair()
            for each in (self._requests, answers):
                ours.enter_context(each)
            given = [theirs.enter_context(each).fileno() for each in (requested, answering)]
            path = {"first": spec.path, "keeps": spec.keeps_own_path}
            arguments = [*map(str, given), json.dumps(path), json.dumps(start)]
            self._process = subprocess.Popen(
                [spec.python, *spec.flags, "-c", _BOOT % spec.prelude, *arguments],
                stdin=subprocess.DEVNULL,
                pass_fds=given,
                process_group=0,
                env=dict(spec.environment),
            )
            ours.pop_all()
        self._listening = asyncio.ensure_future(self._listen(answers))

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    @property
    def running(self) -> int:
        """How many of its processes have not ended."""
        return len(self._launches)

    @property
    def has_ended(self) -> bool:
        """Whether it forks no more."""
        return self._is_closed

    @property
    def is_ready(self) -> bool:
        """Whether it has loaded what it was to load, or has failed to."""
        return self._ready.done()

    async def ready(self) -> None:
        """It has loaded what it was to load.

        Raises:
            LaunchFailedError: it ended before that.
        """
        await asyncio.shield(self._ready)

    def launch(self, descriptors: Sequence[int], folder: str | None = None) -> Launched:
        """A process that calls the entry is on its way.

        Args:
            descriptors: What its entry gets, and then its standard output and error. They stay open here.
            folder: Its working directory; default the server's.
        """
        self._last += 1
        launched = Launched(self, self._last)
        if self._is_closed:
            launched.lost("the fork server has ended")
            return launched
        self._launches[self._last] = launched
        # It does not block for long: the server does nothing but read, and few launches are under way at a time.
        try:
            send(self._requests, {"launch": self._last, "folder": folder}, tuple(descriptors))
        except OSError as error:
            del self._launches[self._last]
            launched.lost(f"the fork server has ended ({error.strerror})")
        return launched

    def signal(self, launch: int, number: int) -> None:
        """The group of a launched process gets a signal."""
        with suppress(OSError):
            send(self._requests, {"kill": launch, "signal": int(number)})

    async def close(self) -> None:
        """It has ended, and so has everything it has forked. Safe to call twice."""
        self._is_closed = True
        if not self._ready.done():
            # It loads the user's code, does not listen before it has, and has forked nothing.
            self._kill_group()
        with suppress(OSError):
            self._requests.shutdown(socket.SHUT_WR)
        await asyncio.wait([self._listening])

    async def _listen(self, answers: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=answers)
        try:
            while True:
                body = await reader.readexactly(length_of(await reader.readexactly(LENGTH_BYTES)))
                self._hear(json.loads(body))
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self._is_closed = True
            writer.close()
            self._requests.close()
            if not self._ready.done():
                self._ready.set_exception(LaunchFailedError("the fork server ended before it was ready"))
                self._ready.exception()
            for launched in list(self._launches.values()):
                launched.lost("the fork server has ended")
            self._launches.clear()
            self._kill_group()
            self._process.wait()

    def _hear(self, message: dict[str, Any]) -> None:
        if "ready" in message:
            self._ready.set_result(None)
            return
        number = message["launch"]
        self._launches[number].told(message)
        if "pid" not in message:
            del self._launches[number]

    def _kill_group(self) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
