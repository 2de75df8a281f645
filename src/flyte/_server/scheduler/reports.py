"""Actions that run elsewhere, in the process that the root of an external run goes on in: what is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from flyte._engine.attempts import Failure
from flyte._server.scheduler.commits import Commits
from flyte._server.scheduler.drives import RUNNING, next_attempt
from flyte._server.scheduler.ending import ABORTED, Endings, error_column
from flyte._server.scheduler.states import DONE, TERMINAL, OpenAction
from flyte._server.scheduling import ChildReport
from flyte.models import ActionPhase


class Reports:
    """Records what is told. Lives on the server's loop.

    Args:
        counted: Called with an action that is open again.
    """

    def __init__(self, commits: Commits, endings: Endings, counted: Callable[[OpenAction], object]) -> None:
        self._commits = commits
        self._endings = endings
        self._counted = counted

    async def begin(self, action: OpenAction, report: ChildReport) -> None:
        """An action that nobody has told of before."""
        action.record.attempt_no = report.attempt_no
        await self._record(action, report)

    async def go_on(self, action: OpenAction, report: ChildReport) -> None:
        """One that is known, unless more is known of it already."""
        record = action.record
        is_next = report.attempt_no > record.attempt_no
        if not is_next and (report.attempt_no < record.attempt_no or not action.is_open):
            # Who told that before may have given up waiting for the answer.
            await self._commits.caught_up()
            return
        if is_next and action.is_open:
            lost = Failure("AttemptLost", "system", "nothing was told of how it ended.")
            next_attempt(action, error_column(lost), report.at_us, self._commits)
        elif is_next:
            record.error = record.started_us = record.ended_us = None
            record.phase = RUNNING
            self._counted(action)
        record.attempt_no = report.attempt_no
        await self._record(action, report)

    async def end(self, action: OpenAction, report: ChildReport) -> None:
        """It has ended so."""
        if report.outputs_uri:
            # Of a trace it is the file.
            action.output_uri = report.outputs_uri.removesuffix("/outputs.pb" if action.is_task else "")
        if report.phase in DONE:
            await asyncio.shield(self._endings.succeed(action, None))
        elif report.phase == ABORTED:
            await asyncio.shield(self._endings.abort(action, report.error, ""))
        else:
            failure = Failure(report.code or "Unknown", "user", report.error)
            await asyncio.shield(self._endings.fail(action, ActionPhase.from_protobuf(report.phase), failure))

    async def _record(self, action: OpenAction, report: ChildReport) -> None:
        record = action.record
        if record.started_us is None:
            record.started_us = report.at_us
        if report.phase in TERMINAL:
            await self.end(action, report)
            return
        record.phase = report.phase
        await asyncio.shield(self._commits.record(action, served=True))
