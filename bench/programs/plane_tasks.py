"""Tasks that a control plane runs for `plane.py`."""

from __future__ import annotations

import asyncio

import flyte

env = flyte.TaskEnvironment(name="plane")
kept = flyte.TaskEnvironment(
    name="plane_kept", reusable=flyte.ReusePolicy(replicas=2, concurrency=50, idle_ttl=60), depends_on=[]
)


@env.task
async def one(x: int) -> int:
    return x


@env.task
async def fan_out(n: int) -> int:
    return sum(await asyncio.gather(*(one(x) for x in range(n))))


@kept.task
async def kept_one(x: int) -> int:
    return x


@env.task
async def kept_fan_out(n: int) -> int:
    return sum(await asyncio.gather(*(kept_one(x) for x in range(n))))


@env.task
async def kept_chain(n: int) -> int:
    for x in range(n):
        await kept_one(x)
    return n
