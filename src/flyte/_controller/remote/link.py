"""What one process says to its control plane: actions are enqueued, watched and aborted."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from flyteidl2.actions.actions_service_pb2 import Action
from flyteidl2.workflow.state_service_pb2 import ActionUpdate

from flyte._controller.remote.backoff import busy_delay_s, delay_s
from flyte._controller.remote.children import GIVE_UP_S, Children
from flyte._controller.remote.failures import refused, unreachable
from flyte._logging import system_logger
from flyte._rpc.identifiers import action_identifier
from flyte._rpc.in_task import InTaskClient, in_task_client
from flyte._rpc.settings import SessionSettings
from flyte.models import ActionID

IN_FLIGHT = 24
"""So many requests are on their way at a time: more would only wait on the other side."""

ABORT_S = 5.0
"""So long may it take to tell that nobody waits for an action any more."""

_TRIES_WITHOUT_REASON = 20
_RENEWED_AFTER = 3
"""So many requests in a row that nobody answered in time: the connections may lead nowhere."""


class Link:
    """The connection of one process with one control plane. Lives on the loop of the controller."""

    def __init__(self, settings: SessionSettings, *, uses_actions: bool) -> None:
        self._client: InTaskClient = in_task_client(settings, uses_actions=uses_actions)
        self._in_flight = asyncio.Semaphore(IN_FLIGHT)
        self._children: dict[ActionID, Children] = {}
        self._unanswered = 0

    def children_of(self, parent: ActionID) -> Children:
        """What an action has called; the watch begins with the first call."""
        children = self._children.get(parent)
        if children is None:
            children = self._children[parent] = Children(self._client, action_identifier(parent))
        return children

    async def run(
        self, action: Action, children: Children, enqueued: asyncio.Future[None] | None = None
    ) -> ActionUpdate:
        """How the action has ended, which the control plane is asked for now.

        Cancelled, it has the action aborted first.

        Args:
            enqueued: Is done when the control plane has it.

        Raises:
            BaseRuntimeError: the control plane does not take it, or has been away for too long.
        """
        name = action.action_id.name
        outcome = children.expect(name)
        here = asyncio.current_task()
        assert here is not None
        children.calls.add(here)
        try:
            await self.enqueue(action, outcome)
            if enqueued is not None and not enqueued.done():
                enqueued.set_result(None)
            return await outcome
        except asyncio.CancelledError:
            await self.abort(action)
            raise
        finally:
            children.calls.discard(here)
            children.forget(name)

    async def enqueue(self, action: Action, outcome: asyncio.Future[ActionUpdate] | None = None) -> None:
        """The control plane has the action, or has told its outcome already.

        Raises:
            BaseRuntimeError: as `run`.
        """
        from connectrpc.code import Code
        from connectrpc.errors import ConnectError

        tries = busy_tries = odd_tries = 0
        since = time.monotonic()
        async with self._in_flight:
            while outcome is None or not outcome.done():
                try:
                    await self._client.enqueue(action)
                    self._unanswered = 0
                    return
                except ConnectError as error:
                    what = f"action {action.action_id.name}"
                    self._raise_if_cancelled(error)
                    match error.code:
                        case Code.ALREADY_EXISTS:
                            return
                        case Code.RESOURCE_EXHAUSTED:
                            busy_tries, since = busy_tries + 1, time.monotonic()
                            pause_s = busy_delay_s(busy_tries)
                        case Code.UNAVAILABLE | Code.DEADLINE_EXCEEDED | Code.CANCELED:
                            tries += 1
                            pause_s = delay_s(tries)
                            self._count_unanswered(error.code is Code.DEADLINE_EXCEEDED)
                        case Code.INTERNAL | Code.UNKNOWN | Code.DATA_LOSS if odd_tries < _TRIES_WITHOUT_REASON:
                            odd_tries += 1
                            pause_s = delay_s(odd_tries)
                        case _:
                            raise refused(error, what) from error
                    system_logger.debug("%s is not enqueued yet: %s", what, error)
                    if (away_s := time.monotonic() - since) > GIVE_UP_S:
                        raise unreachable(error, away_s) from error
                await asyncio.sleep(pause_s)

    async def abort(self, action: Action) -> None:
        """The control plane knows that nobody waits for the action any more, if it could be told in time."""
        from connectrpc.code import Code
        from connectrpc.errors import ConnectError

        with suppress(TimeoutError):
            async with asyncio.timeout(ABORT_S), self._in_flight:
                tries = 0
                while True:
                    try:
                        return await self._client.abort(action.action_id, action.parent_action_name)
                    except ConnectError as error:
                        self._raise_if_cancelled(error)
                        if error.code not in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED):
                            if error.code not in (Code.NOT_FOUND, Code.FAILED_PRECONDITION):
                                system_logger.warning("action %s was not aborted: %s", action.action_id.name, error)
                            return None
                    tries += 1
                    await asyncio.sleep(delay_s(tries))

    async def end(self, parent: ActionID) -> None:
        """Nothing that the action has called goes on, and nothing is heard of it any more."""
        children = self._children.pop(parent, None)
        if children is None:
            return
        calls = list(children.calls)
        for call in calls:
            call.cancel()
        if calls:
            await asyncio.wait(calls, timeout=ABORT_S)
        await children.close()

    async def close(self) -> None:
        """The same for all actions."""
        await asyncio.gather(*(self.end(parent) for parent in list(self._children)))

    def _count_unanswered(self, is_timeout: bool) -> None:
        self._unanswered = self._unanswered + 1 if is_timeout else 0
        if self._unanswered >= _RENEWED_AFTER:
            self._unanswered = 0
            self._client.renew()

    @staticmethod
    def _raise_if_cancelled(error: BaseException) -> None:
        """The library tells the cancellation of its caller as an error of the call."""
        here = asyncio.current_task()
        if isinstance(error.__cause__, asyncio.CancelledError) or (here is not None and here.cancelling()):
            raise asyncio.CancelledError from error
