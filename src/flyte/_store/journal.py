"""The records of one run on their way from its event loop to the writer.

Outcomes made in the same turn of the loop travel together, and their callers wake together after the commit. An action
that lasts is written once when it has run for a moment, so that others can see it, and again when it ends; one that is
over before is written once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from flyte._faults import reach
from flyte._store.cache import CacheEntry, CacheLookup, put_cache_entries, put_cache_lookups
from flyte._store.records import ActionRecord, Owner
from flyte._store.writer import ActionRow, Change, Writer, in_order, record_actions, record_tasks, require_owner
from flyte.errors import StoreError

SHOW_AFTER_S = 0.1
"""How long an action runs before it is recorded as running."""

_BATCH_ROWS = 512
"""An outcome batch this large is handed over in mid-turn, so that the writer works beside a busy loop."""

_Waiter = tuple[ActionRecord, "asyncio.Future[None]"]


class Journal:
    """Records the actions of one run. Call it on the loop it was made for."""

    def __init__(self, writer: Writer, loop: asyncio.AbstractEventLoop, run_id: int, owner: Owner) -> None:
        self._writer = writer
        self._run_id = run_id
        self._require_owner = require_owner(run_id, owner)
        self._tasks: list[tuple[str, str]] = []
        self._loop = loop
        self._rows: list[ActionRow] = []
        self._cache_entries: list[CacheEntry] = []
        self._cache_lookups: list[CacheLookup] = []
        self._beside: list[Change] = []
        self._waiters: list[_Waiter] = []
        self._unwritten: dict[int | None, ActionRecord] = {}
        self._is_flush_due = False
        self._in_flight = 0
        self._idle: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def met_task(self, task_name: str, code_version: str) -> None:
        """The run calls a task for the first time; its code version goes to the store with the next commit."""
        self._tasks.append((task_name, code_version))

    def looked_up(self, lookup: CacheLookup) -> None:
        """What an action was told by the cache goes to the store with the next commit."""
        self._cache_lookups.append(lookup)

    def beside(self, change: Change) -> None:
        """The change goes to the store with the next commit; nobody waits for it."""
        self._beside.append(change)

    def started(self, record: ActionRecord) -> None:
        """The action runs; it is written if it still does in a moment."""
        self._unwritten[record.action_id] = record
        if self._timer is None:
            self._timer = self._loop.call_later(SHOW_AFTER_S, self._show_running)

    def ended(self, record: ActionRecord, cache_entry: CacheEntry | None = None) -> asyncio.Future[None]:
        """The action is over; the future is done when that is committed, or fails with `StoreError`.

        A `cache_entry` is kept in the same transaction.
        """
        future = self._loop.create_future()
        if cache_entry is not None:
            self._cache_entries.append(cache_entry)
        self._waiters.append((record, future))
        self.noted(record)
        return future

    def noted(self, record: ActionRecord) -> None:
        """The action's state goes to the store with the next commit; nobody waits for it."""
        self._add(record)
        if len(self._rows) >= _BATCH_ROWS:
            self._flush()
        elif not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self._flush)

    def ended_blocking(self, record: ActionRecord) -> None:
        """The action is over and that is committed, for code on the loop that cannot await.

        Raises:
            StoreError: it could not be committed.
        """
        self._flush()
        self._add(record)
        rows, self._rows = self._rows, []
        try:
            refused = self._writer.write(in_order(self._require_owner, record_actions(rows)))
        except StoreError:
            record.reopen()
            raise
        if record.action_id in refused:
            record.reopen()
            raise _refused()

    async def commit(self, change: Change) -> object:
        """Commit one other change, in order with the records, and return its result."""
        self._flush()
        future: asyncio.Future[object] = self._loop.create_future()

        def done(result: object, error: StoreError | None) -> None:
            self._loop.call_soon_threadsafe(_settle, future, result, error)

        self._writer.submit(in_order(self._require_owner, *self._take_beside(), change), done)
        return await future

    async def close(self) -> None:
        """Everything recorded is committed, or has failed its waiters."""
        if self._timer is not None:
            self._timer.cancel()
        self._flush()
        if self._in_flight:
            self._idle = self._loop.create_future()
            await self._idle

    def _add(self, record: ActionRecord) -> None:
        """The record and the actions around it go together: a child is never in the store without its parents."""
        unwritten = self._unwritten
        unwritten.pop(record.action_id, None)
        self._rows.append(record.row())
        while record.parent_id in unwritten:
            record = unwritten.pop(record.parent_id)
            self._rows.append(record.row())

    def _show_running(self) -> None:
        self._timer = None
        started_before_us = time.time_ns() // 1000 - round(SHOW_AFTER_S * 1_000_000)
        while self._unwritten:
            action_id, record = next(iter(self._unwritten.items()))
            if record.created_us > started_before_us:
                self._timer = self._loop.call_later(SHOW_AFTER_S, self._show_running)
                break
            del self._unwritten[action_id]
            self._rows.append(record.row())
        self._flush()

    def _flush(self) -> None:
        self._is_flush_due = False
        if not self._rows:
            return
        rows, waiters = self._rows, self._waiters
        self._rows, self._waiters = [], []
        self._in_flight += 1

        def done(refused: frozenset[int], error: StoreError | None) -> None:
            self._loop.call_soon_threadsafe(self._committed, waiters, refused, error)

        self._writer.submit(in_order(self._require_owner, *self._take_beside(), record_actions(rows)), done)

    def _take_beside(self) -> list[Change]:
        """What goes to the store together with the records or the change that are handed over now."""
        changes = self._beside
        if changes:
            self._beside = []
        if self._tasks:
            changes = [*changes, record_tasks(self._run_id, self._tasks)]
            self._tasks = []
        if self._cache_lookups:
            changes = [*changes, put_cache_lookups(self._cache_lookups)]
            self._cache_lookups = []
        if self._cache_entries:
            changes = [*changes, put_cache_entries(self._cache_entries)]
            self._cache_entries = []
        return changes

    def _committed(self, waiters: Sequence[_Waiter], refused: frozenset[int], error: StoreError | None) -> None:
        reach("action.recorded")
        self._in_flight -= 1
        for record, future in waiters:
            if error is not None or record.action_id in refused:
                # A call that meets it again must not take from it what no record holds.
                record.reopen()
            if future.cancelled():
                continue
            if error is not None:
                future.set_exception(error)
            elif record.action_id in refused:
                future.set_exception(_refused())
            else:
                future.set_result(None)
        if self._idle is not None and not self._in_flight and not self._idle.done():
            self._idle.set_result(None)


def _refused() -> StoreError:
    return StoreError("the action was already recorded as ended by another process.")


def _settle(future: asyncio.Future[object], result: object, error: StoreError | None) -> None:
    if future.cancelled():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
