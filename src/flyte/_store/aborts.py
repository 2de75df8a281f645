"""Asking the owner of a run to end it, or one of its actions; and hearing of that as the owner."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass

from flyte._store.database import DATABASE_FILE, connect
from flyte._store.records import ErrorRecord, Owner, StoredRun
from flyte._store.statements import statement
from flyte._store.writer import Change, Writer, abort_run, claim_run
from flyte.errors import ActionAbortedError, StoreError

POLL_EVERY_S = 0.5

Heard = Callable[["AbortRequest"], None]


@dataclass(frozen=True, slots=True)
class AbortRequest:
    """What is asked; the root action stands for the whole run."""

    run_id: int
    action_name: str
    reason: str


def aborted_error(error: ActionAbortedError) -> str:
    """The error column of an action that was aborted for a reason."""
    return ErrorRecord(error.code, "user", str(error), error.worker).to_json()


def ask_to_abort(request: AbortRequest) -> Change:
    """A change that leaves a request for the owner; its result tells whether the run still goes on."""
    parameters = {"run_id": request.run_id, "action_name": request.action_name, "reason": request.reason}

    def change(connection: sqlite3.Connection) -> bool:
        return connection.execute(statement("ask_to_abort"), parameters).rowcount == 1

    return change


def abort_ownerless(seen: StoredRun, by: Owner, now_us: int, error: str) -> Change:
    """A change that records a run whose owner is gone as aborted; its result tells whether it still was as `seen`."""
    claim, abort = claim_run(seen, by, now_us), abort_run(seen.run_id, now_us, error)

    def change(connection: sqlite3.Connection) -> bool:
        return bool(claim(connection)) and bool(abort(connection))

    return change


def forget_abort_request(request: AbortRequest) -> Change:
    """A change by which a request has been heard."""

    def change(connection: sqlite3.Connection) -> None:
        connection.execute(statement("forget_abort_request"), (request.run_id, request.action_name))

    return change


class AbortWatch:
    """Looks twice a second whether others ask to abort the runs it was given. Its thread lives while there are any."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._changed = threading.Condition()
        self._listeners: dict[int, Heard] = {}
        self._thread: threading.Thread | None = None

    def listen(self, run_id: int, heard: Heard) -> None:
        """`heard` is called, on the watch's thread, with each request that concerns the run, until `let_go`."""
        with self._changed:
            self._listeners[run_id] = heard
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="flyte-abort-watch", daemon=True)
                self._thread.start()

    def let_go(self, run_id: int) -> None:
        """Nobody listens for the run any more."""
        with self._changed:
            self._listeners.pop(run_id, None)
            self._changed.notify_all()

    def _watch(self) -> None:
        connection: sqlite3.Connection | None = None
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: not self._listeners, POLL_EVERY_S)
                    if not self._listeners:
                        self._thread = None
                        return
                    listeners = dict(self._listeners)
                try:
                    # Most runs are over before they get here.
                    connection = connection or connect(self._writer.home / DATABASE_FILE, read_only=True)
                    run_ids = json.dumps(list(listeners))
                    requests = connection.execute(statement("abort_requests"), (run_ids,)).fetchall()
                except (sqlite3.Error, StoreError):
                    # Whatever it is, the run's own writes tell; a watch that failed looks again.
                    continue
                for request in (AbortRequest(*row) for row in requests):
                    listeners[request.run_id](request)
                    self._writer.submit(forget_abort_request(request), _ignore)
        finally:
            if connection is not None:
                connection.close()


def _ignore(result: object, error: StoreError | None) -> None:
    """A request that could not be forgotten is heard again, of an action that is already ending."""
