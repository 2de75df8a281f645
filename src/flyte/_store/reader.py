"""Reading runs and actions back, from this process's runs and those of others."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from flyte._store.conditions import StoredCondition
from flyte._store.database import DATABASE_FILE, connect, store_errors
from flyte._store.owners import is_alive
from flyte._store.payloads import load_payload
from flyte._store.records import (
    SEQUENCE_BITS,
    ActionRecord,
    CacheStatus,
    Owner,
    StoredAction,
    StoredAttempt,
    StoredRun,
    to_datetime,
    to_microseconds,
)
from flyte._store.statements import statement
from flyte.errors import ConditionNotFoundError, RunNotFoundError
from flyte.models import ActionPhase

_ALL = -1
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs to list; None and empty mean any. `limit` -1 lists all."""

    phases: Sequence[ActionPhase] = ()
    task_name: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    labels: Mapping[str, str] | None = None
    label_keys: Sequence[str] = ()
    before_run_id: int | None = None
    limit: int = 100


class StoreReader:
    """A reading connection to the store of a home folder. Use it as a context manager, in one thread at a time."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._path = home / DATABASE_FILE
        self._connection = connect(self._path, read_only=True)

    def __enter__(self) -> StoreReader:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """The connection is closed."""
        self._connection.close()

    def list_runs(self, wanted: RunFilter | None = None) -> list[StoredRun]:
        """The runs that match, newest first."""
        wanted = wanted or RunFilter()
        parameters = {
            "before_run_id": wanted.before_run_id,
            "phases": _phases(wanted.phases),
            "task_name": wanted.task_name,
            "created_after_us": wanted.created_after and to_microseconds(wanted.created_after),
            "created_before_us": wanted.created_before and to_microseconds(wanted.created_before),
            "labels": json.dumps(dict(wanted.labels)) if wanted.labels else None,
            "label_keys": json.dumps(list(wanted.label_keys)) if wanted.label_keys else None,
            "limit": wanted.limit,
        }
        with self._errors():
            return [stored_run(row) for row in self._connection.execute(statement("list_runs"), parameters)]

    def load_run(self, name: str) -> StoredRun:
        """The run of that name.

        Raises:
            RunNotFoundError: there is none; near names are offered.
        """
        with self._errors():
            row = self._connection.execute(statement("run_by_name"), (name,)).fetchone()
        if row is None:
            raise RunNotFoundError(f"there is no run {name!r} in {self._path}.{self._near(name)}")
        return stored_run(row)

    def list_run_ages(self) -> list[tuple[int, str, int | None]]:
        """Of every run its id, its name and when it ended in microseconds, newest first."""
        with self._errors():
            return [tuple(row) for row in self._connection.execute(statement("run_ages"))]

    def find_run(self, run_id: int) -> StoredRun | None:
        """The run of that id."""
        with self._errors():
            row = self._connection.execute(statement("run_by_id"), (run_id,)).fetchone()
        return None if row is None else stored_run(row)

    def list_actions(
        self, run: StoredRun, phases: Sequence[ActionPhase] = (), after_action_id: int | None = None, limit: int = _ALL
    ) -> list[StoredAction]:
        """Actions of a run in the order they were made; the next page starts after the last one's `action_id`."""
        parameters = {
            "run_id": run.run_id,
            "after_action_id": run.run_id << SEQUENCE_BITS if after_action_id is None else after_action_id,
            "phases": _phases(phases),
            "limit": limit,
        }
        with self._errors():
            rows = self._connection.execute(statement("list_actions"), parameters)
            return [StoredAction.from_row(row) for row in rows]

    def load_action(self, run: StoredRun, name: str) -> StoredAction:
        """The action of that name in a run.

        Raises:
            RunNotFoundError: the run has no such action.
        """
        with self._errors():
            row = self._connection.execute(statement("action_by_name"), (run.run_id, name)).fetchone()
        if row is None:
            raise RunNotFoundError(
                f"run {run.name!r} has no action {name!r}: `flyte get action {run.name}` lists those it has."
            )
        return StoredAction.from_row(row)

    def list_attempts(self, action: StoredAction) -> list[StoredAttempt]:
        """The attempts at an action, the last one included, which is what the action itself says."""
        last = StoredAttempt(action.attempt_no, action.phase, action.started_at, action.ended_at, action.error)
        with self._errors():
            rows = self._connection.execute(statement("list_attempts"), (action.action_id,))
            return [*map(StoredAttempt.from_row, rows), last]

    def list_conditions(self, run: StoredRun) -> list[StoredCondition]:
        """The conditions of a run in the order they were asked first."""
        with self._errors():
            rows = self._connection.execute(statement("list_conditions"), {"run_id": run.run_id})
            return [StoredCondition.from_row(row) for row in rows]

    def load_condition(self, run: StoredRun, action_name: str) -> StoredCondition:
        """The condition that is the action of that name.

        Raises:
            ConditionNotFoundError: there is none; those that are there are named.
        """
        conditions = {each.action_name: each for each in self.list_conditions(run)}
        if action_name not in conditions:
            there = f"it has {', '.join(conditions)}" if conditions else "it has none"
            raise ConditionNotFoundError(f"run {run.name!r} has no condition {action_name!r}: {there}.")
        return conditions[action_name]

    def count_actions(self, run: StoredRun) -> dict[str, dict[ActionPhase, int]]:
        """How many actions of each task are in each phase, tasks in the order of their first action."""
        counts: dict[str, dict[ActionPhase, int]] = {}
        with self._errors():
            for row in self._connection.execute(statement("count_actions"), {"run_id": run.run_id}):
                counts.setdefault(row["task_name"], {})[ActionPhase.from_protobuf(row["phase"])] = row["count"]
        return counts

    def count_cache_statuses(self, run: StoredRun) -> dict[CacheStatus, int]:
        """How many actions of cached tasks were told what by the cache."""
        with self._errors():
            rows = self._connection.execute(statement("count_cache_statuses"), {"run_id": run.run_id})
            return {CacheStatus(status): count for status, count in rows}

    def load_records(self, run: StoredRun) -> list[ActionRecord]:
        """All actions of a run as its next owner needs them."""
        with self._errors():
            rows = self._connection.execute(statement("all_actions"), {"run_id": run.run_id})
            return [ActionRecord(*row) for row in rows]

    def code_versions(self, run: StoredRun) -> dict[str, str]:
        """The code version of each task as the run first called it, by task name."""
        with self._errors():
            return dict(map(tuple, self._connection.execute(statement("run_tasks"), (run.run_id,))))

    def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """What `question` reads from the store.

        Raises:
            StoreError: it could not be read.
        """
        with self._errors():
            return question(self._connection)

    def load_inputs(self, action: StoredAction) -> bytes | None:
        """The action's serialized `flyteidl2.task.Inputs`."""
        return load_payload(self.home, action.inputs, action.inputs_file)

    def load_outputs(self, action: StoredAction) -> bytes | None:
        """The action's serialized `flyteidl2.task.Outputs`; None until it succeeded."""
        return load_payload(self.home, action.outputs, action.outputs_file)

    def select(self, sql: str, parameters: Mapping[str, Any] | Sequence[Any] = ()) -> list[sqlite3.Row]:
        """The rows of a query.

        Raises:
            StoreError: it could not be asked.
        """
        with self._errors():
            return self._connection.execute(sql, parameters).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that the block reads is of one moment."""
        with self._errors():
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with store_errors(self._path):
            yield

    def _near(self, name: str) -> str:
        from difflib import get_close_matches

        near = get_close_matches(name, [run.name for run in self.list_runs(RunFilter(limit=1000))], n=3)
        return f" Did you mean {' or '.join(near)}?" if near else " `flyte get run` lists those there are."


def _phases(phases: Sequence[ActionPhase]) -> str | None:
    return json.dumps([phase.to_protobuf_value() for phase in phases]) if phases else None


def stored_run(row: sqlite3.Row) -> StoredRun:
    """The run in a row of the table."""
    phase = ActionPhase.from_protobuf(row["phase"])
    owner = Owner(row["owner_host"], row["owner_boot_id"], row["owner_pid"], row["owner_started_us"])
    return StoredRun(
        run_id=row["run_id"],
        name=row["name"],
        project=row["project"],
        domain=row["domain"],
        org=row["org"],
        task_name=row["task_name"],
        version=row["version"],
        mode=row["mode"],
        phase=phase,
        created_at=datetime.fromtimestamp(row["created_us"] / 1_000_000, UTC),
        ended_at=to_datetime(row["ended_us"]),
        labels=json.loads(row["labels"]),
        owner=owner,
        lease_until_us=row["lease_until_us"],
        source_file=row["source_file"],
        settings=json.loads(row["settings"]),
        is_interrupted=not phase.is_terminal and not is_alive(owner, row["lease_until_us"]),
    )
