"""Trivial tasks for `served.py`; the official release runs them too."""

from __future__ import annotations

import time

import flyte

env = flyte.TaskEnvironment(name="served")
warm = flyte.TaskEnvironment(name="warm", reusable=flyte.ReusePolicy(replicas=2, concurrency=20))


@env.task
async def own(x: int) -> float:
    """When its first line ran."""
    return time.time()


@warm.task
async def reused(x: int) -> float:
    """The same, in a worker."""
    return time.time()
