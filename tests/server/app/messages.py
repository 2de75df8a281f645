"""Calls of the protocol, byte by byte."""

from __future__ import annotations

import json
from typing import Any

UNARY = {"content-type": "application/proto", "connect-protocol-version": "1"}
STREAM = {"content-type": "application/connect+proto", "connect-protocol-version": "1"}


def envelope(message: bytes, flags: int = 0) -> bytes:
    """A message of a stream."""
    return bytes([flags]) + len(message).to_bytes(4, "big") + message


def stream_end(body: bytes) -> dict[str, Any]:
    """How a stream of one envelope, or the last one of several, ended."""
    while body:
        flags, size = body[0], int.from_bytes(body[1:5], "big")
        message, body = body[5 : 5 + size], body[5 + size :]
        if flags & 2:
            found: dict[str, Any] = json.loads(message)
            return found
    raise AssertionError("the stream has no end")
