"""The one thread that writes to a database, and its group commit.

Everything that waits goes into one transaction, and the callers are told after it is committed. SQLite lets go of the
interpreter lock for as long as a statement runs, so many rows go into one statement: the loop that makes the actions
and the thread that records them then really run side by side.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from flyte._faults import reach
from flyte._store.bulk import in_bulk
from flyte._store.database import DATABASE_FILE, connect, store_errors
from flyte._store.records import NewRun, Owner, StoredRun
from flyte._store.statements import statement
from flyte.errors import StoreError
from flyte.models import ActionPhase

ActionRow = tuple[Any, ...]
Change = Callable[[sqlite3.Connection], Any]
Done = Callable[[Any, StoreError | None], None]


@dataclass(frozen=True, slots=True)
class _Write:
    change: Change
    done: Done


class Writer:
    """Commits changes to one database, in the order they were submitted. Safe to call from any thread."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._path = home / DATABASE_FILE
        self._connection = connect(self._path)
        self._queue: SimpleQueue[_Write | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write_until_closed, name="flyte-store-writer", daemon=True)
        self._thread.start()

    def submit(self, change: Change, done: Done) -> None:
        """`done(result, error)` is called on the writer's thread once `change` is committed, or could not be."""
        self._queue.put(_Write(change, done))

    def write(self, change: Change) -> Any:
        """Commit `change` and return its result, blocking this thread.

        Raises:
            StoreError: the change could not be committed; nothing of it was.
        """
        finished = threading.Event()
        outcome: list[Any] = []

        def done(result: Any, error: StoreError | None) -> None:
            outcome.extend((result, error))
            finished.set()

        self.submit(change, done)
        finished.wait()
        result, error = outcome
        if error is not None:
            raise error
        return result

    def close(self) -> None:
        """What was submitted is committed, the thread has ended, the database is closed."""
        self._queue.put(None)
        self._thread.join()

    def _write_until_closed(self) -> None:
        is_open = True
        while is_open:
            batch = []
            write = self._queue.get()
            try:
                while write is not None:
                    batch.append(write)
                    write = self._queue.get_nowait()
                is_open = False
            except Empty:
                pass
            if batch:
                self._commit(batch)
        self._connection.close()

    def _commit(self, batch: Sequence[_Write]) -> None:
        try:
            results = self._transact(batch)
        except Exception as error:
            # Whatever it is: an error that ended this thread would leave every caller waiting for good.
            if len(batch) == 1:
                batch[0].done(None, error if isinstance(error, StoreError) else self._unexpected(error))
                return
            # One bad change must not take the others with it.
            for write in batch:
                self._commit([write])
            return
        for write, result in zip(batch, results, strict=True):
            write.done(result, None)

    def _transact(self, batch: Sequence[_Write]) -> list[Any]:
        connection = self._connection
        with store_errors(self._path):
            reach("writer.before_begin")
            connection.execute("BEGIN IMMEDIATE")
            try:
                results = [write.change(connection) for write in batch]
                reach("writer.before_commit")
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        reach("writer.committed")
        return results

    def _unexpected(self, error: Exception) -> StoreError:
        return StoreError(f"store {self._path}: the change could not be made: {type(error).__name__}: {error}")


def in_order(*changes: Change) -> Change:
    """A change that makes all of them, or none; its result is that of the last."""

    def change(connection: sqlite3.Connection) -> Any:
        return [each(connection) for each in changes][-1]

    return change


def insert_run(run: NewRun, make_root: Callable[[int], ActionRow] | None = None) -> Change:
    """A change that adds a run; its result is the new `run_id`, or None where a run of that name exists.

    `make_root` gives the row of the root action from the `run_id`: a run that is there can be resumed.
    """

    def change(connection: sqlite3.Connection) -> int | None:
        cursor = connection.execute(statement("insert_run"), run.row())
        if cursor.rowcount != 1 or cursor.lastrowid is None:
            return None
        if make_root is not None:
            record_actions([make_root(cursor.lastrowid)])(connection)
        return cursor.lastrowid

    return change


