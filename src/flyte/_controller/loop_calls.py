"""Starting a coroutine on the engine's loop from another thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


def start_on(loop: asyncio.AbstractEventLoop, make: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
    """The outcome of `make()`, awaited on `loop`; cancelling the future cancels it.

    Unlike `asyncio.run_coroutine_threadsafe` it does not complain of an error that nobody waits for any more.
    """
    future: Future[T] = Future()

    def start() -> None:
        call = loop.create_task(make())
        call.add_done_callback(partial(_hand_over, future))
        future.add_done_callback(lambda done: loop.call_soon_threadsafe(call.cancel) if done.cancelled() else None)

    loop.call_soon_threadsafe(start)
    return future


def _hand_over(future: Future[T], call: asyncio.Task[T]) -> None:
    error = None
    if call.cancelled():
        future.cancel()
    else:
        error = call.exception()
    if not future.set_running_or_notify_cancel():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(call.result())
