"""What a fork server does, where forking is not safe: each process is a fresh interpreter."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress

from flyte._forks.client import PATH_SETUP, LaunchFailedError, ServerSpec

_BOOT = (
    "import json, os, sys; os.set_inheritable(int(sys.argv[1]), False); "
    f"path = json.loads(sys.argv[2]); {PATH_SETUP}\n"
    "%s\n"
    "from importlib import import_module; module, name = sys.argv[3].split(':'); "
    "getattr(import_module(module), name)(int(sys.argv[1]))"
)


class Spawned:
    """A process that was started afresh, as `Launched` is one that was forked."""

    def __init__(self, process: subprocess.Popen[bytes] | None, reason: str = "") -> None:
        self._process = process
        self._reason = reason
        self._exit = asyncio.ensure_future(self._wait())

    async def started(self) -> int:
        """As of `Launched`.

        Raises:
            LaunchFailedError: it could not be started.
        """
        if self._process is None:
            raise LaunchFailedError(self._reason)
        return self._process.pid

    async def wait(self) -> int:
        """As of `Launched`."""
        return await asyncio.shield(self._exit)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """As of `Launched`."""
        if self._process is not None and not self._exit.done():
            # Until it is waited for, below, the group's number is its own.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    async def _wait(self) -> int:
        if self._process is None:
            return -signal.SIGKILL
        pid = self._process.pid
        await asyncio.to_thread(os.waitid, os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        return self._process.wait()


class SpawnServer:
    """Has the form of a `ForkServer`, and no process of its own."""

    has_ended = False
    is_ready = True

    def __init__(self, spec: ServerSpec) -> None:
        self.spec = spec
        self._launched: set[Spawned] = set()

    @property
    def running(self) -> int:
        """How many of its processes have not ended."""
        return len(self._launched)

    async def ready(self) -> None:
        """It always is."""

    def launch(self, descriptors: Sequence[int], folder: str | None = None) -> Spawned:
        """As of `ForkServer`."""
        connection, *streams = descriptors
        path = {"first": self.spec.path, "keeps": self.spec.keeps_own_path}
        try:
            process = subprocess.Popen(
                [
                    *(self.spec.python, *self.spec.flags, "-c", _BOOT % self.spec.prelude),
                    *(str(connection), json.dumps(path), self.spec.entry),
                ],
                stdin=subprocess.DEVNULL,
                stdout=streams[0] if streams else None,
                stderr=streams[1] if streams else None,
                pass_fds=[connection],
                cwd=folder,
                start_new_session=True,
                env=dict(self.spec.environment),
            )
        except OSError as error:
            return Spawned(None, f"the process could not be started: {error.strerror or error}")
        launched = Spawned(process)
        self._launched.add(launched)
        launched._exit.add_done_callback(lambda _: self._launched.discard(launched))
        return launched

    async def close(self) -> None:
        """Nothing that it has started is left."""
        for launched in list(self._launched):
            launched.kill()
            await launched.wait()
