"""Results kept for later calls with equal inputs, in any run of any process, and what each call was told."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from flyte._faults import reach
from flyte._store.bulk import in_bulk
from flyte._store.database import DATABASE_FILE, connect, store_errors
from flyte._store.owners import is_alive
from flyte._store.records import Owner
from flyte._store.statements import statement
from flyte._store.writer import Change

_DELETED_AT_ONCE = 1_000
"""Entries that one transaction deletes, so that no run waits long for its turn."""


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A kept result.

    Attributes:
        interface: Hash of the task's inputs and outputs as types.
        input_hashes: JSON object of the hash of each input that counts.
        run_name: The run that computed it.
        action_name: Its action there.
    """

    cache_key: str
    task_name: str
    version: str
    interface: str
    input_hashes: str
    created_us: int
    run_name: str
    action_name: str
    outputs: bytes | None
    outputs_file: str | None

    def row(self) -> tuple[object, ...]:
        """The columns of `put_cache_entry`, in its order."""
        return (
            *(self.cache_key, self.task_name, self.version, self.interface, self.input_hashes),
            *(self.created_us, self.run_name, self.action_name, self.outputs, self.outputs_file),
        )


class KeptOutputs(NamedTuple):
    """What a lookup finds; the columns of `cache_entry`."""

    outputs: bytes | None
    outputs_file: str | None
    created_us: int
    run_name: str
    action_name: str


class Answer(IntEnum):
    """What a call was told by the cache."""

    HIT = 0
    ABSENT = 1
    TOO_OLD = 2
    """There was a result, older than the task's `max_age`."""
    LOST = 3
    """There was a result, and the file that held it is gone."""
    NOT_ASKED = 4
    """The call computes whatever is kept."""


class CacheLookup(NamedTuple):
    """What a cached action asked for and was told, as the columns of `put_cache_lookup`; names as of `CacheEntry`.

    Attributes:
        input_hashes: None for a hit.
        found_us: When the entry that was used or refused was made; None where there was none.
    """

    action_id: int
    cache_key: str
    version: str
    interface: str
    input_hashes: str | None
    answer: Answer
    found_us: int | None = None
    found_run: str | None = None
    found_action: str | None = None

    def hash_of_input(self) -> dict[str, str]:
        """The hash of each input that counts, by its name."""
        hashes: dict[str, str] = json.loads(self.input_hashes or "{}")
        return hashes


