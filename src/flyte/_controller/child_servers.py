"""The fork servers of one run: one for each environment and module, few of them idle."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from flyte._forks.client import IS_SAFE, ForkServer, LaunchFailedError, ServerSpec
from flyte._forks.spawning import SpawnServer

MOST_IDLE = 4
"""Servers without a process that are kept: each has its own copy of the packages in memory, some 50 MiB and more."""

_JUST_NOW_S = 5.0

Server = ForkServer | SpawnServer


class ForkServers:
    """Starts fork servers when they are first wanted. Lives on the engine's loop."""

    def __init__(self) -> None:
        self._servers: dict[ServerSpec, Server] = {}
        self._wanted_at: dict[ServerSpec, float] = {}
        self._unloadable: set[ServerSpec] = set()
        self._closing: set[asyncio.Task[None]] = set()

    async def get(self, spec: ServerSpec) -> Server:
        """A running server for the spec. User code that ends it when it is loaded is loaded by each process instead.

        Raises:
            LaunchFailedError: no server could be started.
            OSError: its interpreter cannot be run.
        """
        if spec in self._unloadable:
            spec = replace(spec, preload=None)
        server = self._servers.pop(spec, None)
        if server is None or server.has_ended:
            self._end_idle()
            server = ForkServer(spec) if IS_SAFE else SpawnServer(spec)
        # Last in the order of use.
        self._servers[spec] = server
        self._wanted_at[spec] = asyncio.get_running_loop().time()
        try:
            await server.ready()
        except LaunchFailedError:
            if spec.preload is None:
                raise
            self._unloadable.add(spec)
            return await self.get(spec)
        return server

    def known(self, spec: ServerSpec) -> Server | None:
        """The server that runs for the spec, which is wanted now; None where there is none, or it is not ready."""
        if spec in self._unloadable:
            spec = replace(spec, preload=None)
        server = self._servers.get(spec)
        if server is None or server.has_ended or not server.is_ready:
            return None
        self._servers[spec] = self._servers.pop(spec)
        self._wanted_at[spec] = asyncio.get_running_loop().time()
        return server

    async def close(self) -> None:
        """No server is left, and nothing that one has forked."""
        servers, self._servers = list(self._servers.values()), {}
        await asyncio.gather(*(server.close() for server in servers), *self._closing)

    def end_unused(self, for_s: float, but: ServerSpec | None = None) -> bool:
        """Servers that have no process, and that nobody wanted for so long, are being ended; one may be left out.

        Returns:
            Whether others are left.
        """
        for spec in self._idle(for_s):
            if spec != but:
                self._end(spec)
        return any(spec != but for spec in self._servers)

    def _end_idle(self) -> None:
        # Whoever wanted one just now has not launched anything yet.
        idle = self._idle(_JUST_NOW_S)
        for spec in idle[: max(0, len(idle) - MOST_IDLE + 1)]:
            self._end(spec)

    def _idle(self, for_s: float) -> list[ServerSpec]:
        before = asyncio.get_running_loop().time() - for_s
        return [
            spec
            for spec, server in self._servers.items()
            if not server.running and server.is_ready and self._wanted_at[spec] < before
        ]

    def _end(self, spec: ServerSpec) -> None:
        closing = asyncio.ensure_future(self._servers.pop(spec).close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
