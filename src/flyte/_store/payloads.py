"""Inputs and outputs that are too large for a row: files beside the database, complete before a row points to them."""

from __future__ import annotations

import os
from pathlib import Path

from flyte._atomic import write_atomically
from flyte._store.database import store_errors
from flyte.errors import StoreError

INLINE_LIMIT_BYTES = 64 * 1024
"""Payloads up to this size live in the row."""


def spill(home: Path, relative_path: str, data: bytes) -> str:
    """`data` is on disk at `relative_path` below `home`; returns that path for the row.

    Raises:
        StoreError: the file could not be written.
    """
    target = home / relative_path
    with store_errors(target):
        write_atomically(target, data)
    return relative_path


def share(home: Path, relative_path: str, as_relative_path: str) -> str:
    """What is at `relative_path` is at `as_relative_path` too, whatever happens to the first; returns the second.

    A payload file never changes, so both names are of one file where the file system can do that.

    Raises:
        StoreError: there is no such file, or it could not be given the other name.
    """
    source, target = home / relative_path, home / as_relative_path
    with store_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(source, target)
        except OSError:
            write_atomically(target, source.read_bytes())
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return as_relative_path


def load_payload(home: Path, inline: bytes | None, file: str | None) -> bytes | None:
    """The payload of a row, wherever it is; None when nothing was recorded.

    Raises:
        StoreError: the row points to a file that is gone or unreadable.
    """
    if file is None:
        return inline
    try:
        return (home / file).read_bytes()
    except OSError as error:
        raise StoreError(f"the payload file {home / file} cannot be read: {error.strerror or error}.") from error
