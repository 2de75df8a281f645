"""Awaiting a coroutine in a context of its own, without a task of its own."""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


@types.coroutine
def await_in_context(context: Context, coroutine: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Awaits `coroutine` with each of its steps run in `context`.

    What it sets in context variables stays there, as if it had an `asyncio.Task` of its own, but it runs in the
    caller's: no turn of the loop is spent on starting it, and a cancellation of the caller reaches it directly.
    """
    step, value = coroutine.send, None
    while True:
        try:
            awaited = context.run(step, value)
        except StopIteration as stop:
            result: T = stop.value
            return result
        try:
            value = yield awaited
            step = coroutine.send
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:
            value = error
            step = coroutine.throw
