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

    async def close(self) -> None:
        """No server is left, and nothing that one has forked."""
        servers, self._servers = list(self._servers.values()), {}
        await asyncio.gather(*(server.close() for server in servers), *self._closing)

    def _end_idle(self) -> None:
        # Whoever wanted one just now has not launched anything yet.
        before = asyncio.get_running_loop().time() - _JUST_NOW_S
        idle = [
            spec
            for spec, server in self._servers.items()
            if not server.running and server.is_ready and self._wanted_at[spec] < before
        ]
        for spec in idle[: max(0, len(idle) - MOST_IDLE + 1)]:
            closing = asyncio.ensure_future(self._servers.pop(spec).close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
