"""A run on the control plane whose address is the argument: children, traces, retries, a cache, groups, plain code."""

import asyncio
import json
import sys
from datetime import timedelta

import flyte

env = flyte.TaskEnvironment("ride")


@env.task
async def square(x: int) -> int:
    return x * x


@env.task
def add(x: int, y: int) -> int:
    return x + y


@env.task(cache="auto")
async def kept(x: int) -> int:
    return x + 1


@flyte.trace
async def ask(question: str) -> str:
    return question.upper()


@flyte.trace
def local_sum(a: int, b: int) -> int:
    return a + b


@env.task(retries=flyte.RetryStrategy(count=1, backoff=flyte.Backoff(timedelta(seconds=0.01))))
async def flaky() -> str:
    words = await ask("again"), str(await square(7))
    attempt_number = flyte.ctx().attempt_number
    if attempt_number == 0:
        raise ConnectionError("not yet")
    return f"{attempt_number} {' '.join(words)}"


@env.task
async def bad() -> int:
    raise ValueError("no good")


@env.task
def plain(n: int) -> int:
    squares = [each for each in flyte.map(square, range(n)) if isinstance(each, int)]
    return sum(squares) + add(1, 2) + local_sum(3, 4)


@env.task
async def who() -> str:
    return flyte.ctx().custom_context["who"]


@env.task
async def parent(n: int) -> str:
    with flyte.group("squares"), flyte.custom_context(who="me"):
        total = sum(await asyncio.gather(*(square(i) for i in range(n))))
        name = await who()
    found = [total, name, await add.aio(total, 1), await kept(3), await kept(3), await flaky(), await ask("hi")]
    try:
        await bad()
    except flyte.errors.RuntimeUserError as error:
        found += [error.code, str(error), error.worker]
    return json.dumps([*found, await plain.aio(3)])


if __name__ == "__main__":
    flyte.init(endpoint=sys.argv[1], insecure=True)
    run = flyte.run(parent, n=10)
    print(run.outputs().o0)
