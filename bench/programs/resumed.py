"""`resumed.py N`: goes on with run `resumed`, or starts it: one task awaits N trivial tasks at once.

Prints as JSON what an action took: `read_us` to read its record once more, `gather_us` inside the task, `run_us` with
everything that `flyte.run` or `flyte.resume` does.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import flyte
from flyte._store.reader import StoreReader
from flyte.config import home

env = flyte.TaskEnvironment(name="resumed")


@env.task
async def leaf(x: int) -> int:
    return x


@env.task
async def fan_out(width: int) -> float:
    start = time.perf_counter()
    results = await asyncio.gather(*(leaf(i) for i in range(width)))
    seconds = time.perf_counter() - start
    assert results == list(range(width))
    return seconds


if __name__ == "__main__":
    width = int(sys.argv[1])
    start = time.perf_counter()
    try:
        run = flyte.resume("resumed")
    except flyte.errors.RunNotFoundError:
        run = flyte.with_runcontext(name="resumed").run(fan_out, width)
    ended = time.perf_counter()
    with StoreReader(home()) as reader:
        reader.load_records(reader.load_run("resumed"))
    read_s = time.perf_counter() - ended
    print(
        json.dumps(
            {
                "read_us": read_s / width * 1e6,
                "gather_us": run.outputs()[0] / width * 1e6,
                "run_us": (ended - start) / width * 1e6,
            }
        )
    )
