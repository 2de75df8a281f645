"""Copies of a user's files and folders in an environment."""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath

from flyte._authoring.file_digests import SKIPPED_FOLDERS
from flyte._image.ignore_patterns import IgnorePatterns
from flyte.errors import ImageBuildError


def place_in(root: Path, working_dir: str, place: str) -> Path:
    """The path below `root` that stands for a path of the image; a relative one starts in its working directory.

    Raises:
        ImageBuildError: it leads out of the image.
    """
    path = PurePosixPath("/", working_dir, place)
    parts = os.path.normpath(path).lstrip("/")
    if ".." in PurePosixPath(place).parts:
        raise ImageBuildError(f"{place!r} leads out of its folder with '..': write the path that is meant.")
    return root / parts


def copy_folder(source: Path, target: Path, ignored: IgnorePatterns) -> None:
    """What is in `source` is in `target` too, without what programs leave behind and what is ignored."""
    for parent, folders, names in os.walk(source):
        folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS)
        relative = Path(parent).relative_to(source)
        if not ignored.leaves_out(relative.as_posix()) or relative == Path():
            (target / relative).mkdir(parents=True, exist_ok=True)
        for name in names:
            if not ignored.leaves_out((relative / name).as_posix()):
                copy_file(Path(parent, name), target / relative / name)


def copy_file(source: Path, target: Path) -> None:
    """The file is there too, with its permissions."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
