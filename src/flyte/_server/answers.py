"""Answers that need no service: refusals in the form that a call expects, and plain texts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from http import HTTPStatus

from connectrpc.code import Code
from starlette.types import Scope, Send

STREAM_TYPE = "application/connect+"
"""How the content type of a streaming call begins."""

_STATUS = {
    Code.INVALID_ARGUMENT: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.UNKNOWN: 500,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
}
_END_OF_STREAM = 0b10

ENVELOPE_BYTES = 5
"""Flags and size before each message of a stream."""

Header = tuple[bytes, bytes]


def header(scope: Scope, name: bytes) -> str:
    """The first header of that lower-case name; empty where there is none."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return ""


def is_call(scope: Scope) -> bool:
    """Whether a request is a call of the protocol by what it carries, whichever service it names."""
    content_type = header(scope, b"content-type")
    return content_type.startswith((STREAM_TYPE, "application/proto")) or bool(
        header(scope, b"connect-protocol-version")
    )


async def refuse_call(scope: Scope, send: Send, code: Code, message: str) -> None:
    """A call ends with that error, in the form of a unary or of a streaming one, whichever it is."""
    error = {"code": code.value, "message": message}
    content_type = header(scope, b"content-type")
    if content_type.startswith(STREAM_TYPE):
        body = json.dumps({"error": error}).encode()
        envelope = bytes([_END_OF_STREAM]) + len(body).to_bytes(4, "big") + body
        await answer(send, 200, envelope, content_type)
    else:
        await answer(send, _STATUS[code], json.dumps(error).encode(), "application/json")


async def answer_text(send: Send, status: int, text: str) -> None:
    """A line of text, for people."""
    await answer(send, status, f"{text}\n".encode(), "text/plain; charset=utf-8")


async def answer_json(send: Send, status: int, content: object) -> None:
    """A JSON document."""
    await answer(send, status, json.dumps(content).encode(), "application/json")


async def answer(send: Send, status: int, body: bytes, content_type: str, more: Iterable[Header] = ()) -> None:
    """A whole answer."""
    headers = [
        (b"content-type", content_type.encode("latin-1")),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
        *more,
    ]
    await send({"type": "http.response.start", "status": HTTPStatus(status).value, "headers": headers})
    await send({"type": "http.response.body", "body": body})
