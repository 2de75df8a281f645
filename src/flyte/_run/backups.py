"""Backups of a home folder: one archive with the store as it was at one moment, and the files that it points to."""

from __future__ import annotations

import os
import sqlite3
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from flyte._atomic import placed_whole, sync_folder
from flyte._store.database import DATABASE_FILE, connect, store_errors
from flyte.errors import RuntimeUserError

_REBUILT = frozenset({"images", "retention.stamp", "server.json", "server.log"})
"""What a home has again by itself: environments are built, and a server that starts says that it does."""

_TEMPORARY = (".tmp", ".lock", "-wal", "-shm")
_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds.

    Attributes:
        runs: How many runs.
        files: How many files beside the store.
        size_bytes: Of the archive.
        left_out: Files that could not be read, or were deleted meanwhile; links are among them.
    """

    runs: int
    files: int
    size_bytes: int
    left_out: tuple[str, ...]


def back_up(home: Path, target: Path) -> Backup:
    """The archive is at `target`, whole, and only its owner can read it: secrets are in it.

    Runs and a server may go on meanwhile: a run that is open is in the archive as it was, and goes on from there when
    that is restored. What is recorded points to files that were complete before, so they are in it too.

    Raises:
        RuntimeUserError: code `NothingToBackUp`; code `BackupInTheWay`, there is a file at `target`.
        StoreError: the store cannot be read.
        OSError: the archive cannot be written.
    """
    if not (home / DATABASE_FILE).exists():
        raise RuntimeUserError("NothingToBackUp", f"there is no store in {home}: nothing was recorded yet.")
    if target.exists():
        raise RuntimeUserError("BackupInTheWay", f"{target} exists: choose another name, or delete it first.")
    left_out: list[str] = []
    files = 0
    with TemporaryDirectory(prefix="flyte-backup-") as scratch, placed_whole(target) as temporary:
        store = Path(scratch) / DATABASE_FILE
        runs = _copy_store(home / DATABASE_FILE, store)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
            archive.add(store, DATABASE_FILE)
            for path in _files(home, target.resolve()):
                name = str(path.relative_to(home))
                try:
                    if path.is_symlink() or not path.is_file():
                        left_out.append(name)
                        continue
                    archive.add(path, name, recursive=False)
                    files += 1
                except FileNotFoundError:
                    left_out.append(name)
            archive.close()
            file.flush()
            os.fsync(file.fileno())
    sync_folder(target.resolve().parent)
    return Backup(runs, files, target.stat().st_size, tuple(left_out))


def restore(source: Path, home: Path) -> Backup:
    """What is in the archive is in `home`, which was empty; nothing is there where that fails.

    Raises:
        RuntimeUserError: code `HomeInUse`, there is something in `home`; code `NotABackup`, the file is none, is
            damaged, or names files outside of it.
        StoreVersionError: a newer release has written the store.
        OSError: a file cannot be read or written.
    """
    if home.exists() and any(home.iterdir()):
        raise RuntimeUserError(
            "HomeInUse",
            f"{home} is not empty: point FLYTE_HOME at a folder that is, or move what is there away. A backup takes "
            "nothing's place.",
        )
    if home.exists():
        home.rmdir()
    with placed_whole(home) as temporary:
        temporary.mkdir(mode=0o700, parents=True)
        files = _unpack(source, temporary)
        connection = connect(temporary / DATABASE_FILE)
        runs = int(connection.execute("SELECT count(*) FROM run").fetchone()[0])
        connection.close()
    return Backup(runs, files, source.stat().st_size, ())


def _copy_store(source: Path, target: Path) -> int:
    """The store as it is at one moment; the number of its runs."""
    connection = connect(source, read_only=True)
    try:
        with store_errors(source):
            copy = sqlite3.connect(target)
            try:
                connection.backup(copy)
                # One file, without a log beside it.
                copy.execute("PRAGMA journal_mode = DELETE")
                return int(copy.execute("SELECT count(*) FROM run").fetchone()[0])
            finally:
                copy.close()
    finally:
        connection.close()


def _files(home: Path, target: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(home):
        here = Path(folder)
        if here == home:
            names[:] = [name for name in names if name not in _REBUILT]
            files = [name for name in files if name not in _REBUILT and name != DATABASE_FILE]
        for name in sorted(files):
            path = here / name
            if not name.endswith(_TEMPORARY) and path.resolve() != target:
                yield path
        names.sort()


def _unpack(source: Path, folder: Path) -> int:
    try:
        with tarfile.open(source, mode="r:gz") as archive:
            files = 0
            for member in archive:
                if not member.isfile():
                    raise _NotABackup(f"{member.name!r} is no file")
                archive.extract(member, folder, filter="data")
                files += 1
    except (_NotABackup, tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise RuntimeUserError("NotABackup", f"{source} is no backup, or a damaged one: {error}.") from None
    if not (folder / DATABASE_FILE).exists():
        raise RuntimeUserError("NotABackup", f"{source} is no backup: there is no {DATABASE_FILE} in it.")
    return files - 1


class _NotABackup(Exception):
    pass
