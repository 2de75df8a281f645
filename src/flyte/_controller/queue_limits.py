"""`max_queued_time`: how long an attempt may wait until it runs.

In a local run it waits for a thread or a process that is free, and before the first attempt for a result that another
call with `Cache(serialize=True)` computes.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from flyteidl2.task.common_pb2 import Outputs

from flyte._engine.attempts import Failure, Finish
from flyte.models import ActionPhase

if TYPE_CHECKING:
    from flyte._controller.calls import Call


class QueueLimit:
    """The limit of one action. Lives on the engine's loop; `runs` may be called on any thread."""

    def __init__(self, bound_s: float) -> None:
        self.timeout = asyncio.timeout(None)
        self._bound_s = bound_s
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._is_waiting = self._is_expired = False
        self._timer: asyncio.TimerHandle | None = None

    def waits(self) -> None:
        """An attempt waits from now."""
        self.close()
        self._is_waiting = True
        self._timer = self._loop.call_later(self._bound_s, self._expire)

    def runs(self) -> bool:
        """Whether the attempt may run: it has not waited too long, and from now on cannot."""
        with self._lock:
            self._is_waiting = False
            return not self._is_expired

    def close(self) -> None:
        """The action is over."""
        if self._timer is not None:
            self._timer.cancel()

    def _expire(self) -> None:
        with self._lock:
            if not self._is_waiting:
                return
            self._is_expired = True
        self.timeout.reschedule(self._loop.time())


async def within_queue_limit(
    call: Call, bound_s: float, attempts: Callable[[Call], Awaitable[Outputs | Finish]]
) -> Outputs | Finish:
    """What the attempts come to, or that one of them waited too long to run; no other follows that one."""
    limit = call.queue_limit = QueueLimit(bound_s)
    try:
        async with limit.timeout:
            limit.waits()
            return await attempts(call)
    except TimeoutError:
        if not limit.timeout.expired():
            raise
        message = (
            f"task {call.task.name!r} was not run: it waited longer than its max_queued_time of {bound_s:g} s for a "
            "free thread or process, or for a result that another call computes."
        )
        failure = Failure("QUEUED_TIMEOUT_EXCEEDED", "user", message, recoverable=False, timed_out=True, worker="user")
        return Finish(ActionPhase.TIMED_OUT, failure)
    finally:
        limit.close()
