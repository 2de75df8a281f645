"""`traced.py N`: N traces, at once and in a row, beside as many trivial tasks; prints what a call took, as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import time

import flyte

env = flyte.TaskEnvironment(name="traced")


@env.task
async def task(x: int) -> int:
    return x


@flyte.trace
async def trace(x: int) -> int:
    return x


@flyte.trace
def sync_trace(x: int) -> int:
    return x


@env.task
async def at_once(width: int, use_trace: bool) -> float:
    call = trace if use_trace else task
    start = time.perf_counter()
    results = await asyncio.gather(*(call(i) for i in range(width)))
    seconds = time.perf_counter() - start
    assert results == list(range(width))
    return seconds / width * 1e6


@env.task
async def in_a_row(length: int) -> dict[str, float]:
    """The three in turn, so that a busy moment of the disk falls on each."""
    seconds = dict.fromkeys(("task", "trace", "sync_trace"), 0.0)
    for i in range(length):
        start = time.perf_counter()
        assert await task(i) == i
        after_task = time.perf_counter()
        assert await trace(i) == i
        after_trace = time.perf_counter()
        assert sync_trace(i) == i
        seconds["task"] += after_task - start
        seconds["trace"] += after_trace - after_task
        seconds["sync_trace"] += time.perf_counter() - after_trace
    return {f"{call}_in_a_row_us": each / length * 1e6 for call, each in seconds.items()}


if __name__ == "__main__":
    width, length = int(sys.argv[1]), int(sys.argv[2])
    flyte.run(at_once, width, False)  # The first run of a process also pays for imports.
    print(
        json.dumps(
            {
                "task_us": flyte.run(at_once, width, False).outputs()[0],
                "trace_us": flyte.run(at_once, width, True).outputs()[0],
                **flyte.run(in_a_row, length).outputs()[0],
            }
        )
    )
