"""What an owner and its fork server tell each other: JSON, each behind its length, file descriptors beside it."""

from __future__ import annotations

import json
import os
import socket
import struct
import tempfile
from typing import Any

_LENGTH = struct.Struct(">I")
_MOST_DESCRIPTORS = 8

LENGTH_BYTES = _LENGTH.size


def send(connection: socket.socket, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
    """The message and copies of the descriptors are on their way. Blocks, on a socket that does."""
    head, body = framed(message)
    if descriptors:
        socket.send_fds(connection, [head], descriptors)
    else:
        connection.sendall(head)
    connection.sendall(body)


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The next message, and the descriptors that came with it, which programs that are started do not get.

    Raises:
        EOFError: the other side has gone.
    """
    head, descriptors, _, _ = socket.recv_fds(connection, LENGTH_BYTES, _MOST_DESCRIPTORS)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    head += _read(connection, LENGTH_BYTES - len(head)) if head else b""
    if not head:
        raise EOFError
    message: dict[str, Any] = json.loads(_read(connection, length_of(head)))
    return message, descriptors


def written(message: dict[str, Any]) -> int:
    """A descriptor of a file without a name that holds the message, for a process that is to read it once.

    Unlike a socket it takes a message of any size at once, and costs the kernel no search for cycles when it is passed.

    Raises:
        OSError: there can be no more files.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("flyte-message")
    else:
        with tempfile.TemporaryFile(buffering=0) as file:
            descriptor = os.dup(file.fileno())
    try:
        data = memoryview(json.dumps(message).encode())
        while data:
            data = data[os.write(descriptor, data) :]
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_written(descriptor: int) -> dict[str, Any]:
    """The message that such a file holds; the descriptor is closed."""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        message: dict[str, Any] = json.loads(file.read())
    return message


def framed(message: dict[str, Any]) -> tuple[bytes, bytes]:
    """The message as it travels: its length, and itself."""
    body = json.dumps(message).encode()
    return _LENGTH.pack(len(body)), body


def length_of(head: bytes) -> int:
    """How many bytes follow the first `LENGTH_BYTES` of a message."""
    length: int = _LENGTH.unpack(head)[0]
    return length


def _read(connection: socket.socket, count: int) -> bytes:
    parts = []
    while count:
        part = connection.recv(count)
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
