"""`deep.py N`: one task awaits N trivial async tasks, each on the result of the one before; prints JSON."""

from __future__ import annotations

import json
import sys
import time

import flyte

env = flyte.TaskEnvironment(name="deep")


@env.task
async def successor(x: int) -> int:
    return x + 1


@env.task
async def chain(length: int) -> float:
    start = time.perf_counter()
    x = 0
    for _ in range(length):
        x = await successor(x)
    seconds = time.perf_counter() - start
    assert x == length
    return seconds


if __name__ == "__main__":
    length = int(sys.argv[1])
    print(json.dumps({"chain_us": flyte.run(chain, length).outputs()[0] / length * 1e6}))
