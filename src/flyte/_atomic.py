"""Files that are whole or absent."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from shutil import rmtree
from typing import IO

from flyte._faults import reach

_SERIALS = count()
_NAME_CHARACTERS_KEPT = 32
"""So much of its target's name a temporary file has: with all of a long one it would be too long itself."""


def write_atomically(path: Path, data: bytes) -> None:
    """`path` holds `data`, on disk, as `replace_atomically` does it."""
    replace_atomically(path, lambda file: file.write(data))


def replace_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """`path` holds what `write` wrote, on disk; whatever happens on the way, no reader sees a part of it.

    Of several writers at the same time, in this process and in others, one wins whole. Missing folders are created.

    Raises:
        OSError: it could not be written; what was at `path` is still there.
    """
    with placed_whole(path) as temporary:
        with temporary.open("wb") as file:
            reach("file.before_write")
            write(file)
            file.flush()
            os.fsync(file.fileno())
        reach("file.written")
    sync_folder(path.parent)
    reach("file.renamed")


@contextmanager
def placed_whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`: the file or folder that the block makes there is at `path` after the block.

    A folder takes no other folder's place. Nothing is flushed. Missing folders above `path` are created; where the
    block fails, nothing of what it made stays.

    Raises:
        OSError: the folders could not be created, or the result not renamed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = f".{path.name[:_NAME_CHARACTERS_KEPT]}.{os.getpid()}.{next(_SERIALS)}.tmp"
    temporary = path.with_name(name)
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        if temporary.is_dir():
            rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """The names in a folder are on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
