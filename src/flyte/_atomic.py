"""Files that are whole or absent."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import IO

from flyte._faults import reach

_SERIALS = count()


def write_atomically(path: Path, data: bytes) -> None:
    """`path` holds `data`, on disk, as `replace_atomically` does it."""
    replace_atomically(path, lambda file: file.write(data))


def replace_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """`path` holds what `write` wrote, on disk; whatever happens on the way, no reader sees a part of it.

    Of several writers at the same time, in this process and in others, one wins whole. Missing folders are created.

    Raises:
        OSError: it could not be written; what was at `path` is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{next(_SERIALS)}.tmp")
    try:
        with temporary.open("wb") as file:
            reach("file.before_write")
            write(file)
            file.flush()
            os.fsync(file.fileno())
        reach("file.written")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    reach("file.renamed")
