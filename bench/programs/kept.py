"""`kept.py N`: N trivial tasks that run, that run and are kept, and that the cache answers; prints what each took."""

from __future__ import annotations

import asyncio
import json
import sys
import time

import flyte

env = flyte.TaskEnvironment(name="kept")


@env.task
async def plain(x: int) -> int:
    return x


# Of a salt of its own, so that each process finds nothing kept at first.
@env.task(cache=flyte.Cache("auto", salt=str(time.time_ns())))
async def cached(x: int) -> int:
    return x


@env.task
async def fan_out(width: int, use_cache: bool) -> float:
    task = cached if use_cache else plain
    start = time.perf_counter()
    results = await asyncio.gather(*(task(i) for i in range(width)))
    seconds = time.perf_counter() - start
    assert results == list(range(width))
    return seconds / width * 1e6


def measure(width: int, *, use_cache: bool) -> float:
    """Microseconds an action."""
    us: float = flyte.run(fan_out, width, use_cache).outputs()[0]
    return us


if __name__ == "__main__":
    width = int(sys.argv[1])
    measure(width, use_cache=False)  # The first run of a process also pays for imports.
    computed_us = measure(width, use_cache=True)
    print(
        json.dumps(
            {
                "executed_us": measure(width, use_cache=False),
                "computed_us": computed_us,
                "hit_us": measure(width, use_cache=True),
            }
        )
    )
