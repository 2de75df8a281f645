"""Results kept for later calls with equal inputs, in any run of any process."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flyte._store.database import DATABASE_FILE, connect, store_errors
from flyte._store.statements import statement
from flyte._store.writer import Change


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


@dataclass(frozen=True, slots=True)
class KeptOutputs:
    """What a lookup finds."""

    outputs: bytes | None
    outputs_file: str | None
    created_us: int
    run_name: str
    action_name: str


class CacheReader:
    """Looks up kept results; in one thread at a time. A lookup takes some ten microseconds."""

    def __init__(self, home: Path) -> None:
        self._path = home / DATABASE_FILE
        self._connection = connect(self._path, read_only=True)

    def find(self, cache_key: str) -> KeptOutputs | None:
        """The result kept under a key."""
        with store_errors(self._path):
            row = self._connection.execute(statement("cache_entry"), (cache_key,)).fetchone()
        return None if row is None else KeptOutputs(*row)

    def close(self) -> None:
        """The connection is closed."""
        self._connection.close()


def put_cache_entries(entries: Sequence[CacheEntry]) -> Change:
    """A change that keeps results; a newer one under the same key takes the place of the older."""

    def change(connection: sqlite3.Connection) -> None:
        connection.executemany(statement("put_cache_entry"), [entry.row() for entry in entries])

    return change


def reserve(cache_key: str, holder: str, now_us: int, lease_until_us: int) -> Change:
    """A change that reserves a key for `holder`; its result tells whether that was granted.

    A reservation whose lease has passed goes to whoever asks next.
    """
    parameters = {"cache_key": cache_key, "holder": holder, "now_us": now_us, "lease_until_us": lease_until_us}

    def change(connection: sqlite3.Connection) -> bool:
        return connection.execute(statement("reserve_cache_key"), parameters).rowcount == 1

    return change


def release(cache_key: str, holder: str) -> Change:
    """A change that gives a reservation back."""

    def change(connection: sqlite3.Connection) -> None:
        connection.execute(statement("release_cache_key"), (cache_key, holder))

    return change
