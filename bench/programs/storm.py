"""`storm.py N`: goes on with run `storm`, or starts it, with about N actions of every kind.

Every body appends the variable STORM_LIFE, the number of this process's life, and the name of its action to the file
that STORM_EFFECTS names, in one write.
Prints `running` when the run is about to begin, and `succeeded` when it is over and `root` returned the right sum.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta
from functools import cache

import flyte

ACTIONS_PER_BRANCH = 10
BRANCHES_AT_ONCE = 20
LARGE = 70_000
env = flyte.TaskEnvironment(name="storm")


@cache
def effects() -> int:
    return os.open(os.environ["STORM_EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def effect() -> None:
    os.write(effects(), f"{os.environ['STORM_LIFE']} {flyte.ctx().action.name}\n".encode())


@flyte.trace
async def traced(x: int) -> int:
    effect()
    return x


@flyte.trace
def traced_blockingly(x: int) -> int:
    effect()
    return x


@env.task
async def leaf(x: int) -> int:
    effect()
    return x


@env.task
async def waits(x: int) -> int:
    effect()
    await asyncio.sleep(x % 7 / 100)
    return x


@env.task
def blocking(x: int) -> int:
    effect()
    return traced_blockingly(x)


@env.task(retries=flyte.RetryStrategy(count=1, backoff=flyte.Backoff(base=timedelta(0))))
async def flaky(x: int) -> int:
    if flyte.ctx().attempt_number == 0:
        raise ConnectionError("the first attempt fails")
    effect()
    return x


@env.task(cache="auto")
async def cached(x: int) -> int:
    effect()
    return x


@env.task
async def large(x: int) -> str:
    effect()
    return f"{x}," * LARGE


@env.task
async def small(text: str) -> int:
    effect()
    return int(text.partition(",")[0])


@env.task
async def inner(x: int) -> int:
    effect()
    with flyte.group("inner"):
        return sum(await asyncio.gather(leaf(x), traced(x)))


@env.task
async def branch(x: int) -> int:
    """About ten actions, with itself; 7 * x."""
    effect()
    calls = [inner(x), waits(x), blocking.aio(x), flaky(x), cached(x)]
    last = small(await large(x)) if x % 10 == 0 else leaf(x)
    return sum(await asyncio.gather(*calls)) + await last


@env.task
def sync_branch(x: int) -> int:
    """The same for a sync parent."""
    effect()
    values = [blocking(x) for _ in range(4)]
    return sum(values) + 3 * blocking(x + 1) - 3


@env.task
async def root(branches: int) -> int:
    effect()
    total = 0
    for start in range(0, branches, BRANCHES_AT_ONCE):
        with flyte.group(f"from-{start}"):
            xs = range(start, min(start + BRANCHES_AT_ONCE, branches))
            total += sum(await asyncio.gather(*(sync_branch.aio(x) if x % 4 == 3 else branch(x) for x in xs)))
    return total


if __name__ == "__main__":
    branches = int(sys.argv[1]) // ACTIONS_PER_BRANCH
    print("running", flush=True)
    try:
        run = flyte.resume("storm")
    except flyte.errors.RunNotFoundError:
        run = flyte.with_runcontext(name="storm").run(root, branches)
    assert run.outputs().o0 == 7 * sum(range(branches)), run.outputs().o0
    print("succeeded")
