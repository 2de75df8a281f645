"""`wide.py N`: one task awaits N trivial async tasks at once; prints what an action took, as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import time

from peak_memory import peak_rss_mib

import flyte

env = flyte.TaskEnvironment(name="wide")


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
    gather_s = flyte.run(fan_out, width).outputs()[0]
    run_s = time.perf_counter() - start
    print(
        json.dumps(
            {
                "gather_us": gather_s / width * 1e6,
                "run_us": run_s / width * 1e6,
                "peak_rss_mib": peak_rss_mib(),
            }
        )
    )
