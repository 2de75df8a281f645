"""What a task may ask of the world and get the same answer for when it runs again: the time, chance, a pause.

A task that is resumed or tried again must make the calls it made before, so it must not read a clock or draw numbers by
itself. These functions are traces: recorded at the first call, and replayed afterwards. Each has an awaitable form,
`.aio`, which async tasks use; outside a task they do what their namesakes do.

```py
deadline = await flyte.durable.time.aio() + 3600
await flyte.durable.sleep.aio(60)
```
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import datetime
from random import SystemRandom
from time import time as read_clock
from typing import ParamSpec, TypeVar

from flyte._authoring.expectations import expect
from flyte._authoring.trace import trace
from flyte.syncify import syncify

__all__ = ["now", "random", "sleep", "time"]

P = ParamSpec("P")
T = TypeVar("T")


@syncify
async def now() -> datetime:
    """The local date and time, without a time zone, as `datetime.now()` told it at the first call."""
    return datetime.fromisoformat(await _now())


@syncify
async def time() -> float:
    """Seconds since 1970, as `time.time()` told them at the first call."""
    return await _time()


@syncify
async def random() -> float:
    """A random number from 0 up to 1, drawn at the first call.

    For more of them, or another distribution, make it a seed: `random.Random(flyte.durable.random())`.
    """
    return await _random()


@syncify
async def sleep(seconds: float) -> None:
    """Goes on `seconds` after the first call: a task that runs again waits only for the rest.

    Args:
        seconds: Measured by the wall clock, as no other goes on while no process runs.

    Raises:
        TypeError: `seconds` is no number.
        ValueError: `seconds` is negative or not finite.
    """
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    expect(is_number, "the time to sleep", "a number of seconds", seconds)
    if not 0 <= seconds < math.inf:
        raise ValueError(f"the time to sleep must be 0 or more seconds and finite, got {seconds!r}")
    await _sleep(float(seconds))


def _recorded_as(name: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A trace under a name that no function of a user has."""

    def decorate(func: Callable[P, T]) -> Callable[P, T]:
        func.__name__ = name
        return trace(func)

    return decorate


@_recorded_as("flyte.durable.now")
async def _now() -> str:
    return datetime.now().isoformat()


@_recorded_as("flyte.durable.time")
async def _time() -> float:
    return read_clock()


@_recorded_as("flyte.durable.random")
async def _random() -> float:
    return SystemRandom().random()


@_recorded_as("flyte.durable.sleep")
async def _sleep(seconds: float) -> None:
    # A trace inside this one, so that the start is recorded before the sleep ends.
    end = await _time() + seconds
    # A clock that was set back must not make the sleep longer.
    await asyncio.sleep(min(seconds, max(0.0, end - read_clock())))
