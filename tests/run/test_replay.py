"""What a retried parent does with the children of its earlier attempts."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import flyte
from flyte.errors import RuntimeUserError
from flyte.models import ActionPhase

env = flyte.TaskEnvironment(name="replay")
AT_ONCE = flyte.RetryStrategy(count=3, backoff=flyte.Backoff(base=timedelta(0)))
CALLS: list[str] = []


@env.task
async def step(name: str) -> str:
    CALLS.append(name)
    return name.upper()


@env.task
async def middle(name: str) -> str:
    return await step(name)


@env.task
async def stumbles(name: str) -> str:
    CALLS.append(name)
    if CALLS.count(name) == 1:
        raise ConnectionError("first time")
    return name


def test_children_that_succeeded_are_not_run_again_by_a_retry_of_their_parent() -> None:
    CALLS.clear()

    @env.task(retries=AT_ONCE)
    async def parent() -> list[str]:
        done = await asyncio.gather(step("a"), step("a"), middle("b"))
        if flyte.ctx().attempt_number == 0:
            raise ConnectionError("after the children")
        return [*done, await step("c")]

    run = flyte.run(parent)
    assert run.outputs().o0 == ["A", "A", "B", "C"]
    assert sorted(CALLS) == ["a", "a", "b", "c"]
    actions = run.details().actions
    assert len(actions) == len({action.name for action in actions}) == 6
    assert {action.phase for action in actions} == {ActionPhase.SUCCEEDED}


def test_a_child_that_failed_is_tried_again_as_a_later_attempt_of_the_same_action() -> None:
    CALLS.clear()

    @env.task(retries=AT_ONCE)
    async def parent() -> str:
        return await stumbles("s")

    run = flyte.run(parent)
    assert run.outputs().o0 == "s"
    root, child = run.details().actions
    assert (root.attempt_no, child.attempt_no, child.phase) == (2, 2, ActionPhase.SUCCEEDED)


def test_without_retries_a_second_equal_call_is_a_second_action() -> None:
    CALLS.clear()

    @env.task
    async def parent() -> str:
        try:
            return await stumbles("t")
        except RuntimeUserError:
            return await stumbles("t")

    run = flyte.run(parent)
    assert run.outputs().o0 == "t"
    assert [action.phase for action in run.details().actions[1:]] == [ActionPhase.FAILED, ActionPhase.SUCCEEDED]
