"""How long a client waits for a parent with ten trivial children."""

import asyncio
import json
import time
from pathlib import Path

from client_scenarios import equal, scenario

import flyte

env = flyte.TaskEnvironment("figure")
TIMES = 5


@env.task
async def child(x: int) -> int:
    return x


@env.task
async def parent(count: int) -> int:
    return sum(await asyncio.gather(*(child(each) for each in range(count))))


@scenario
async def figure() -> None:
    seconds = []
    for time_no in range(TIMES + 1):
        began = time.perf_counter()
        run = await flyte.run.aio(parent, count=10)
        await run.wait.aio(quiet=True)
        equal((await run.outputs.aio())[0], 45, "sum")
        if time_no:
            # The first run finds no process that has imported anything.
            seconds.append(time.perf_counter() - began)
    Path("scratch/figure.json").write_text(json.dumps(seconds))
