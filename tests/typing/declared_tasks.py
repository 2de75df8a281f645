"""What a type checker sees of tasks; `assert_type` fails the check where it sees something else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Generator
from datetime import datetime
from functools import partial
from typing import Any, ParamSpec, TypeVar, assert_type

import flyte
from flyte import Resources, TaskEnvironment, TaskTemplate

env = TaskEnvironment("typed")


@env.task
async def bare(x: int, scale: float = 1.0) -> str:
    return str(x * scale)


@env.task()
async def empty(x: int) -> str:
    return str(x)


@env.task(retries=3, cache="auto")
async def configured(x: int) -> str:
    return str(x)


@env.task
def sync_bare(x: int) -> list[int]:
    return [x]


@env.task()
def sync_empty(x: int) -> list[int]:
    return [x]


@env.task(retries=3)
def sync_configured(x: int) -> list[int]:
    return [x]


@env.task
async def no_result() -> None:
    return None


def plain(x: int) -> bytes:
    return bytes(x)


made = env.task(plain)
made_with_options = env.task(short_name="made")(plain)


async def calls() -> None:
    assert_type(await bare(1), str)
    assert_type(await bare(x=1, scale=2.0), str)
    assert_type(await empty(1), str)
    assert_type(await configured(1), str)
    coroutine: Coroutine[Any, Any, str] = bare(1)
    assert_type(await coroutine, str)
    assert_type(sync_bare(1), list[int])
    assert_type(sync_empty(1), list[int])
    assert_type(sync_configured(1), list[int])
    await no_result()
    assert_type(made(1), bytes)
    assert_type(made_with_options(1), bytes)


async def calls_by_aio() -> None:
    assert_type(await bare.aio(1), str)
    assert_type(await configured.aio(1), str)
    assert_type(await sync_bare.aio(1), list[int])
    assert_type(await sync_configured.aio(1), list[int])


async def calls_by_forward() -> None:
    assert_type(await bare.forward(1), str)
    assert_type(sync_bare.forward(1), list[int])


async def overrides() -> None:
    assert_type(await bare.override(retries=0)(1), str)
    assert_type(sync_bare.override(resources=Resources(cpu=1))(1), list[int])
    assert_type(await sync_bare.override(timeout=10).aio(1), list[int])


async def concurrent_calls() -> None:
    assert_type(await asyncio.gather(*(bare(x) for x in range(3))), list[str])
    async with asyncio.TaskGroup() as group:
        child = group.create_task(bare(1))
    assert_type(child.result(), str)
    text, numbers = await asyncio.gather(bare(1), sync_bare.aio(1))
    assert_type(text, str)
    assert_type(numbers, list[int])


def maps() -> None:
    assert_type(flyte.map(bare, [1]), Generator[str | Exception, None, None])
    assert_type(flyte.map(sync_bare, [1], return_exceptions=False), Generator[list[int], None, None])
    assert_type(list(flyte.map(bare, [1], return_exceptions=False)), list[str])
    assert_type(flyte.map(partial(bare, scale=2.0), [1], return_exceptions=False), Generator[str, None, None])
    assert_type(flyte.map.aio(partial(sync_bare), [1]), AsyncGenerator[list[int] | Exception, None])


async def conditions() -> None:
    assert_type(flyte.new_condition("a", "Approve?", timeout=60).wait(), bool)
    condition = await flyte.new_condition.aio("a", data_type=float)
    assert_type(await condition.wait.aio(), float)


async def durably() -> None:
    assert_type(await flyte.durable.now.aio(), datetime)
    assert_type(flyte.durable.random(), float)


def functions() -> None:
    assert_type(sync_bare.func(1), list[int])
    assert_type(bare.is_async, bool)
    assert_type(bare.retries.count, int)
    assert_type(bare.timeout.max_runtime_s, float | None)


P = ParamSpec("P")
R = TypeVar("R")


def run_like(task: TaskTemplate[P, R, Any], *args: P.args, **kwargs: P.kwargs) -> R:
    return asyncio.run(task.execute(*args, **kwargs))


def functions_over_tasks() -> None:
    assert_type(run_like(bare, 1, scale=2.0), str)
    assert_type(run_like(sync_bare, 1), list[int])
