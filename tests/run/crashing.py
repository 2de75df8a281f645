"""A program that does a little of everything a run can do; `test_crashes.py` kills it and resumes it.

Every action appends its name and the number of the process's life to the file of effects, in one write.
"""

from __future__ import annotations

import asyncio
import os
import time
from datetime import timedelta

import flyte
from flyte import storage
from flyte._store import leases

LARGE = 100_000
env = flyte.TaskEnvironment(name="crashing")


def effect() -> None:
    file = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{os.environ['LIFE']} {flyte.ctx().action.name}\n".encode())
    os.close(file)


@flyte.trace
async def looked_up(x: int) -> int:
    effect()
    return x + 1


@env.task
async def small(x: int) -> int:
    effect()
    return await looked_up(x)


@env.task
def blocking(x: int) -> int:
    effect()
    return x * 2


@env.task
async def enlarge(text: str) -> str:
    effect()
    return text * LARGE


@env.task
async def measure(text: str) -> int:
    effect()
    return len(text)


@env.task
async def keep_data(size: int) -> int:
    effect()
    address = await storage.put_stream(b"x" * size, name="data")
    return sum([len(chunk) async for chunk in storage.get_stream(address)])


@env.task(cache="auto")
async def cached(x: int) -> int:
    effect()
    return x * 3


@env.task(retries=flyte.RetryStrategy(count=2, backoff=flyte.Backoff(base=timedelta(0))))
async def flaky(x: int) -> int:
    if flyte.ctx().attempt_number == 0:
        raise ConnectionError("the first attempt fails")
    effect()
    return x


@env.task
async def branch(x: int) -> int:
    effect()
    with flyte.group("inner"):
        return sum(await asyncio.gather(small(x), blocking.aio(x), flaky(x)))


@env.task
def sync_branch(x: int) -> int:
    effect()
    # Long enough to be recorded while it runs, and for leases to be renewed.
    time.sleep(0.15)
    return blocking(x + 100)


@env.task
async def root(n: int) -> int:
    effect()
    total = await measure(await enlarge("x")) - LARGE
    for x in range(n):
        total += sum(await asyncio.gather(branch(x), cached(x)))
        total += await keep_data(x)
    with flyte.group("second"):
        return total + await sync_branch.aio(n) + len(await enlarge("y"))


def expected(n: int) -> int:
    """What `root` returns."""
    return sum((x + 1) + 2 * x + x + 3 * x + x for x in range(n)) + 2 * (n + 100) + LARGE


if __name__ == "__main__":
    leases.RENEW_EVERY_S = 0.02
    try:
        run = flyte.resume("r")
    except flyte.errors.RunNotFoundError:
        run = flyte.with_runcontext(name="r").run(root, 4)
    assert run.outputs().o0 == expected(4)
    print("succeeded")
