"""Threads for sync tasks: reused when idle, more of them when tasks wait on one another.

Up to `INITIAL_THREADS` start at once. Beyond that a call waits for a free thread, unless nothing has finished for a
moment: then all threads may be waiting for calls that are still queued, so the limit doubles. However many sync tasks
wait on one another, in whatever way, they all get to run; and ten thousand short ones do not make ten thousand threads.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

INITIAL_THREADS = 128
STALL_S = 0.05
IDLE_S = 10.0


class ThreadPool:
    """Runs sync functions for one event loop. Its threads are daemons: they never hold up the end of the process."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._changed = threading.Condition()
        self._calls: deque[_Call] = deque()
        self._threads = 0
        self._idle = 0
        self._finished = 0
        self._limit = INITIAL_THREADS
        self._is_closed = False
        self._watch: asyncio.TimerHandle | None = None

    async def run(self, function: Callable[[], Any]) -> Any:
        """What `function` returns or raises, run on a thread. If the caller is cancelled, the thread goes on alone."""
        call = _Call(function)
        future = asyncio.wrap_future(call.future, loop=self._loop)
        with self._changed:
            self._calls.append(call)
            self._provide_thread()
        return await future

    def close(self) -> None:
        """Idle threads end now, the others when what they run returns."""
        if self._watch is not None:
            self._watch.cancel()
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _provide_thread(self) -> None:
        if self._idle >= len(self._calls):
            self._changed.notify()
        elif self._threads >= self._limit or not self._start_thread():
            self._watch_for_stall()

    def _start_thread(self) -> bool:
        self._threads += 1
        try:
            threading.Thread(target=self._work, name="flyte-task", daemon=True).start()
        except RuntimeError:
            # The system has no more threads to give; those there are take the call when they are free.
            self._threads -= 1
            if not self._threads:
                raise
            return False
        return True

    def _watch_for_stall(self) -> None:
        if self._watch is None:
            self._watch = self._loop.call_later(STALL_S, self._grow_if_stalled, self._finished)

    def _grow_if_stalled(self, finished_before: int) -> None:
        self._watch = None
        with self._changed:
            if not self._calls:
                return
            if self._finished == finished_before:
                self._limit *= 2
                missing = min(len(self._calls) - self._idle, self._limit - self._threads)
                for _ in range(missing):
                    if not self._start_thread():
                        break
            self._watch_for_stall()

    def _work(self) -> None:
        while (call := self._next_call()) is not None:
            call.run()
            # Without this the thread would hold on to the call's arguments and result until it gets another.
            del call

    def _next_call(self) -> _Call | None:
        with self._changed:
            self._finished += 1
            while not self._calls:
                self._idle += 1
                was_notified = not self._is_closed and self._changed.wait(IDLE_S)
                self._idle -= 1
                if not was_notified and not self._calls:
                    self._threads -= 1
                    return None
            return self._calls.popleft()


class _Call:
    __slots__ = ("function", "future")

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.future: Future[Any] = Future()

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.function()
        except BaseException as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)
