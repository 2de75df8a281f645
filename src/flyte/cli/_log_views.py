"""`flyte get logs`: what attempts printed, also while they go on."""

from __future__ import annotations

import heapq
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path

from flyte._controller.log_files import LogLine, LogReader, logged_actions, logged_attempts
from flyte._controller.output import WRITE_EVERY_S
from flyte._store.reader import StoreReader
from flyte._store.records import ActionKind, StoredRun
from flyte.cli._documents import print_document
from flyte.cli._errors import CommandError
from flyte.cli._invocation import OutputFormat
from flyte.cli._plane import is_configured, refuse_place
from flyte.cli._plane_logs import LogQuery, follow_plane_logs, show_plane_logs
from flyte.cli._recorded import open_run
from flyte.cli._terminal import note, paint
from flyte.errors import RunNotFoundError

_POLL_S = 0.2
_SHORT_NAME_CHARACTERS = 6


def show_logs(query: LogQuery, output: OutputFormat) -> None:
    """The lines of a run, or of one attempt, by the time they were printed."""
    if is_configured():
        show_plane_logs(query, output)
        return
    refuse_place()
    with open_run(query.run_name) as (store, run):
        logs = _Logs(store, run, query)
        lines = logs.new_lines()
        if query.line_count is not None:
            lines = heapq.nlargest(query.line_count, lines)[::-1]
        if output.is_document:
            print_document([_document(line) for line in lines], output)
        elif lines:
            logs.print(lines)
        else:
            note(logs.nothing())


def follow_logs(query: LogQuery) -> None:
    """As `show_logs`, and then every line as it is printed, until what is followed is over."""
    if is_configured():
        follow_plane_logs(query)
        return
    refuse_place()
    with open_run(query.run_name) as (store, run):
        logs = _Logs(store, run, query)
        is_over, is_first = False, True
        while not is_over:
            began = time.monotonic()
            # Looked at before the lines are read: what came before the end is in the files when the end is recorded.
            is_over = logs.are_complete()
            lines = logs.new_lines()
            if is_first and query.line_count is not None:
                lines = heapq.nlargest(query.line_count, lines)[::-1]
            is_first = False
            logs.print(lines)
            if not is_over:
                # A run of very many actions takes its time to look through; half of it is left to the run.
                time.sleep(max(_POLL_S, time.monotonic() - began))
        if run.mode != "local" and store.load_run(run.name).is_interrupted:
            note(f"The control plane of run {run.name} does not run: it goes on when that is started (`flyte start`).")


class _Logs:
    """The logs that a query is about, and how far they were read."""

    def __init__(self, store: StoreReader, run: StoredRun, query: LogQuery) -> None:
        self._store = store
        self._run = run
        self._query = query
        self._readers: dict[tuple[str, int], LogReader] = {}
        self._titles: dict[str, str] = {}
        if query.action_name is not None:
            self._check_attempt(query.action_name)

    def new_lines(self) -> list[LogLine]:
        """The lines that were not read yet."""
        for key in self._wanted():
            if key not in self._readers:
                self._readers[key] = LogReader(self._home, self._run.name, *key)
        return sorted(chain.from_iterable(reader.new_lines() for reader in self._readers.values()))

    def print(self, lines: Iterable[LogLine]) -> None:
        """Each with its time where that is wanted, and with the name of its action where there may be several."""
        for line in lines:
            head = f"{line.time} " if self._query.shows_time else ""
            if self._query.action_name is None:
                head += f"[{self._title(line.action_name)}] "
            print(f"{paint(head, sys.stdout, dim=True)}{line.text}")
        sys.stdout.flush()

    def are_complete(self) -> bool:
        """Whether nothing more can come."""
        run = self._store.load_run(self._run.name)
        if run.phase.is_terminal or run.is_interrupted:
            return True
        if self._query.action_name is None:
            return False
        action = self._store.load_action(run, self._query.action_name)
        if self._query.attempt_no is not None and action.attempt_no > self._query.attempt_no:
            ended_at = self._store.list_attempts(action)[self._query.attempt_no - 1].ended_at
        else:
            ended_at = action.ended_at
        return ended_at is not None and (datetime.now(ended_at.tzinfo) - ended_at).total_seconds() > 2 * WRITE_EVERY_S

    def nothing(self) -> str:
        """That there are no lines, and of what."""
        query = self._query
        if query.action_name is None:
            return f"The tasks of run {query.run_name} have printed nothing."
        action = self._store.load_action(self._run, query.action_name)
        if action.kind is ActionKind.TRACE:
            return f"Action {action.name} is a trace: what it prints is in the log of the task that calls it."
        others = logged_attempts(self._home, query.run_name, query.action_name)
        hint = f" Attempts that did: {', '.join(map(str, others))}." if others else ""
        attempt = f"attempt {query.attempt_no} of " if query.attempt_no is not None else "the last attempt of "
        return f"There is nothing that {attempt}action {query.action_name} has printed.{hint}"

    @property
    def _home(self) -> Path:
        return self._store.home

    def _title(self, action_name: str) -> str:
        if action_name not in self._titles:
            short_name = action_name[:_SHORT_NAME_CHARACTERS]
            try:
                task_name = self._store.load_action(self._run, action_name).task_name
            except RunNotFoundError:
                # It has printed before its first record was written.
                return short_name
            self._titles[action_name] = f"{task_name.rpartition('.')[2]} {short_name}"
        return self._titles[action_name]

    def _wanted(self) -> Iterator[tuple[str, int]]:
        query = self._query
        if query.action_name is None:
            wanted = logged_actions(self._home, query.run_name)
            yield from (key for key in wanted if query.attempt_no in (None, key[1]))
            return
        attempt_no = query.attempt_no
        if attempt_no is None:
            attempt_no = self._store.load_action(self._run, query.action_name).attempt_no
        yield query.action_name, attempt_no

    def _check_attempt(self, action_name: str) -> None:
        last = self._store.load_action(self._run, action_name).attempt_no
        wanted = self._query.attempt_no
        if wanted is not None and wanted > last:
            raise CommandError(
                f"action {action_name} of run {self._run.name} has no attempt {wanted}: its last one is {last}."
            )


def _document(line: LogLine) -> dict[str, object]:
    return {"time": line.time, "action": line.action_name, "attempt": line.attempt_no, "line": line.text}
