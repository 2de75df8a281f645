"""The way of changes into the store: those of one turn of the loop together."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from itertools import count

from flyteidl2.workflow.state_service_pb2 import ActionUpdate

from flyte._faults import reach
from flyte._logging import system_logger
from flyte._server.scheduler.states import OpenAction
from flyte._server.scheduler.updates import update_of
from flyte._store.served import put_spec, record_served_actions
from flyte._store.writer import ActionRow, Change, Writer, in_order, record_actions
from flyte.errors import StoreError

_BATCH_ROWS = 512
_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 5.0

_Told = Sequence[tuple[OpenAction, ActionUpdate]]


class Commits:
    """Commits the state of actions. Lives on the server's loop.

    Args:
        writer: Of the store.
        published: Called on the loop with each action of which something is in the store now, and what that says.

    Attributes:
        error: Why the store takes nothing at the moment, as with a full disk: what waits is tried again until it does,
            and nobody is told of it before. None while all is well.
    """

    def __init__(self, writer: Writer, published: Callable[[OpenAction, ActionUpdate], object]) -> None:
        self.error: StoreError | None = None
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._published = published
        self._rows: list[ActionRow] = []
        self._served: list[tuple[object, ...]] = []
        self._actions: dict[OpenAction, ActionUpdate] = {}
        self._beside: list[Change] = []
        self._committed: asyncio.Future[None] | None = None
        self._in_flight: set[asyncio.Future[None]] = set()
        self._is_due = False
        self._is_closing = False
        self._numbers = count()
        # What the store would not take so far, by number; what comes later waits. For the writer's thread alone.
        self._refused: dict[int, StoreError] = {}

    def record(self, action: OpenAction, *, served: bool = False) -> asyncio.Future[None]:
        """The state that the action has now goes to the store; the future is done when it is there.

        Args:
            served: What only served actions have has changed too.
        """
        self._rows.append(action.record.row())
        if served or not action.is_stored:
            self._served.append(served_row(action))
            action.is_stored = True
        known = action.known
        if known is not None and not known.is_stored:
            known.is_stored = True
            self._beside.append(put_spec(known.digest, known.data))
        # As it is now: it may go on before this is committed.
        self._actions[action] = update_of(action)
        return self._soon()

    def tell(self, action: OpenAction) -> None:
        """Nothing is written: the state that the action has now is in the store."""
        self._published(action, update_of(action))

    def record_quietly(self, action: OpenAction) -> None:
        """The state that the action has now goes to the store together with the next one, and nobody hears of it."""
        self._rows.append(action.record.row())

    def beside(self, change: Change) -> asyncio.Future[None]:
        """The change goes to the store after what was recorded before."""
        self._beside.append(change)
        return self._soon()

    async def change(self, change: Change) -> object:
        """The result of a change, once it is committed; after what was recorded before.

        Raises:
            StoreError: it could not be committed.
        """
        self._flush()
        future: asyncio.Future[object] = self._loop.create_future()
        in_turn = self._in_turn(next(self._numbers), change)
        self._writer.submit(in_turn, lambda result, error: self._hand_over(future, result, error))
        return await future

    async def insist(self, change: Change) -> object:
        """The same; where it could not be committed it is tried again until the store takes it."""
        results: list[object] = []
        await asyncio.shield(self.beside(lambda connection: results.append(change(connection))))
        return results[-1]

    async def caught_up(self) -> None:
        """What was recorded before is in the store.

        Raises:
            StoreError: this has ended before it was.
        """
        before = {*self._in_flight, *((self._committed,) if self._committed is not None else ())}
        if before:
            await asyncio.wait(before)
        if any(each.cancelled() for each in before):
            raise self.error or StoreError("the control plane has stopped before that was recorded")

    async def close(self) -> None:
        """Everything recorded is committed, or has failed once more."""
        self._is_closing = True
        self._flush()
        while self._in_flight:
            await asyncio.wait(self._in_flight)

    def _soon(self) -> asyncio.Future[None]:
        if self._committed is None:
            self._committed = self._loop.create_future()
        committed = self._committed
        if len(self._rows) >= _BATCH_ROWS:
            self._flush()
        elif not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._flush)
        return committed

    def _flush(self) -> None:
        self._is_due = False
        committed, self._committed = self._committed, None
        if committed is None:
            return
        rows, self._rows = self._rows, []
        served, self._served = self._served, []
        actions, self._actions = list(self._actions.items()), {}
        beside, self._beside = self._beside, []
        changes: list[Change] = [record_actions(rows)] if rows else []
        if served:
            changes.append(record_served_actions(served))
        self._in_flight.add(committed)
        self._submit(next(self._numbers), in_order(*changes, *beside), committed, actions, _FIRST_WAIT_S)

    def _submit(
        self,
        number: int,
        change: Change,
        committed: asyncio.Future[None],
        actions: _Told,
        wait_s: float,
    ) -> None:
        def settle(error: StoreError | None) -> None:
            if error is None:
                self._settle(committed, actions)
                return
            if self.error is None:
                system_logger.error("what the control plane records waits for the store: %s", error)
            self.error = error
            if self._is_closing:
                # Nobody was told of it: the next server finds what was before.
                self._in_flight.discard(committed)
                committed.cancel()
                return
            longer_s = min(2 * wait_s, _LONGEST_WAIT_S)
            self._loop.call_later(wait_s, self._submit, number, change, committed, actions, longer_s)

        def done(result: object, error: StoreError | None) -> None:
            if error is None:
                self._refused.pop(number, None)
            elif isinstance(error.__cause__, sqlite3.OperationalError | OSError):
                self._refused[number] = error
            # Anything else is wrong with this change, and keeps no other one back.
            self._loop.call_soon_threadsafe(settle, error)

        self._writer.submit(self._in_turn(number, change), done)

    def _in_turn(self, number: int, change: Change) -> Change:
        """The change, unless one that came before it waits: written later, that would write over this one."""

        def in_turn(connection: sqlite3.Connection) -> object:
            for earlier, error in self._refused.items():
                if earlier < number:
                    raise StoreError(str(error)) from error.__cause__
            return change(connection)

        return in_turn

    def _settle(self, committed: asyncio.Future[None], actions: _Told) -> None:
        self._in_flight.discard(committed)
        if self.error is not None:
            self.error = None
            system_logger.warning("the store takes what is recorded again")
        _committed()
        for action, update in actions:
            self._published(action, update)
        if not committed.cancelled():
            committed.set_result(None)

    def _hand_over(self, future: asyncio.Future[object], result: object, error: StoreError | None) -> None:
        def settle() -> None:
            if error is None:
                _committed()
            if future.cancelled():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

        self._loop.call_soon_threadsafe(settle)


def _committed() -> None:
    """Something is in the store, and nobody has been told."""
    reach("server.committed")


def served_row(action: OpenAction) -> tuple[object, ...]:
    known = action.known
    return (
        action.record.action_id,
        action.target.SerializeToString(),
        None if known is None else known.digest,
        action.cache_key,
        action.recovered_from,
        action.output_uri,
        action.called_in,
        action.tries,
        action.due_us,
        action.abort_reason,
        action.aborted_by,
        action.signalled_by,
    )
