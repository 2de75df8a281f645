"""The example that `flyte run hello` runs: a task that calls another one many times at once."""

from __future__ import annotations

import asyncio

import flyte

env = flyte.TaskEnvironment("hello")


@env.task
async def square(x: int) -> int:
    """The square of one number."""
    return x * x


@env.task
async def hello(n: int = 10, name: str = "world") -> str:
    """Greet someone, with the sum of the first n squares.

    Args:
        n: How many squares to add up; each is an action of its own.
        name: Whom to greet.
    """
    squares = await asyncio.gather(*(square(x) for x in range(1, n + 1)))
    return f"Hello, {name}! The first {n} squares add up to {sum(squares)}."
