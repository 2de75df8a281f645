"""`a0` in forked processes: attempts of one bundle, without starting an interpreter for each.

A fork server whose entry is `attempt` serves one interpreter and one bundle, unpacked into a folder that its attempts
share as `--dest`.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

# What every attempt needs, or those that call others, loaded before processes are forked.
from flyteidl2.actions import actions_service_connect as _actions  # noqa: F401

from flyte._bundle.module_loading import module_below
from flyte._controller.remote import link as _link  # noqa: F401
from flyte._forks.client import ForkServer, Launched
from flyte._forks.spawning import Spawned, SpawnServer
from flyte._forks.wire import read_written, receive, send, written
from flyte._logging import read_log_levels
from flyte._rpc import endpoints as _endpoints  # noqa: F401
from flyte._rpc import sessions as _sessions  # noqa: F401
from flyte._serialization import spec as _spec  # noqa: F401
from flyte._worker import attempt as _attempt  # noqa: F401
from flyte._worker import logs as _logs  # noqa: F401
from flyte._worker.program import main
from flyte._worker.reused import serve
from flyte.storage import _local as _local
from flyte.types import _codec as _codec

ENTRY = "flyte._worker.forked:attempt"
PRELOAD = "flyte._worker.forked:preload"

NICENESS = 5
"""Attempts give way to the control plane: it answers at once, whatever they compute."""


def module_as_text(root: Path, module: str) -> str:
    """A module of an unpacked bundle, for `preload`."""
    return json.dumps([str(root), module])


def preload(text: str) -> None:
    """The module that `module_as_text` tells of is imported."""
    root, module = json.loads(text)
    with module_below(Path(root), module):
        pass


def attempt(descriptor: int) -> None:
    """Runs `a0` with the arguments and the variables of a message, and ends the process as that does.

    A file holds the message of an attempt. A socket is that of a worker, which gets its variables by it, and then runs
    the attempts that come.
    """
    os.nice(NICENESS)
    if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        connection = socket.socket(fileno=descriptor)
        with suppress(EOFError):
            message, _ = receive(connection)
            _set_variables(message["environment"])
            serve(connection)
        return
    message = read_written(descriptor)
    _set_variables(message["environment"])
    sys.argv = ["a0", *message["arguments"]]
    main()


def _set_variables(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    read_log_levels()


def launch_attempt(
    server: ForkServer | SpawnServer,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
    streams: Sequence[int] = (),
) -> Launched | Spawned:
    """An attempt is on its way.

    Args:
        server: One whose entry is `attempt`.
        arguments: Of `a0`.
        environment: All its variables.
        folder: Its working directory.
        streams: Descriptors of its standard output and error; default the server's.

    Raises:
        OSError: there can be no more files.
    """
    message = written({"arguments": list(arguments), "environment": dict(environment)})
    try:
        return server.launch((message, *streams), folder)
    finally:
        os.close(message)


def launch_worker(
    server: ForkServer | SpawnServer, environment: Mapping[str, str], folder: str, streams: Sequence[int]
) -> tuple[Launched | Spawned, socket.socket]:
    """A worker is on its way, and the connection to it, which `flyte._worker.reused` tells of.

    Args:
        server: One whose entry is `attempt`.
        environment: All its variables.
        folder: Its working directory.
        streams: Descriptors of its standard output and error.

    Raises:
        OSError: there can be no more connections.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            launched = server.launch((theirs.fileno(), *streams), folder)
            send(ours, {"environment": dict(environment)})
        except BaseException:
            ours.close()
            raise
    return launched, ours
