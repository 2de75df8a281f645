# mypy: ignore-errors
"""Lines that must not type-check: each names the error code that mypy has to give, and no other line may have one."""

from __future__ import annotations

import flyte
from flyte import Cache, Resources, TaskEnvironment, Trigger

env = TaskEnvironment("mistaken")


@env.task
async def score(x: int) -> str:
    return str(x)


@env.task(retries=3)
def sync_score(x: int) -> str:
    return str(x)


async def calls() -> None:
    await score("1")  # expect-error: arg-type
    await score()  # expect-error: call-arg
    await score(1, 2)  # expect-error: call-arg
    await score(y=1)  # expect-error: call-arg
    await score.aio("1")  # expect-error: arg-type
    await score.forward("1")  # expect-error: arg-type
    await sync_score(1)  # expect-error: misc
    await sync_score.aio()  # expect-error: call-arg
    sync_score("1")  # expect-error: arg-type
    sync_score.override(retries=1)("1")  # expect-error: arg-type
    wrong: int = await score(1)  # expect-error: assignment
    also_wrong: int = sync_score(1)  # expect-error: assignment
    print(wrong, also_wrong)


async def forgotten_await() -> None:
    text: str = score(1)  # expect-error: assignment
    score(1)  # expect-error: unused-coroutine
    sync_score.aio(1)  # expect-error: unused-coroutine
    print(text)


def settings() -> None:
    score.override(retrys=1)  # expect-error: arg-type
    score.override(retries="3")  # expect-error: arg-type
    score.override(cache="automatic")  # expect-error: arg-type
    env.clone_with("other", image=3)  # expect-error: arg-type
    TaskEnvironment("other", resource=Resources())  # expect-error: call-arg
    TaskEnvironment("other", cache=True)  # expect-error: arg-type
    Resources(memory=3)  # expect-error: arg-type
    Resources(gpu="A100:9")  # expect-error: arg-type
    Cache("automatic")  # expect-error: arg-type
    Trigger.daily(cron="* * * * *")  # expect-error: call-arg

    env.task(retrys=3)  # expect-error: call-overload
    env.task(retries="3")  # expect-error: call-overload
    env.task(3)  # expect-error: call-overload

    flyte.map(3, [1])  # expect-error: call-overload
    flyte.map(score, 3)  # expect-error: call-overload
    flyte.new_condition("a", data_type=list)  # expect-error: type-var


@env.task(short_nam="score")  # expect-error: call-overload untyped-decorator
async def misspelt() -> None: ...
