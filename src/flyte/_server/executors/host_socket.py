"""The socket of a home folder's host."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SOCKET_FILE = "host.socket"
LOCK_FILE = "host.lock"


@contextmanager
def listening(home: Path) -> Iterator[socket.socket]:
    """A socket that servers connect to, until the block ends; only for processes of the same user."""
    listener = socket.socket(socket.AF_UNIX)
    with listener, _reachable(home) as folder:
        with suppress(FileNotFoundError):
            (home / SOCKET_FILE).unlink()
        before = os.umask(0o077)
        try:
            listener.bind(f"{folder}/{SOCKET_FILE}")
        finally:
            os.umask(before)
        listener.listen()
        listener.setblocking(False)
        yield listener
        with suppress(FileNotFoundError):
            (home / SOCKET_FILE).unlink()


def connected(home: Path) -> socket.socket | None:
    """A connection to the host of a home folder; None where there is none."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        with _reachable(home) as folder:
            connection.connect(f"{folder}/{SOCKET_FILE}")
    except OSError:
        connection.close()
        return None
    connection.setblocking(False)
    return connection


@contextmanager
def _reachable(home: Path) -> Iterator[str]:
    """The folder under a name that is short enough: an address of a socket has some hundred characters."""
    if sys.platform != "linux":
        yield str(home)
        return
    descriptor = os.open(home, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
