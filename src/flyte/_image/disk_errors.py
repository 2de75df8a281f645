"""Disks that are full and folders that cannot be written, told with the way out."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flyte.errors import ImageBuildError

DISK_IS_FULL = (
    "The disk is full: free some space, for example with `flyte delete image --unused`, or point FLYTE_HOME at another "
    "disk."
)


@contextmanager
def told_disk_errors(path: Path) -> Iterator[None]:
    """What the system refuses in the block is an `ImageBuildError`, about `path` if it names no other."""
    try:
        yield
    except OSError as error:
        advice = ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = f". {DISK_IS_FULL}"
        elif error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR):
            advice = ". FLYTE_HOME says where environments are kept."
        raise ImageBuildError(
            f"the image cannot be built: {error.filename or path}: {error.strerror}{advice}"
        ) from error
