"""Inputs and outputs that are too large for a row: files beside the database, complete before a row points to them."""

from __future__ import annotations

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
