"""What the control plane keeps of the runs it serves, beside what every run has."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flyte._store.bulk import in_bulk
from flyte._store.records import NewRun
from flyte._store.statements import statement
from flyte._store.writer import ActionRow, Change, insert_run

SERVED = "remote"
"""The `mode` of a run that a control plane serves."""

EXTERNAL = "hybrid"
"""The `mode` of one whose root action runs elsewhere."""

ServedActionRow = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class ServedRun:
    """The columns of `served_run` but its key."""

    run_spec: bytes
    source: int
    created_by: str
    trigger_name: str | None
    base_dir: str
    raw_data_prefix: str
    abort_reason: str | None = None
    aborted_by: str | None = None


@dataclass(frozen=True, slots=True)
class ServedAction:
    """The columns of `served_action`."""

    action_id: int
    target: bytes
    spec_digest: bytes | None
    cache_key: str | None
    recovered_from: str | None
    output_uri: str
    called_in: int
    tries: int
    due_us: int | None
    abort_reason: str | None
    aborted_by: str | None
    signalled_by: str | None


def insert_served_run(
    run: NewRun,
    served: Callable[[int], ServedRun],
    root: Callable[[int], tuple[ActionRow, ServedActionRow]],
    spec: tuple[bytes, bytes] | None,
) -> Change:
    """A change that adds a run with its root action; its result is the `run_id`, or None where the name is taken.

    Args:
        run: What every run has.
        served: From its id, the rest.
        root: From its id, the rows of its root action.
        spec: Digest and bytes of the spec of the root's task.
    """

    def change(connection: sqlite3.Connection) -> int | None:
        made = [0]

        def make_root(run_id: int) -> ActionRow:
            made[0] = run_id
            return root(run_id)[0]

        run_id: int | None = insert_run(run, make_root)(connection)
        if run_id is None:
            return None
        row = served(run_id)
        connection.execute(
            statement("insert_served_run"), (run_id, *(getattr(row, name) for name in ServedRun.__slots__))
        )
        if spec is not None:
            put_spec(*spec)(connection)
        record_served_actions([root(run_id)[1]])(connection)
        return run_id

    return change


def put_spec(digest: bytes, spec: bytes) -> Change:
    """A change by which a task's spec is there."""

    def change(connection: sqlite3.Connection) -> None:
        connection.execute(statement("put_task_spec"), (digest, spec))

    return change


def record_served_actions(rows: Sequence[ServedActionRow]) -> Change:
    """A change that writes what only served actions have, as columns of `ServedAction`; the last word counts."""

    def change(connection: sqlite3.Connection) -> None:
        for sql, parameters, _ in in_bulk("record_served_actions", rows):
            connection.execute(sql, parameters)

    return change


def abort_served_run(run_id: int, reason: str, aborted_by: str) -> Change:
    """A change that notes why a run was aborted."""

    def change(connection: sqlite3.Connection) -> None:
        connection.execute(statement("abort_served_run"), (reason, aborted_by, run_id))

    return change


def load_served_run(connection: sqlite3.Connection, run_id: int) -> ServedRun | None:
    """What is kept of a run; None for one that is not served."""
    row = connection.execute(statement("served_run"), (run_id,)).fetchone()
    return None if row is None else ServedRun(*tuple(row)[1:])


def load_served_actions(connection: sqlite3.Connection, run_id: int) -> list[ServedAction]:
    """What is kept of the actions of a run."""
    rows = connection.execute(statement("served_actions"), {"run_id": run_id})
    return [ServedAction(*row) for row in rows]


def load_spec(connection: sqlite3.Connection, digest: bytes) -> bytes | None:
    """The spec with that digest."""
    row = connection.execute(statement("task_spec"), (digest,)).fetchone()
    return None if row is None else row[0]


def open_served_runs(connection: sqlite3.Connection) -> list[str]:
    """The names of the served runs that are not over, oldest first."""
    return [row[0] for row in connection.execute(statement("open_served_runs"))]
