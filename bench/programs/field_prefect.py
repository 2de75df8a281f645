"""`field_prefect.py SHAPE N`: one flow awaits N trivial tasks, at once or in a row; Prefect, ephemeral server."""

from __future__ import annotations

import asyncio
import time

from field_clock import measure
from prefect import flow, task


@task
async def leaf(x: int) -> int:
    return x


@task
async def successor(x: int) -> int:
    return x + 1


@flow
async def fan_out(width: int) -> float:
    start = time.perf_counter()
    results = await asyncio.gather(*(leaf(i) for i in range(width)))
    seconds = time.perf_counter() - start
    assert results == list(range(width))
    return seconds


@flow
async def chain(length: int) -> float:
    start = time.perf_counter()
    x = 0
    for _ in range(length):
        x = await successor(x)
    seconds = time.perf_counter() - start
    assert x == length
    return seconds


if __name__ == "__main__":
    measure({"fan-out": lambda n: asyncio.run(fan_out(n)), "chain": lambda n: asyncio.run(chain(n))})
