"""Requests whose heads do not end."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from flyte._server import heads
from tests.server.app.conftest import Serve

HOST = b"host: localhost\r\n"


async def sent_until_refused(writer: asyncio.StreamWriter, most_bytes: int) -> int:
    """How many bytes can be sent until the other side hangs up."""
    piece, sent = b"x" * 65_536, 0
    with suppress(ConnectionError):
        while sent < most_bytes:
            writer.write(piece)
            sent += len(piece)
            await writer.drain()
            await asyncio.sleep(0)
    return sent


@pytest.mark.parametrize(
    "begin",
    [b"GET /healthz HTTP/1.1\r\nx: ", b"GET /", b"GET /healthz HTTP/1.1\r\n" + HOST + b"x-y: 1\r\n" * 1000 + b"z: "],
)
async def test_a_head_that_does_not_end_is_cut_off(serve: Serve, begin: bytes) -> None:
    server = await serve()
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(begin)
    # What is on its way when the server hangs up counts, too.
    assert await sent_until_refused(writer, 64 << 20) < 16 << 20
    writer.close()
    assert (await server.http.get("/healthz")).status_code == 200


async def test_a_head_that_takes_too_long_ends_its_connection(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "HEAD_S", 0.2)
    server = await serve()
    for said in (b"", b"GET /healthz HTTP/1.1\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(said)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_what_follows_a_head_may_take_its_time(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "HEAD_S", 0.2)
    server = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for _ in range(2):
        writer.write(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
        with pytest.raises(TimeoutError):
            # Neither an answer nor an end.
            await asyncio.wait_for(reader.read(1), 0.4)
    writer.close()
