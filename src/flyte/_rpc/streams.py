"""Streams that go on after the server was started again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, TypeVar, cast

from flyte._rpc.failures import UNAVAILABLE
from flyte._rpc.retries import PATIENCE_S, delay_s
from flyte.errors import UnionRpcError

M = TypeVar("M")


async def resumed(
    open_stream: Callable[[], AsyncIterator[M]], is_last: Callable[[M], bool], *, patience_s: float = PATIENCE_S
) -> AsyncIterator[M]:
    """The messages of a stream until the last one; where it breaks or ends before that, it is opened again.

    Args:
        open_stream: Opens it. Each time it is to begin with the state as it is.
        is_last: Whether nothing comes after a message.
        patience_s: How long to go on while nothing comes because nobody answers.

    Raises:
        UnionRpcError: nobody answered for that long, or the server refuses the stream.
    """
    retry_no = 0
    since = time.monotonic()
    while True:
        try:
            async with aclosing(cast("Any", open_stream())) as stream:
                async for message in stream:
                    retry_no, since = 0, time.monotonic()
                    yield message
                    if is_last(message):
                        return
                    since = time.monotonic()
        except UnionRpcError as error:
            if error.code != UNAVAILABLE or time.monotonic() - since > patience_s:
                raise
        await asyncio.sleep(delay_s(retry_no))
        retry_no += 1
