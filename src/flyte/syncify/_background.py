"""An event loop on a thread of its own, and the two ways into it."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

R = TypeVar("R")

LISTENS_EVERY_S = 0.5
"""How often a thread that waits for a loop wakes to hear of signals."""


class _Call(Generic[R]):
    """A coroutine on its way through the loop; `outcome` is set when it has ended, cancelled or not."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, R], context: contextvars.Context | None
    ) -> None:
        self.outcome: Future[R] = Future()
        self._loop = loop
        self._coro = coro
        self._context = contextvars.copy_context() if context is None else context
        self._task: asyncio.Task[R] | None = None

    def start(self) -> None:
        """Send the coroutine on its way."""
        self._loop.call_soon_threadsafe(self._start)

    def _start(self) -> None:
        if self.outcome.done():
            return
        self._task = self._loop.create_task(self._coro, context=self._context)
        self._task.add_done_callback(self._hand_over)

    def _hand_over(self, task: asyncio.Task[R]) -> None:
        # A cancelled call is an exception here too: `Future.cancel()` would have waiters see another class of it.
        if task.cancelled():
            self.outcome.set_exception(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(task.result())
        self._task = None

    def cancel(self) -> None:
        """Ask the coroutine to end, as `Task.cancel` does; from any thread, at any time."""
        self._loop.call_soon_threadsafe(self._cancel_task)

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()
        elif not self.outcome.done():
            # The interrupt came before the start.
            self._coro.close()
            self.outcome.set_exception(asyncio.CancelledError())


class BackgroundLoop:
    """One daemon thread that runs an event loop, started when first needed.

    A process forked from this one starts a thread of its own.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._inherited: list[asyncio.AbstractEventLoop] = []
        os.register_at_fork(after_in_child=self._forget)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, running."""
        return self._loop or self._ensure_started()

    def _ensure_started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_serve, args=(loop,), name=self.name, daemon=True)
                self._thread.start()
                self._loop = loop
            return self._loop

    def _forget(self) -> None:
        # The thread stayed in the parent. Its loop must not be collected here: that would close what the parent uses.
        if self._loop is not None:
            self._inherited.append(self._loop)
        self._lock = threading.Lock()
        self._loop = self._thread = None

    def is_current(self) -> bool:
        """True on the loop's own thread."""
        return threading.current_thread() is self._thread

    def run_blocking(self, coro: Coroutine[Any, Any, R], context: contextvars.Context | None = None) -> R:
        """Run `coro` on the loop and wait here for its outcome.

        It sees the caller's context variables. An interrupt (Ctrl-C) cancels it and is raised once it has ended; a
        second interrupt does not wait.

        Raises:
            AssertionError: called on the loop's own thread, where it would wait for itself for ever.
        """
        if self.is_current():
            coro.close()
            raise AssertionError(
                f"Deadlock detected: a blocking call on the event loop thread {self.name!r} would wait for itself. "
                f"In async code use the awaitable form: `await f.aio(...)`."
            )
        call = _Call(self.loop, coro, context)
        try:
            # Inside, since an interrupt may come as soon as the coroutine runs.
            call.start()
            return _heard_result(call.outcome)
        except BaseException:
            if not call.outcome.done():
                call.cancel()
                call.outcome.exception()
            raise

    async def run_from_loop(self, coro: Coroutine[Any, Any, R], context: contextvars.Context | None = None) -> R:
        """Run `coro` on the loop and await its outcome on the caller's loop, which may be the same.

        It sees the caller's context variables. Cancelling the caller cancels it, and takes effect once it has ended,
        as if it had been awaited directly.
        """
        if self.is_current():
            return await coro
        call = _Call(self.loop, coro, context)
        call.start()
        outcome = asyncio.wrap_future(call.outcome)
        try:
            return await asyncio.shield(outcome)
        except asyncio.CancelledError:
            if outcome.done():
                raise
            call.cancel()
            await asyncio.wait([outcome])
            return outcome.result()

    def close(self) -> None:
        """Cancel what runs on the loop, stop it and end its thread; the next call starts afresh."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _heard_result(outcome: Future[R]) -> R:
    """The result; an interrupt that comes as the wait for it begins is heard when that wakes."""
    while True:
        try:
            return outcome.result(LISTENS_EVERY_S)
        except TimeoutError:
            # It may be that of the outcome itself.
            if outcome.done():
                return outcome.result()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    while True:
        try:
            return loop.run_forever()
        except (KeyboardInterrupt, SystemExit):
            # A task called sys.exit(). asyncio lets that end the loop; the caller has it as the outcome of its call,
            # and the other calls must go on.
            continue


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    loop = asyncio.get_running_loop()
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()
