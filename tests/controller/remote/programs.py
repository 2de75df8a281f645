"""Tasks and traces that tests call under a control plane."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import flyte

env = flyte.TaskEnvironment("far")
calls: list[str] = []
"""What was executed here."""


@env.task
async def double(x: int) -> int:
    return 2 * x


@env.task
def half(x: int) -> float:
    return x / 2


@env.task
async def nothing(x: int) -> None: ...


@env.task(cache=flyte.Cache(behavior="auto", version_override="v7", ignored_inputs=("note",)))
async def kept(x: int, note: str = "") -> int:
    return x


@env.task(max_inline_io_bytes=100)
async def narrow(text: str) -> str:
    return text


@env.task
async def top() -> int:
    return 0


@flyte.trace
async def shout(text: str) -> str:
    calls.append(text)
    if text == "fail":
        raise ConnectionError(text)
    if text == "never":
        raise flyte.errors.NonRecoverableError(text)
    await asyncio.sleep(0)
    return text.upper()


@flyte.trace
def count(n: int) -> int:
    calls.append(f"count {n}")
    return n + 1


@flyte.trace
async def letters(text: str) -> AsyncIterator[str]:
    for letter in text:
        yield letter


@flyte.trace
def numbers(n: int) -> Iterator[int]:
    yield from range(n)


@flyte.trace
async def nested(text: str) -> str:
    return await shout(text)


@flyte.trace
async def calls_task(x: int) -> int:
    return await double(x)
