"""A server as a process: it takes its addresses, says when it is ready, and stops when it is told to."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from flyte._controller.garbage import fewer_full_collections
from flyte._logging import system_logger
from flyte._server.access import is_loopback
from flyte._server.instances import SERVER_FILE, Instance, announced, last_task_port, only_server, this_instance
from flyte._server.server_log import set_up_server_log
from flyte._server.settings import LEAVE_SIGNAL, ServerSettings
from flyte._server.sockets import bind
from flyte._server.tokens import TokenStore
from flyte._version import __version__
from flyte.errors import RuntimeUserError

_EVERYWHERE = ("0.0.0.0", "::")
_LOCALHOST = ("localhost", "127.0.0.1", "::1")
_POLL_S = 0.2
_AT_ONCE = 130

Ready = Callable[[Instance], object]


def run_server(settings: ServerSettings, ready: Ready = lambda _: None, log_file: Path | None = None) -> int:
    """The exit code of a server that has run until it was told to stop, by SIGTERM or SIGINT; twice for at once.

    `LEAVE_SIGNAL` stops it too, and its attempts go on.

    Args:
        settings: How it is run.
        ready: Called when it answers.
        log_file: Where it logs; None for stderr.

    Raises:
        RuntimeUserError: it cannot be run so: codes `ServerRuns`, `AddressInUse`, `BadAddress`, `TokenRequired`,
            `BadCertificate`, `BadImageMapping`.
        StoreError: its home cannot be used.
    """
    with ExitStack() as held:
        task_port = last_task_port(settings.home)
        held.enter_context(only_server(settings.home))
        _check_access(settings)
        sockets = [held.enter_context(each) for each in bind(settings.host, settings.port)]
        inner = [held.enter_context(each) for each in _inner_sockets(settings, task_port)]
        set_up_server_log(settings.log_format, log_file)
        held.enter_context(fewer_full_collections())
        return asyncio.run(_Process(settings, sockets, inner).run(ready))


class _Process:
    """A server whose addresses are taken.

    Args:
        inner: Where its own attempts reach it, if not at `sockets`.
    """

    def __init__(self, settings: ServerSettings, sockets: list[socket.socket], inner: list[socket.socket]) -> None:
        self._settings = settings
        self._sockets = sockets
        self._inner = inner
        self._stopping = asyncio.Event()
        self._leaves_attempts = False

    async def run(self, ready: Ready) -> int:
        """Its exit code, once it was told to stop."""
        from flyte._server.assembly import assembled
        from flyte._server.listening import Listener

        settings = self._settings
        task_port = (self._inner or self._sockets)[0].getsockname()[1]
        with self._signals():
            async with assembled(settings, f"localhost:{task_port}") as assembly:
                listeners = [Listener(assembly.app, self._sockets, settings.tls_cert, settings.tls_key)]
                if self._inner:
                    listeners.append(Listener(assembly.app, self._inner))
                for each in listeners:
                    await each.begin()
                assembly.health.is_ready = True
                instance = this_instance(self._url(), f"http://localhost:{task_port}", __version__)
                with announced(settings.home, instance):
                    system_logger.info("ready at %s", instance.url)
                    ready(instance)
                    await self._stopping.wait()
                    assembly.health.is_ready = False
                    system_logger.info("stopping")
                    await self._drain(lambda: assembly.scheduler.running_attempts)
                    # Before the listeners: an open stream would keep its connection.
                    await assembly.streams.stop()
                    await asyncio.gather(*(each.end() for each in listeners))
                if self._leaves_attempts:
                    await assembly.executor.leave()
        system_logger.info("stopped")
        return 0

    async def _drain(self, running: Callable[[], int]) -> None:
        if self._leaves_attempts:
            return
        until = time.monotonic() + self._settings.drain_s
        if self._settings.drain_s and running():
            system_logger.info("waiting up to %g s for %d attempts", self._settings.drain_s, running())
        while running() and time.monotonic() < until:
            await asyncio.sleep(_POLL_S)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()

        def stop() -> None:
            if self._stopping.is_set():
                # Everything that was acknowledged is in the store, and attempts meet the next server.
                (self._settings.home / SERVER_FILE).unlink(missing_ok=True)
                os._exit(_AT_ONCE)
            self._stopping.set()

        def stop_and_leave() -> None:
            self._leaves_attempts = True
            stop()

        handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, LEAVE_SIGNAL: stop_and_leave}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def _url(self) -> str:
        host, port = self._settings.host, self._sockets[0].getsockname()[1]
        if host in _EVERYWHERE:
            host = socket.gethostname()
        elif ":" in host:
            host = f"[{host}]"
        return f"{'https' if self._settings.tls_cert else 'http'}://{host}:{port}"


def _check_access(settings: ServerSettings) -> None:
    if not is_loopback(settings.host) and not TokenStore(settings.home).list():
        raise RuntimeUserError(
            "TokenRequired",
            f"{settings.host} can be reached from other machines, and there is no token that could let them in: make "
            "one with `flyte create token NAME`, or listen at localhost.",
        )
    if settings.requires_token and not TokenStore(settings.home).list():
        raise RuntimeUserError(
            "TokenRequired",
            "--require-token lets nobody in, for there is no token: `flyte create token NAME` makes one.",
        )
    if settings.tls_key is not None and settings.tls_cert is None:
        raise RuntimeUserError("BadCertificate", "there is a key and no certificate: give it with `--tls-cert`.")
    if settings.tls_cert is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key)
        except OSError as error:
            raise RuntimeUserError(
                "BadCertificate",
                f"{settings.tls_cert} with key {settings.tls_key or settings.tls_cert} cannot be used: "
                f"{error.strerror or error}. Both have to be PEM files that belong together.",
            ) from error


def _inner_sockets(settings: ServerSettings, last_port: int) -> list[socket.socket]:
    """For attempts of this server, which call it by plain HTTP, and show no certificate that others trust."""
    if settings.tls_cert is None and settings.host in (*_EVERYWHERE, *_LOCALHOST):
        return []
    try:
        # Those that have outlived an earlier server know no other.
        return bind("localhost", last_port)
    except RuntimeUserError:
        return bind("localhost", 0)
