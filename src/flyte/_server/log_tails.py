"""The lines of an attempt's log: those that are there, and those that come while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from flyte._controller.log_files import LogLine, LogReader
from flyte._controller.output import WRITE_EVERY_S
from flyte._server.readers import StoreReaders
from flyte._server.refusals import InvalidRequestError, UnknownError
from flyte._server.scheduling import Scheduling
from flyte._store.reader import StoreReader
from flyte._store.records import ActionKind

_BATCH_LINES = 500
_POLL_S = 0.25
_STATE_POLLS = 4
"""The store is asked this seldom whether an attempt has ended, beside whenever the scheduler says that it may have."""


@dataclass(frozen=True, slots=True)
class AttemptKey:
    """Which attempt is meant."""

    run_name: str
    action_name: str
    attempt_no: int


class LogTails:
    """Follows logs."""

    def __init__(self, readers: StoreReaders, scheduling: Scheduling) -> None:
        self._readers = readers
        self._scheduling = scheduling

    async def tail(self, key: AttemptKey) -> AsyncGenerator[list[LogLine], None]:
        """The lines, in batches, until the attempt has ended; the first batch is empty, and comes at once.

        Raises:
            UnknownError: there is no such attempt yet, or it is of an action that has no log.
            InvalidRequestError: attempts are numbered from 1.
        """
        if key.attempt_no < 1:
            raise InvalidRequestError(f"attempt is {key.attempt_no}: attempts are numbered from 1.")
        is_over = await self._is_over(key)
        yield []
        log = LogReader(self._readers.home, key.run_name, key.action_name, key.attempt_no)
        has_changed = asyncio.Event()
        listening = asyncio.ensure_future(self._listen(key, has_changed))
        try:
            polls = 0
            while True:
                async for batch in _batches(log):
                    yield batch
                if is_over:
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(has_changed.wait(), _POLL_S)
                polls += 1
                if has_changed.is_set() or polls % _STATE_POLLS == 0:
                    has_changed.clear()
                    # Looked at before the lines are read: what came before the end is in the file when the end is
                    # recorded.
                    is_over = await self._is_over(key)
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening

    async def _listen(self, key: AttemptKey, has_changed: asyncio.Event) -> None:
        changes = self._scheduling.changes(key.run_name, key.action_name)
        try:
            async for _ in changes:
                has_changed.set()
        finally:
            if (close := getattr(changes, "aclose", None)) is not None:
                await close()

    async def _is_over(self, key: AttemptKey) -> bool:
        return await self._readers.read(lambda reader: _is_over(reader, key))


async def _batches(log: LogReader) -> AsyncGenerator[list[LogLine], None]:
    lines = log.new_lines()
    while batch := await asyncio.to_thread(lambda: list(islice(lines, _BATCH_LINES))):
        yield batch


def _is_over(reader: StoreReader, key: AttemptKey) -> bool:
    """Whether nothing more can come.

    Raises:
        UnknownError: there is nothing that it could come from.
    """
    run = reader.load_run(key.run_name)
    action = reader.load_action(run, key.action_name)
    if action.kind is ActionKind.TRACE:
        raise UnknownError(
            f"action {action.name!r} is a trace: what it prints is in the log of the task that calls it."
        )
    if action.kind is ActionKind.CONDITION:
        raise UnknownError(f"action {action.name!r} is a condition: it runs nothing that could print.")
    if key.attempt_no > action.attempt_no:
        raise UnknownError(
            f"action {action.name!r} of run {run.name!r} has no attempt {key.attempt_no}: its last one is "
            f"{action.attempt_no}."
        )
    if key.attempt_no < action.attempt_no or run.phase.is_terminal or run.is_interrupted:
        return True
    if action.ended_at is None:
        return False
    # Local runs write what was printed a moment later.
    return run.mode != "local" or (datetime.now(UTC) - action.ended_at).total_seconds() > 2 * WRITE_EVERY_S
