"""Which fork server forks an attempt."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from flyte._controller.child_servers import ForkServers, Server
from flyte._forks.client import LaunchFailedError, ServerSpec
from flyte._image.environment import running_environment
from flyte._logging import system_logger
from flyte._server.executors.code import Code
from flyte._server.executors.images import Software
from flyte._worker import foreign
from flyte._worker.forked import ENTRY, PRELOAD, module_as_text

KEPT_UNUSED_S = 300.0
"""So long a fork server is kept that nobody wants."""

_READ_AT_START = re.compile(r"PYTHON|LD_|DYLD_|MALLOC_|GLIBC_|LC_|(LANG|LANGUAGE|TZ)$")
"""Variables that an interpreter reads when it starts: a forked process would set them too late."""

_MOST_SEEN = 1000
_NO_FOLDER_OF_OURS = "sys.path[:] = [entry for entry in sys.path if entry]"
"""The folder that the server was started in is none of the attempt's."""


class AttemptServers:
    """Fork servers of attempts. Lives on one event loop.

    The first attempt at a module is forked by a server that has loaded this package alone. When there is a second one,
    a server begins to load the module too, and forks those that come when it has.

    Args:
        inherited: Variables that processes have from this one.
    """

    def __init__(self, inherited: Mapping[str, str]) -> None:
        self._inherited = inherited
        self._servers = ForkServers()
        self._seen: dict[ServerSpec, bool] = {}
        self._loading: dict[ServerSpec, asyncio.Task[Server]] = {}
        self._ending: asyncio.TimerHandle | None = None
        self._plain = self._plain_spec(Software(running_environment()), {})

    async def warm(self) -> None:
        """The first attempt in the interpreter of this process finds a server that has loaded what it needs.

        Raises:
            LaunchFailedError: it cannot be started.
        """
        await self._servers.get(self._plain)

    def variables(self, software: Software, of_attempt: Mapping[str, str]) -> dict[str, str]:
        """All variables of an attempt."""
        return {**software.variables(self._inherited), **of_attempt}

    async def get(self, software: Software, code: Code, shared: Mapping[str, str]) -> Server:
        """A server for an attempt.

        Args:
            shared: The variables that it has in common with attempts at the same task.

        Raises:
            LaunchFailedError: none can be started.
            OSError: the interpreter cannot be run.
        """
        plain = self._plain_spec(software, shared)
        if software.is_ours and code.folder is not None and code.module is not None:
            loaded = replace(
                plain,
                environment=self.variables(software, shared),
                preload=(PRELOAD, module_as_text(code.folder, code.module)),
            )
            if (server := self._loaded(loaded)) is not None:
                return server
        return await self._servers.get(plain)

    async def plain(self, software: Software, shared: Mapping[str, str]) -> Server:
        """A server that has loaded nothing of the user's, such as for workers that are reused.

        Raises:
            LaunchFailedError: none can be started.
            OSError: the interpreter cannot be run.
        """
        return await self._servers.get(self._plain_spec(software, shared))

    def release(self) -> None:
        """Something is not wanted for now: servers that nobody wants for some time from now end."""
        if self._ending is None:
            loop = asyncio.get_running_loop()
            self._ending = loop.call_later(KEPT_UNUSED_S + 1, self._end_unused)

    def _end_unused(self) -> None:
        self._ending = None
        self._loading = {
            spec: loading
            for spec, loading in self._loading.items()
            if not (loading.done() and self._has_ended(loading))
        }
        if self._servers.end_unused(KEPT_UNUSED_S, self._plain):
            self.release()

    async def close(self) -> None:
        """No server is left, and nothing that one has forked."""
        if self._ending is not None:
            self._ending.cancel()
        for loading in self._loading.values():
            loading.cancel()
        await self._servers.close()

    def _plain_spec(self, software: Software, shared: Mapping[str, str]) -> ServerSpec:
        # The official release is imported by its server, and reads what it is to do when it is.
        at_start = {name: value for name, value in shared.items() if not software.is_ours or _READ_AT_START.match(name)}
        return ServerSpec(
            python=software.python,
            flags=(),
            path=tuple(map(str, software.environment.python_path)),
            keeps_own_path=True,
            environment=self.variables(software, at_start),
            entry=ENTRY if software.is_ours else foreign.ENTRY,
            preload=None if software.is_ours else (foreign.PRELOAD, ""),
            prelude=_NO_FOLDER_OF_OURS if software.is_ours else foreign.prelude(),
        )

    def _loaded(self, spec: ServerSpec) -> Server | None:
        """The server that has loaded the module, once it has; it is started where the module is wanted again."""
        if not self._seen.pop(spec, False):
            self._seen[spec] = True
            if len(self._seen) > _MOST_SEEN:
                del self._seen[next(iter(self._seen))]
            return None
        self._seen[spec] = True
        loading = self._loading.get(spec)
        if loading is None or (loading.done() and self._has_ended(loading)):
            self._loading[spec] = loading = asyncio.ensure_future(self._servers.get(spec))
            loading.add_done_callback(_told)
        if not loading.done() or self._has_ended(loading):
            return None
        # It counts as wanted, and is kept.
        return self._servers.known(spec)

    def _has_ended(self, loading: asyncio.Task[Server]) -> bool:
        return loading.cancelled() or loading.exception() is not None or loading.result().has_ended


def _told(loading: asyncio.Task[Server]) -> None:
    with suppress(asyncio.CancelledError):
        if isinstance(error := loading.exception(), (LaunchFailedError, OSError)):
            system_logger.warning("a fork server could not be started: %s", error)
