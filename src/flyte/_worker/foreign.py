"""`a0` of the official release in forked processes, in an interpreter that has that release and not this package.

This file is run there by itself: it needs nothing but the standard library and the files of `flyte._forks` beside it,
which go by their names until the release itself is imported.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import shlex
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flyte._forks.wire import read_written

NAME = "flyte_foreign_attempts"
"""The module that this file is, in such an interpreter."""

ENTRY = f"{NAME}:attempt"
PRELOAD = f"{NAME}:preload"

_PROGRAM = "flyte._bin.runtime"
_NEEDED = (
    _PROGRAM,
    "flyte._internal.controllers.remote",
    "flyte._internal.resolvers.default",
    "flyte._internal.runtime.entrypoints",
    "flyte._internal.runtime.taskrunner",
    "flyte._internal.controllers.remote._client",
    "flyte._utils.asyncify",
    "flyte.git",
    "flyte.remote._client.auth._interceptors.default_metadata",
    "flyte.remote._client.auth._interceptors.retry",
    "flyte.remote._client.controlplane",
    "flyte.storage",
    "fsspec.implementations.local",
    "httpcore",
    "opentelemetry.metrics",
    "opentelemetry.propagate",
    "pyqwest._glue",
)
"""What an attempt imports anyway; what a release does not have is left out."""

_TOKEN_COMMAND = "FLYTE_AUTH_COMMAND"
_INTERCEPTORS = "flyte.remote._client.auth._interceptors.default_metadata"

_PRELUDE = """
import importlib.util, sys, types
sys.path[:] = [entry for entry in sys.path if entry]
for name, folder in (("flyte", None), ("flyte._forks", {forks!r})):
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = [folder] if folder else []
spec = importlib.util.spec_from_file_location({name!r}, {file!r})
sys.modules[{name!r}] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules[{name!r}])
"""
_NICENESS = 5


def prelude() -> str:
    """What such an interpreter runs before it serves."""
    here = os.path.dirname(os.path.abspath(__file__))
    forks = os.path.join(os.path.dirname(here), "_forks")
    return _PRELUDE.format(forks=forks, name=NAME, file=os.path.abspath(__file__))


class _Waiting:
    """Threads and event loops that modules make when they are imported, until the process is forked.

    A thread does not live on in a forked process, and a loop would share what wakes it with its siblings.
    """

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._loops: list[asyncio.AbstractEventLoop] = []
        self._start = threading.Thread.start
        self._new_loop = asyncio.new_event_loop

    def __enter__(self) -> _Waiting:
        threading.Thread.start = lambda thread: self._threads.append(thread)  # type: ignore
        asyncio.new_event_loop = self._noted_loop
        return self

    def __exit__(self, *error: object) -> None:
        threading.Thread.start = self._start  # type: ignore[method-assign]
        asyncio.new_event_loop = self._new_loop

    def _noted_loop(self) -> asyncio.AbstractEventLoop:
        loop = self._new_loop()
        self._loops.append(loop)
        return loop

    def begin(self) -> None:
        """In the forked process: the loops are as new, and the threads run."""
        for loop in self._loops:
            loop.close()
            loop.__init__()  # type: ignore[misc]
        for thread in self._threads:
            thread.start()


_waiting: _Waiting | None = None


def preload(_: str) -> None:
    """The release is imported, as far as attempts need it."""
    global _waiting
    _end_stand_in()
    with _Waiting() as waiting:
        for name in _NEEDED:
            try:
                importlib.import_module(name)
            except ImportError:
                if name == _PROGRAM:
                    raise
    _waiting = waiting


def attempt(descriptor: int) -> None:
    """Runs `a0` with the arguments and the variables of a message, and ends the process as that does."""
    # As that of our own attempts.
    os.nice(_NICENESS)
    request = read_written(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["a0", *request["arguments"]]
    code = 1
    try:
        # What is printed is seen line by line.
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        if _waiting is None:
            _end_stand_in()
        else:
            _waiting.begin()
        if command := os.environ.get(_TOKEN_COMMAND):
            words = json.loads(command) if command.startswith("[") else shlex.split(command)
            _show_token(subprocess.check_output(words, text=True).strip())
        program: Callable[[], object] = importlib.import_module(_PROGRAM).main
        program()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _show_token(token: str) -> None:
    """Each call to the control plane shows the token. The release shows none where there is no TLS."""
    interceptor = importlib.import_module(_INTERCEPTORS).DefaultMetadataInterceptor
    begins = interceptor.on_start

    async def on_start(self: object, ctx: Any) -> object:
        ctx.request_headers()["authorization"] = f"Bearer {token}"
        return await begins(self, ctx)

    interceptor.on_start = on_start


def _end_stand_in() -> None:
    """The name `flyte` is that of the release."""
    for name in [each for each in sys.modules if each == "flyte" or each.startswith("flyte.")]:
        del sys.modules[name]
