"""Folders that are fetched to where one may be already."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_NAME_CHARACTERS_KEPT = 32


@contextmanager
def folder_placed(target: Path) -> Iterator[Path]:
    """A path for a new folder: what the block makes there is at `target` after the block.

    A folder that is there keeps its other files and gets each new one whole; where the block fails, it gets none.

    Raises:
        OSError: something else is in the way.
    """
    # In a folder that is there, for it may be a mount point, and files are renamed within one file system only.
    around = target if target.is_dir() else target.parent
    around.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{target.name[:_NAME_CHARACTERS_KEPT]}.", suffix=".tmp", dir=around) as folder:
        made = Path(folder, "made")
        yield made
        if around is not target:
            try:
                made.replace(target)
                return
            except OSError as error:
                # Somebody else has fetched it meanwhile.
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
        _merge(made, target)


def _merge(made: Path, target: Path) -> None:
    for here, _, names in os.walk(made):
        there = target / Path(here).relative_to(made)
        there.mkdir(exist_ok=True)
        for name in names:
            os.replace(f"{here}/{name}", there / name)