@dataclass(frozen=True, slots=True)
class ListedEntry:
    """A kept result as it is listed, without the result; `input_hashes` by the name of the input."""

    cache_key: str
    task_name: str
    version: str
    interface: str
    input_hashes: dict[str, str]
    created_us: int
    run_name: str
    action_name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which kept results are meant; None means any."""

    task_name: str | None = None
    before_us: int | None = None

    def parameters(self, limit: int) -> dict[str, object]:
        """For the statements that select entries; `limit` -1 takes all."""
        return {"task_name": self.task_name, "before_us": self.before_us, "limit": limit}


class CacheReader:
    """Looks up kept results; in one thread at a time.

    A lookup takes some five microseconds, and half of that between `open_snapshot` and `close_snapshot`.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._path = home / DATABASE_FILE
        self._connection = connect(self._path, read_only=True)
        self._find = statement("cache_entry")
        self.has_snapshot = False

    def __enter__(self) -> CacheReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open_snapshot(self) -> None:
        """Until `close_snapshot`, lookups see what is committed now."""
        with store_errors(self._path):
            self._connection.execute("BEGIN")
        self.has_snapshot = True

    def close_snapshot(self) -> None:
        """Lookups see what is committed by then. Safe to call twice, and after `close`."""
        if self.has_snapshot:
            self.has_snapshot = False
            with store_errors(self._path):
                self._connection.execute("COMMIT")

    def find(self, cache_key: str) -> KeptOutputs | None:
        """The result kept under a key."""
        try:
            row = self._connection.execute(self._find, (cache_key,)).fetchone()
        except sqlite3.Error:
            # Not around the lookup, where it would take a sixth of its time.
            with store_errors(self._path):
                raise
        return None if row is None else KeptOutputs(*row)

    def abandoned_by(self, cache_key: str) -> int | None:
        """The `run_id` that has reserved a key although the process of that run is gone."""
        with store_errors(self._path):
            row = self._connection.execute(statement("cache_key_holder"), (cache_key,)).fetchone()
        if row is None:
            return None
        run_id, *owner, lease_until_us = row
        return None if is_alive(Owner(*owner), lease_until_us) else int(run_id)

    def list_entries(self, wanted: EntryFilter, limit: int) -> list[ListedEntry]:
        """The entries that match, newest first."""
        with store_errors(self._path):
            rows = self._connection.execute(statement("list_cache_entries"), wanted.parameters(limit)).fetchall()
        return [self._listed(row) for row in rows]

    def count_entries(self, wanted: EntryFilter) -> dict[str, int]:
        """How many entries of each task match."""
        with store_errors(self._path):
            rows = self._connection.execute(statement("count_cache_entries"), wanted.parameters(-1)).fetchall()
        return {row["task_name"]: row["count"] for row in rows}

    def load_lookup(self, action_id: int) -> CacheLookup | None:
        """What an action asked for and was told; None for one that is not cached, or was over before it asked."""
        with store_errors(self._path):
            row = self._connection.execute(statement("cache_lookup"), (action_id,)).fetchone()
        if row is None:
            return None
        return CacheLookup(*row)._replace(answer=Answer(row["answer"]))

    def version_source(self, task_name: str, version: str) -> dict[str, object]:
        """What a version of a task was made from; empty where that is not recorded."""
        with store_errors(self._path):
            row = self._connection.execute(statement("cache_version"), (task_name, version)).fetchone()
        return {} if row is None else json.loads(row["made_from"])

    def close(self) -> None:
        """The connection is closed."""
        self.close_snapshot()
        self._connection.close()

    def _listed(self, row: sqlite3.Row) -> ListedEntry:
        file = row["outputs_file"]
        try:
            size_bytes = (self._home / file).stat().st_size if file else row["inline_bytes"] or 0
        except OSError:
            size_bytes = 0
        return ListedEntry(
            cache_key=row["cache_key"],
            task_name=row["task_name"],
            version=row["version"],
            interface=row["interface"],
            input_hashes=json.loads(row["input_hashes"]),
            created_us=row["created_us"],
            run_name=row["run_name"],
            action_name=row["action_name"],
            size_bytes=size_bytes,
        )


def put_cache_entries(entries: Sequence[CacheEntry]) -> Change:
    """A change that keeps results; a newer one under the same key takes the place of the older."""

    def change(connection: sqlite3.Connection) -> None:
        reach("cache.keep")
        for sql, parameters, _ in in_bulk("put_cache_entry", [entry.row() for entry in entries]):
            connection.execute(sql, parameters)

    return change


def put_cache_lookups(lookups: Sequence[CacheLookup]) -> Change:
    """A change that notes what actions were told; of one that asks again, the last."""

    def change(connection: sqlite3.Connection) -> None:
        for sql, parameters, _ in in_bulk("put_cache_lookup", lookups):
            connection.execute(sql, parameters)

    return change


def put_cache_version(task_name: str, version: str, made_from: str) -> Change:
    """A change that notes what a version of a task was made from."""

    def change(connection: sqlite3.Connection) -> None:
        connection.execute(statement("put_cache_version"), (task_name, version, made_from))

    return change


def delete_entries(wanted: EntryFilter) -> Change:
    """A change that deletes some of the entries that match; its result is how many. Repeat it until that is 0."""

    def change(connection: sqlite3.Connection) -> int:
        return connection.execute(statement("delete_cache_entries"), wanted.parameters(_DELETED_AT_ONCE)).rowcount

    return change


def reserve(cache_key: str, run_id: int, now_us: int) -> Change:
    """A change that reserves a key for a run; its result tells whether that was granted.

    It is refused while another run has the key that is not over and whose owner has renewed its lease.
    """
    parameters = {"cache_key": cache_key, "run_id": run_id, "now_us": now_us}

    def change(connection: sqlite3.Connection) -> bool:
        return connection.execute(statement("reserve_cache_key"), parameters).rowcount == 1

    return change


def release(cache_key: str, run_id: int) -> Change:
    """A change that gives a reservation back."""

    def change(connection: sqlite3.Connection) -> None:
        connection.execute(statement("release_cache_key"), (cache_key, run_id))

    return change
