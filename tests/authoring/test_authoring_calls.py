"""What a call of a task is: the function outside a run, an action of the scope's controller inside one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import flyte
from flyte._context import ActionScope, current_scope, enter_scope, leave_scope
from flyte.errors import SyncTaskCallInAsyncContextError
from flyte.models import NULL_TASK_CONTEXT, GroupData, TaskContext

env = flyte.TaskEnvironment("calls")


@env.task
async def double(x: int, by: int = 2) -> int:
    return x * by


@env.task
def half(x: int) -> int:
    return x // 2


@env.task
def thread_name() -> str:
    return threading.current_thread().name


@env.task
def fail() -> None:
    raise KeyError("as it is")


def test_outside_a_run_a_call_is_the_function() -> None:
    assert half(4) == 2
    assert half.forward(x=4) == 2
    assert asyncio.run(double(3)) == 6
    assert asyncio.run(double.forward(3, by=3)) == 9


def test_outside_a_run_errors_of_the_function_come_through_unchanged() -> None:
    with pytest.raises(KeyError, match="as it is"):
        fail()
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        half()  # type: ignore[call-arg]


async def test_outside_a_run_aio_gives_the_result_and_keeps_the_loop_free() -> None:
    assert await double.aio(3, by=3) == 9
    assert await half.aio(4) == 2
    assert await thread_name.aio() != threading.current_thread().name
    assert await double.execute(1) == 2


class Submissions:
    """A controller that says what came to it."""

    def submit(
        self, scope: ActionScope, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Coroutine[Any, Any, Any]:
        async def outcome() -> Any:
            return "submitted", scope, task.name, args, kwargs

        return outcome()

    def submit_blocking(self, scope: ActionScope, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return "blocking", scope, task.name, args, kwargs

    @property
    def tracer(self) -> Any:
        raise AssertionError("nothing is traced here")


@contextmanager
def scope_of_a_run() -> Iterator[ActionScope]:
    def make_context(scope: ActionScope) -> TaskContext:
        return NULL_TASK_CONTEXT

    controller: Any = Submissions()
    scope = ActionScope("a0", controller, make_context, custom_context={"team": "a"})
    token = enter_scope(scope)
    try:
        yield scope
    finally:
        leave_scope(token)


async def test_inside_a_run_a_call_goes_to_the_controller() -> None:
    with scope_of_a_run() as scope:
        call: Any = await double(1, by=2)
        assert call == ("submitted", scope, "calls.double", (1,), {"by": 2})
        awaited: Any = await half.aio(x=4)
        assert awaited == ("submitted", scope, "calls.half", (), {"x": 4})
        assert half.forward(4) == 2


def test_a_sync_task_called_from_a_sync_task_blocks_its_thread() -> None:
    with scope_of_a_run() as scope:
        call: Any = half(4)
    assert call == ("blocking", scope, "calls.half", (4,), {})


async def test_a_sync_task_called_from_async_code_is_refused_with_the_form_to_use() -> None:
    with scope_of_a_run(), pytest.raises(SyncTaskCallInAsyncContextError) as refusal:
        half(4)
    assert "task 'calls.half' is synchronous" in str(refusal.value)
    assert "Write: await half.aio(...)" in str(refusal.value)


def test_groups_label_the_calls_made_inside_them() -> None:
    with scope_of_a_run() as scope:
        with flyte.group("outer"):
            with flyte.group("inner"):
                inner = current_scope()
            outer = current_scope()
        assert current_scope() is scope
    assert inner is not None
    assert outer is not None
    assert (outer.group, inner.group) == (GroupData("outer"), GroupData("inner"))
    assert inner.call_counts is scope.call_counts


def test_custom_context_grows_inward_and_ends_with_its_block() -> None:
    with scope_of_a_run():
        with flyte.custom_context(model="m"), flyte.custom_context(team="b"):
            assert flyte.get_custom_context() == {"team": "b", "model": "m"}
        assert flyte.get_custom_context() == {"team": "a"}
        flyte.get_custom_context().clear()
        assert flyte.get_custom_context() == {"team": "a"}


def test_a_block_left_by_an_error_is_left() -> None:
    with scope_of_a_run() as scope:
        with pytest.raises(KeyError), flyte.group("g"), flyte.custom_context(a="b"):
            raise KeyError
        assert current_scope() is scope


def test_outside_a_run_blocks_change_nothing() -> None:
    with flyte.group("g"), flyte.custom_context(a="b"):
        assert current_scope() is None
        assert flyte.get_custom_context() == {}


@pytest.mark.parametrize("name", ["", 5])
def test_a_group_needs_a_name(name: Any) -> None:
    with pytest.raises(TypeError, match="the name of a group must be a non-empty str"), flyte.group(name):
        pass


def test_custom_context_holds_strings_only() -> None:
    untyped: Any = flyte.custom_context
    with pytest.raises(TypeError, match=r"custom_context\['a'\] must be a str, got 5 \(int\)"), untyped(a=5):
        pass
