"""Locks between processes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, when_held: Callable[[], object] = lambda: None) -> Iterator[None]:
    """No other process, nor another thread of this one, is in a block with the same path. A killed process lets go.

    The file is made, with the folders above it, and stays; whoever deletes it does so inside the block.

    Args:
        path: Of the file.
        when_held: Called before this waits for somebody else.

    Raises:
        OSError: the file cannot be made.
    """
    descriptor = _locked_descriptor(path, when_held)
    try:
        yield
    finally:
        # Closing is not enough: a process forked meanwhile has the descriptor, too.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _locked_descriptor(path: Path, when_held: Callable[[], object]) -> int:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                when_held()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # Whoever held it has deleted the file: the next one locks another.
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    held = os.fstat(descriptor)
    return (held.st_dev, held.st_ino) == (found.st_dev, found.st_ino)
