"""Files of this machine that a library writes by their path."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flyte._atomic import placed_whole
from flyte.storage._addresses import local_path
from flyte.storage._failures import data_errors
from flyte.storage._fault_points import data_written
from flyte.storage._flushing import flush_file_later


@contextmanager
def new_local_file(address: str) -> Iterator[Path]:
    """A temporary path: the file that the block makes there is at the local address after it, or nothing is.

    Raises:
        StorageError: it cannot be written.
    """
    target = local_path(address)
    with data_errors(address, "write"), placed_whole(target) as temporary, data_written():
        yield temporary
    flush_file_later(target)
