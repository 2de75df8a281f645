"""Deleting runs: out of sight at once, then their actions and files bit by bit, so that no writer waits for long.

A deletion that was cut short at any point is finished by the next one: until its last step `deleted_run` has the run.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flyte._store.data_holders import RAW_FOLDER, ReadPayloads, entries_of, held_entries
from flyte._store.database import DATABASE_FILE, connect, store_errors
from flyte._store.payloads import share
from flyte._store.records import StoredRun
from flyte._store.statements import statement
from flyte._store.writer import Change, Writer
from flyte.errors import StoreError

CACHE_FOLDER = "cache"
"""Where cached outputs go that were in a file of a run that is deleted; relative to the home folder."""

_ACTIONS_AT_ONCE = 2_000
_PAGES_AT_ONCE = 2_000
_OF_ACTIONS = (
    "delete_actions",
    "delete_attempts",
    "delete_cache_lookups",
    "delete_conditions",
    "delete_served_actions",
)
_OF_A_RUN = ("delete_run_tasks", "forget_abort_requests", "release_cache_keys_of_run", "delete_served_run")


@dataclass(frozen=True, slots=True)
class Grave:
    """A run whose deletion is not finished."""

    run_id: int
    run_folder: str
    """Relative to the home folder."""

    @property
    def folder(self) -> str:
        """Where its files wait to be deleted; relative to the home folder."""
        return str(Path(self.run_folder).parent / f".deleted-{self.run_id}")


def bury(seen: StoredRun, run_folder: str) -> Change:
    """A change that takes a run out of sight; its result tells whether it still was as `seen`."""
    parameters = {
        "run_id": seen.run_id,
        "seen_phase": seen.phase.to_protobuf_value(),
        "seen_boot_id": seen.owner.boot_id,
        "seen_pid": seen.owner.pid,
        "seen_started_us": seen.owner.started_us,
    }

    def change(connection: sqlite3.Connection) -> bool:
        if connection.execute(statement("delete_run"), parameters).rowcount != 1:
            return False
        for name in _OF_A_RUN:
            connection.execute(statement(name), (seen.run_id,))
        connection.execute(statement("note_deleted_run"), (seen.run_id, seen.name, run_folder))
        return True

    return change


def unfinished(home: Path) -> list[Grave]:
    """The runs whose deletion is not finished."""
    path = home / DATABASE_FILE
    connection = connect(path, read_only=True)
    with store_errors(path):
        try:
            return [Grave(*row) for row in connection.execute(statement("deleted_runs"))]
        finally:
            connection.close()


def finish(writer: Writer, grave: Grave, payloads: ReadPayloads) -> int:
    """What is left of a buried run is deleted; how many actions that were. Two processes may do this at once."""
    if entries_of(writer.home, grave.run_folder):
        _read_beforehand(writer.home, payloads)
    writer.write(_set_files_aside(writer.home, grave, payloads))
    actions = 0
    while deleted := writer.write(_delete_actions(grave.run_id)):
        actions += deleted
    shutil.rmtree(writer.home / grave.folder, ignore_errors=True)

    def forget(connection: sqlite3.Connection) -> None:
        connection.execute(statement("forget_deleted_run"), (grave.run_id,))

    writer.write(forget)
    return actions


def _delete_actions(run_id: int) -> Change:
    """A change that deletes some actions of a run and what belongs to them; its result is how many."""

    def change(connection: sqlite3.Connection) -> int:
        bounds = {"run_id": run_id, "limit": _ACTIONS_AT_ONCE}
        count, last = connection.execute(statement("next_actions_to_delete"), bounds).fetchone()
        if count:
            for name in _OF_ACTIONS:
                connection.execute(statement(name), {"run_id": run_id, "last": last})
        return int(count)

    return change


def _read_beforehand(home: Path, payloads: ReadPayloads) -> None:
    path = home / DATABASE_FILE
    connection = connect(path, read_only=True)
    with store_errors(path):
        try:
            payloads.read(connection)
        finally:
            connection.close()


def _set_files_aside(home: Path, grave: Grave, payloads: ReadPayloads) -> Change:
    """A change after which the run's folder is free for another run of its name, and the cache needs nothing in it.

    Files are moved while nobody else can write to the store, so none of them is the file of a new run.
    """

    def change(connection: sqlite3.Connection) -> None:
        folder = home / grave.run_folder
        if not folder.exists() or connection.execute(statement("is_name_taken"), (grave.run_id,)).fetchone():
            return
        _keep_cached_payloads(connection, home, grave)
        held = held_entries(connection, home, grave.run_folder, {grave.run_id}, payloads)
        if held:
            connection.execute(statement("note_kept_data"), (folder.name, grave.run_folder))
        _move_all_but(held, folder, home / grave.folder)

    return change


def _keep_cached_payloads(connection: sqlite3.Connection, home: Path, grave: Grave) -> None:
    """Cached outputs in files of the run get files of their own."""
    bounds = {"folder": f"{grave.run_folder}/", "run_name": Path(grave.run_folder).name}
    for cache_key, _, file in connection.execute(statement("cache_entries_of_run"), bounds).fetchall():
        with suppress(StoreError):
            # An entry whose file is lost already is a miss, and none of ours.
            if file is not None and file.startswith(bounds["folder"]):
                kept = share(home, file, f"{CACHE_FOLDER}/{grave.run_id}-{Path(file).parent.name}.pb")
                connection.execute(statement("move_cache_file"), (kept, cache_key))


def _move_all_but(held: set[str], folder: Path, target: Path) -> None:
    """Everything in a run's folder is in `target`, but for the data that somebody holds, which never moves.

    `target` may have what an earlier deletion moved before it was cut short.
    """
    if not held and not target.exists():
        folder.rename(target)
        return
    raw = folder / RAW_FOLDER
    for source, into in ((raw, target / RAW_FOLDER), (folder, target)):
        into.mkdir(parents=True, exist_ok=True)
        for path in list(source.iterdir()) if source.exists() else ():
            if path != raw and not (source == raw and path.name in held):
                path.rename(into / path.name)
    if not held:
        shutil.rmtree(folder)


def delete_unheld_data(home: Path, payloads: ReadPayloads | None = None) -> Change:
    """A change after which no deleted run has data that nobody holds; its result is how many entries went.

    Args:
        home: Of the store.
        payloads: Those that need not be read again.
    """

    def change(connection: sqlite3.Connection) -> int:
        count = 0
        for run_name, folder, is_taken in connection.execute(statement("kept_data")).fetchall():
            held: set[str] = set()
            if not is_taken:
                held = held_entries(connection, home, folder, beforehand=payloads)
                for entry in entries_of(home, folder) - held:
                    _remove(home / folder / RAW_FOLDER / entry)
                    count += 1
            if not held:
                # A new run of that name looks after the folder from now on.
                connection.execute(statement("forget_kept_data"), (run_name,))
                if not is_taken:
                    shutil.rmtree(home / folder, ignore_errors=True)
        return count

    return change


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def delete_unused_cache_files(home: Path) -> Change:
    """A change after which the cache's own folder holds only files that an entry points to."""

    def change(connection: sqlite3.Connection) -> None:
        used = {row[0] for row in connection.execute(statement("cache_files"))}
        for path in (home / CACHE_FOLDER).glob("*"):
            if f"{CACHE_FOLDER}/{path.name}" not in used:
                path.unlink(missing_ok=True)

    return change


def give_space_back(writer: Writer) -> int:
    """The database file is as small as what is in it; how many bytes that gave back.

    It shrinks at the next checkpoint: at once, unless another process is reading.
    """
    pages = 0
    while given := writer.write(_give_pages_back):
        pages += given
    path = writer.home / DATABASE_FILE
    connection = connect(path)
    with store_errors(path):
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        finally:
            connection.close()
    return pages * int(page_bytes)


def _give_pages_back(connection: sqlite3.Connection) -> int:
    (before,) = connection.execute("PRAGMA freelist_count").fetchone()
    connection.execute(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})").fetchall()
    (after,) = connection.execute("PRAGMA freelist_count").fetchone()
    return int(before - after)
