"""Opening the SQLite file: pragmas, migrations, and the errors a person sees when it cannot be used."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path

from flyte.errors import StoreError, StoreVersionError

DATABASE_FILE = "store.db"
SYNCHRONOUS_VARIABLE = "FLYTE_STORE_SYNCHRONOUS"

_BUSY_TIMEOUT_MS = 60_000
_WAL_AUTOCHECKPOINT_PAGES = 4_000
_CACHE_KIB = 65_536


@cache
def migrations() -> tuple[str, ...]:
    """The SQL of each migration; the first brings an empty file to version 1."""
    folder = files(__package__).joinpath("migrations")
    numbered = sorted((entry.name, entry) for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return tuple(entry.read_text(encoding="utf-8") for _, entry in numbered)


def synchronous_mode() -> str:
    """`FULL`, or what `FLYTE_STORE_SYNCHRONOUS` says.

    With `NORMAL` a power cut may lose the last milliseconds of acknowledged records; the crash of a process never does.

    Raises:
        StoreError: the variable holds anything but `full` or `normal`.
    """
    mode = os.environ.get(SYNCHRONOUS_VARIABLE, "full").upper()
    if mode not in ("FULL", "NORMAL"):
        raise StoreError(f"{SYNCHRONOUS_VARIABLE} is {mode.lower()!r}: set it to 'full' or 'normal', or unset it.")
    return mode


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turns what SQLite and the file system raise into `StoreError` with the next step."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(_explain(error, path)) from error


def _explain(error: Exception, path: Path) -> str:
    text = str(error)
    if "full" in text or getattr(error, "errno", None) == 28:
        advice = "the disk is full: free some space and run again; what was recorded is intact."
    elif "locked" in text or "busy" in text:
        advice = f"another process held it for over {_BUSY_TIMEOUT_MS // 1000} s: end that process, or wait for it."
    elif "readonly" in text or "unable to open" in text or isinstance(error, PermissionError):
        advice = "make the folder writable, or point FLYTE_HOME at one that is."
    elif "not a database" in text or "malformed" in text:
        advice = "the file is damaged or is not ours: move it away, or point FLYTE_HOME elsewhere."
    else:
        advice = "check the folder FLYTE_HOME points at."
    return f"store {path}: {text}; {advice}"


HOME_MODE = 0o700
"""Of a home folder that is made: what runs got, gave and printed is for nobody else on the machine."""


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection to the store at `path`, created and migrated to this release's version where it is not yet.

    Raises:
        StoreVersionError: a newer release wrote the file.
        StoreError: the file cannot be opened, is damaged, or is no database.
    """
    with store_errors(path):
        path.parent.mkdir(mode=HOME_MODE, parents=True, exist_ok=True)
        connection = sqlite3.connect(
            path, timeout=_BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(connection, path)
            if read_only:
                connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
    connection.row_factory = sqlite3.Row
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    # Has a meaning for a file that is empty yet: what is deleted later can be given back.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    _enter_wal_mode(connection)
    connection.execute(f"PRAGMA synchronous = {synchronous_mode()}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_AUTOCHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    if _check_version(connection, path) < len(migrations()):
        _migrate(connection, path)


def _enter_wal_mode(connection: sqlite3.Connection) -> None:
    # Of several processes that open a fresh file at once, SQLite tells all but one that it is locked, without waiting.
    give_up_at = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)


def _check_version(connection: sqlite3.Connection, path: Path) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(migrations()):
        raise StoreVersionError(
            f"store {path} has version {version}, written by a newer release of flyte; this release reads up to "
            f"version {len(migrations())}. Upgrade flyte, or point FLYTE_HOME at another folder."
        )
    return version


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have migrated while this one waited for the lock.
        for sql in migrations()[_check_version(connection, path) :]:
            for command in _commands(sql):
                connection.execute(command)
        connection.execute(f"PRAGMA user_version = {len(migrations())}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _commands(sql: str) -> Iterator[str]:
    # `executescript` would commit our transaction, so the script is fed command by command.
    command = ""
    for line in sql.splitlines(keepends=True):
        command += line
        if sqlite3.complete_statement(command):
            yield command
            command = ""
