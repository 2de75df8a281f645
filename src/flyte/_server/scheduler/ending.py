"""How actions end, and with the root the run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from flyte._engine.attempts import Failure
from flyte._server.scheduler.caching import ResultCache
from flyte._server.scheduler.commits import Commits
from flyte._server.scheduler.states import OpenAction, OpenRun
from flyte._server.scheduler.waiting import Waiting
from flyte._store.aborts import aborted_error
from flyte._store.payloads import INLINE_LIMIT_BYTES
from flyte._store.records import ErrorRecord
from flyte._store.served import abort_served_run
from flyte._store.writer import end_run
from flyte.errors import ActionAbortedError
from flyte.models import ActionPhase

ABORTED = ActionPhase.ABORTED.to_protobuf_value()


class Endings:
    """Ends actions. Lives on the server's loop.

    Args:
        run_ended: Called with a run whose end is on its way into the store.
    """

    def __init__(
        self,
        home: Path,
        commits: Commits,
        cache: ResultCache,
        waiting: Waiting,
        run_ended: Callable[[OpenRun], object],
    ) -> None:
        self._home = home
        self._commits = commits
        self._cache = cache
        self._waiting = waiting
        self._run_ended = run_ended

    def succeed(
        self, action: OpenAction, outputs: bytes | None, phase: ActionPhase = ActionPhase.SUCCEEDED
    ) -> asyncio.Future[None]:
        """It has these outputs, which are at its `output_uri` too; None where only that says what they are."""
        self._put_outputs(action, outputs)
        self._cache.keep(action)
        return self._end(action, phase)

    def fail(self, action: OpenAction, phase: ActionPhase, failure: Failure) -> asyncio.Future[None]:
        """It has failed for good."""
        action.record.error = error_column(failure)
        return self._end(action, phase)

    def abort(self, action: OpenAction, reason: str, aborted_by: str) -> asyncio.Future[None]:
        """It and those below it are aborted; nothing happens to those that have ended."""
        if action.parent is None:
            self._commits.beside(abort_served_run(action.run.run_id, reason, aborted_by))
        return self._abort([action, *action.below()], reason, aborted_by)

    def _end(self, action: OpenAction, phase: ActionPhase) -> asyncio.Future[None]:
        record = action.record
        record.phase = phase.to_protobuf_value()
        record.ended_us = time.time_ns() // 1000
        if record.started_us is None:
            record.started_us = record.ended_us
        self._let_go(action)
        left = [each for each in action.below() if each.is_open]
        if left:
            reason = f"the action that called it has ended ({phase.value})"
            self._abort(left, reason, "")
        committed = self._commits.record(action, served=True)
        return self._settle(action) or committed

    def finish(self, run: OpenRun) -> asyncio.Future[None]:
        """The run ends as its root has."""
        root = run.root.record
        committed = self._commits.beside(end_run(run.run_id, root.phase, root.ended_us or 0))
        self._run_ended(run)
        return committed

    def _abort(self, actions: Iterable[OpenAction], reason: str, aborted_by: str) -> asyncio.Future[None]:
        now_us = time.time_ns() // 1000
        committed: asyncio.Future[None] | None = None
        ended = [action for action in actions if action.is_open]
        for action in ended:
            record = action.record
            message = f"action {action.name!r} was aborted{f': {reason}' if reason else ''}"
            record.phase, record.ended_us = ABORTED, now_us
            record.error = aborted_error(ActionAbortedError(message))
            action.abort_reason, action.aborted_by = reason, aborted_by
            committed = self._commits.record(action, served=True)
            self._let_go(action)
        for action in ended:
            committed = self._settle(action) or committed
        if committed is None:
            committed = asyncio.get_running_loop().create_future()
            committed.set_result(None)
        return committed

    def _settle(self, action: OpenAction) -> asyncio.Future[None] | None:
        """Who waited for it goes on; where it is the root, the run ends: what is done once that is recorded too."""
        self._cache.settle(action)
        if action.parent is None:
            return self.finish(action.run)
        self._waiting.ended(action)
        return None

    def _let_go(self, action: OpenAction) -> None:
        """What takes it through its attempts ends, unless it is that which ends it."""
        drive = action.drive
        if drive is not None and drive is not asyncio.current_task():
            drive.cancel()

    def _put_outputs(self, action: OpenAction, outputs: bytes | None) -> None:
        record = action.record
        if outputs is None:
            return
        if len(outputs) <= INLINE_LIMIT_BYTES:
            record.outputs = outputs
        else:
            record.outputs_file = relative_to(self._home, f"{action.output_uri.rstrip('/')}/outputs.pb")


def error_column(failure: Failure) -> str:
    """What the row of an action or an attempt says of a failure."""
    return ErrorRecord(failure.code, failure.kind, failure.message, failure.worker, failure.traceback).to_json()


def relative_to(home: Path, address: str) -> str | None:
    """A path below the home folder as rows have it; None for any other address."""
    prefix = f"{home}/"
    return address.removeprefix(prefix) if address.startswith(prefix) else None