def claim_run(seen: StoredRun, owner: Owner, lease_until_us: int) -> Change:
    """A change that makes `owner` the owner of a run; its result tells whether the run still was as `seen`."""
    parameters = {
        "host": owner.host,
        "boot_id": owner.boot_id,
        "pid": owner.pid,
        "started_us": owner.started_us,
        "lease_until_us": lease_until_us,
        "run_id": seen.run_id,
        "seen_phase": seen.phase.to_protobuf_value(),
        "seen_boot_id": seen.owner.boot_id,
        "seen_pid": seen.owner.pid,
        "seen_started_us": seen.owner.started_us,
        "seen_lease_until_us": seen.lease_until_us,
    }

    def change(connection: sqlite3.Connection) -> bool:
        if connection.execute(statement("claim_run"), parameters).rowcount != 1:
            return False
        # Whoever asked meant the owner before.
        connection.execute(statement("forget_abort_requests"), (seen.run_id,))
        connection.execute(statement("release_cache_keys_of_run"), (seen.run_id,))
        return True

    return change


def renew_leases(run_ids: Sequence[int], owner: Owner, lease_until_us: int) -> Change:
    """A change by which the runs count as owned until then; of those that another process owns nothing changes.

    With `LET_GO` the owner has let go of them.
    """
    key = (owner.boot_id, owner.pid, owner.started_us)

    def change(connection: sqlite3.Connection) -> None:
        connection.executemany(statement("renew_lease"), [(lease_until_us, run_id, *key) for run_id in run_ids])

    return change


def require_owner(run_id: int, owner: Owner) -> Change:
    """A change that changes nothing, and fails its transaction when the run belongs to another process."""

    def change(connection: sqlite3.Connection) -> None:
        key = (run_id, owner.boot_id, owner.pid, owner.started_us)
        if connection.execute(statement("is_owner"), key).fetchone() is None:
            raise StoreError("this process no longer owns the run: another one has resumed it. Nothing was recorded.")

    return change


def record_tasks(run_id: int, code_versions: Sequence[tuple[str, str]]) -> Change:
    """A change that notes the code version of tasks a run has called; of one noted before, the first one stays."""

    def change(connection: sqlite3.Connection) -> None:
        rows = [(run_id, name, version) for name, version in code_versions]
        connection.executemany(statement("record_task"), rows)

    return change


def end_run(run_id: int, phase: int, ended_us: int) -> Change:
    """A change that records a run's end; its result tells whether the run was still open."""

    def change(connection: sqlite3.Connection) -> bool:
        connection.execute(statement("release_cache_keys_of_run"), (run_id,))
        return connection.execute(statement("end_run"), (phase, ended_us, run_id)).rowcount == 1

    return change


def abort_run(run_id: int, ended_us: int, error: str | None = None) -> Change:
    """A change that records a run, and whatever of it is still open, as aborted; its result is as of `end_run`.

    `error` is the column of the actions that were open; without one, what they have stays.
    """
    parameters = {"run_id": run_id, "ended_us": ended_us, "error": error}

    def abort_open_actions(connection: sqlite3.Connection) -> None:
        connection.execute(statement("abort_open_actions"), parameters)

    return in_order(abort_open_actions, end_run(run_id, ActionPhase.ABORTED.to_protobuf_value(), ended_us))


def record_actions(rows: Sequence[ActionRow]) -> Change:
    """A change that writes actions; its result is the ids of those that had ended already, and stay as they were."""

    def change(connection: sqlite3.Connection) -> frozenset[int]:
        refused: frozenset[int] = frozenset()
        for sql, parameters, chunk in in_bulk("record_actions", rows):
            if connection.execute(sql, parameters).rowcount != len(chunk):
                refused |= _refused(connection, chunk)
        return refused

    return change


def _refused(connection: sqlite3.Connection, rows: Sequence[ActionRow]) -> frozenset[int]:
    query = "SELECT phase, attempt_no, started_us, ended_us FROM action WHERE action_id = ?"
    wanted = {row[0]: row[7:9] + row[10:12] for row in rows}
    return frozenset(
        key for key, state in wanted.items() if tuple(connection.execute(query, (key,)).fetchone()) != state
    )
