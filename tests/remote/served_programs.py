"""Tasks that a control plane of its own process runs."""

from __future__ import annotations

import asyncio

import flyte
import flyte.remote
from flyte.io import Dir, File

env = flyte.TaskEnvironment("served")


@env.task
async def one(x: int) -> int:
    print(f"one of {x}", flush=True)
    return x + 1


@env.task
async def fan(n: int) -> int:
    return sum(await asyncio.gather(*(one(i) for i in range(n))))


@env.task
async def failing(x: int) -> int:
    raise ValueError(f"no {x}")


@env.task
async def slow(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "slept"


@env.task
async def read(source: File, folder: Dir) -> str:
    async with source.open("rb") as file:
        text: str = (await file.read()).decode()
    return text + ",".join(sorted([each.name or "" async for each in folder.walk()]))


@env.task
async def caller(x: int) -> int:
    return int(await flyte.remote.Task.get("served.one", auto_version="latest")(x=x))
