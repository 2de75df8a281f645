"""Attempts in processes of their own; ours only. Arguments: `warm`, `reused`, `cpu`, `cold` or `both`, and a count."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

import flyte

env = flyte.TaskEnvironment(name="isolated")
imaged = flyte.TaskEnvironment(name="imaged", image=flyte.Image.from_debian_base().with_pip_packages("six"))
warm = flyte.TaskEnvironment(name="warm", reusable=flyte.ReusePolicy(replicas=1, concurrency=16))


@env.task
def first_line(asked_at: float) -> float:
    """Milliseconds from when it was asked for to here."""
    return (time.time() - asked_at) * 1e3


@imaged.task
def first_line_imaged(asked_at: float) -> float:
    """The same, in a virtual environment."""
    return (time.time() - asked_at) * 1e3


@warm.task
async def trivial(number: int) -> int:
    return number


@env.task
def computes(steps: int) -> int:
    total = 0
    for number in range(steps):
        total += number * number
    return total % 1_000


@env.task
async def own_processes(count: int) -> list[float]:
    return [await first_line.aio(time.time()) for _ in range(count)]


@env.task
async def reused(count: int) -> dict[str, float]:
    """Milliseconds an action takes, one after the other and many at once."""
    await trivial(-1)
    began = time.perf_counter()
    for number in range(count):
        await trivial(number)
    middle = time.perf_counter()
    await asyncio.gather(*(trivial(number) for number in range(count, 5 * count)))
    end = time.perf_counter()
    return {"one": (middle - began) / count * 1e3, "many": (end - middle) / (4 * count) * 1e3}


@env.task
async def two(steps: int) -> dict[str, float]:
    """Seconds of two computations, one after the other and at once."""
    await computes.aio(1)
    began = time.perf_counter()
    await computes.aio(steps)
    await computes.aio(steps + 1)
    middle = time.perf_counter()
    await asyncio.gather(computes.aio(steps + 2), computes.aio(steps + 3))
    return {"in_turn": middle - began, "at_once": time.perf_counter() - middle}


def cpu_s() -> float:
    return sum(os.times()[:4])


def run(task: Any, *args: Any) -> Any:
    return flyte.with_runcontext(isolated=True).run(task, *args).outputs()[0]


def main() -> None:
    what, count = sys.argv[1], int(sys.argv[2])
    flyte.init()
    result: Any
    match what:
        case "warm":
            result = run(own_processes, count)
        case "cpu":
            run(own_processes, 1)
            begun = cpu_s()
            run(own_processes, 1)
            few = cpu_s()
            run(own_processes, 1 + count)
            result = ((cpu_s() - few) - (few - begun)) / count * 1e3
        case "cold":
            result = run(first_line_imaged, time.time()) / 1e3
        case "reused":
            result = run(reused, count)
        case _:
            result = run(two, count)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
