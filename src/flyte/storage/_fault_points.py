"""Where tests kill this process, or fill its disk, while data is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flyte._faults import reach


@contextmanager
def data_written() -> Iterator[None]:
    """The block writes a file or an object under a name that nobody looks for, or that the store does not show yet."""
    reach("data.before_write")
    yield
    reach("data.written")
