"""What the control plane tells of the actions that one action has called."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from flyteidl2.common.identifier_pb2 import ActionIdentifier
from flyteidl2.common.phase_pb2 import ActionPhase as PhaseMessage
from flyteidl2.workflow.state_service_pb2 import ActionUpdate

from flyte._controller.remote.backoff import delay_s
from flyte._controller.remote.failures import refused, unreachable
from flyte._logging import system_logger
from flyte.errors import BaseRuntimeError

if TYPE_CHECKING:
    from flyte._rpc.in_task import InTaskClient

GIVE_UP_S = 1200.0
"""So long may the control plane be away; a restart takes seconds, but somebody may have to come and do it."""

CLOSE_S = 2.0

_WORTH_A_WORD = 8
"""So many streams in a row that broke make some seconds, which whoever reads the log is to know of."""

TERMINAL = frozenset(
    {
        PhaseMessage.ACTION_PHASE_SUCCEEDED,
        PhaseMessage.ACTION_PHASE_FAILED,
        PhaseMessage.ACTION_PHASE_ABORTED,
        PhaseMessage.ACTION_PHASE_TIMED_OUT,
        PhaseMessage.ACTION_PHASE_RECOVERED,
    }
)


class Children:
    """The children of one action, watched from now on. Lives on the loop of the controller.

    Attributes:
        parent: The action.
        calls: The calls that go on.
    """

    def __init__(self, client: InTaskClient, parent: ActionIdentifier) -> None:
        self.parent = parent
        self.calls: set[asyncio.Task[Any]] = set()
        self._client = client
        self._ended: dict[str, ActionUpdate] = {}
        self._waiting: dict[str, asyncio.Future[ActionUpdate]] = {}
        self._is_ready = asyncio.Event()
        self._closing = asyncio.Event()
        self._error: BaseRuntimeError | None = None
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def take(self, name: str) -> ActionUpdate | None:
        """How the child of that name has ended, if it has; waits until all that is known has been told.

        Raises:
            BaseRuntimeError: the control plane tells nothing of the parent.
        """
        if not self._is_ready.is_set():
            await self._is_ready.wait()
        if self._error is not None:
            raise self._error
        return self._ended.pop(name, None)

    def expect(self, name: str) -> asyncio.Future[ActionUpdate]:
        """How the child of that name will have ended."""
        outcome: asyncio.Future[ActionUpdate] = asyncio.get_running_loop().create_future()
        ended = self._ended.pop(name, None)
        if self._error is not None:
            outcome.set_exception(self._error)
        elif ended is not None:
            outcome.set_result(ended)
        else:
            self._waiting[name] = outcome
        return outcome

    def forget(self, name: str) -> None:
        """Nobody waits for the child of that name any more."""
        self._waiting.pop(name, None)

    def fail(self, error: BaseRuntimeError) -> None:
        """Nothing comes of calls that wait, nor of further ones."""
        if self._error is None:
            self._error = error
        self._is_ready.set()
        waiting, self._waiting = self._waiting, {}
        for outcome in waiting.values():
            if not outcome.done():
                outcome.set_exception(self._error)
                outcome.exception()  # Whoever waits for it may be gone.

    async def close(self) -> None:
        """The watch is over."""
        self._closing.set()
        self._watching.cancel()
        await asyncio.wait([self._watching], timeout=CLOSE_S)

    async def _watch(self) -> None:
        """Told of a cut, asks again: each stream begins with the state of all children."""
        tries, away_since = 0, time.monotonic()
        error: Exception | None = None
        while not self._closing.is_set():
            try:
                async with aclosing(cast("Any", self._client.watch(self.parent))) as updates:
                    async for update in updates:
                        tries, away_since, error = 0, time.monotonic(), None
                        self._hear(update)
                        away_since = time.monotonic()
            except Exception as failure:
                error = failure
                if self._closing.is_set():
                    # The library tells the cancellation of its caller as an error of the call.
                    return
                if _is_final(failure):
                    self.fail(refused(cast("Any", failure), f"the watch of action {self.parent.name}"))
                    return
            away_s = time.monotonic() - away_since
            if away_s > GIVE_UP_S:
                self.fail(unreachable(error, away_s))
                return
            tries += 1
            if tries == _WORTH_A_WORD:
                system_logger.warning(
                    "the control plane does not tell what becomes of the calls of action %s, and is asked again: %s",
                    *(self.parent.name, error or "it ends each stream"),
                )
            await asyncio.sleep(delay_s(tries))

    def _hear(self, update: ActionUpdate | None) -> None:
        if update is None:
            self._is_ready.set()
            return
        if update.phase not in TERMINAL:
            return
        outcome = self._waiting.pop(update.action_id.name, None)
        if outcome is None:
            self._ended[update.action_id.name] = update
        elif not outcome.done():
            outcome.set_result(update)


def _is_final(error: Exception) -> bool:
    """Whether the control plane answers, and will say the same the next time."""
    from connectrpc.code import Code
    from connectrpc.errors import ConnectError

    return isinstance(error, ConnectError) and error.code in (
        Code.INVALID_ARGUMENT,
        Code.NOT_FOUND,
        Code.UNAUTHENTICATED,
        Code.PERMISSION_DENIED,
        Code.UNIMPLEMENTED,
        Code.FAILED_PRECONDITION,
        Code.ABORTED,
    )
