"""What goes into a bundle and why, and what was left out by which rule."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from flyte.errors import CodeBundleError

CopyStyle = Literal["loaded_modules", "all", "custom", "none"]
COPY_STYLES: tuple[CopyStyle, ...] = get_args(CopyStyle)

Fingerprint = tuple[int, int, int, int, int]


def fingerprint_of(status: os.stat_result) -> Fingerprint:
    """What changes when a file does: its size, its times, which file it is, and its mode."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, stat.S_IMODE(status.st_mode)


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file of a bundle.

    Attributes:
        relative: Its path in the bundle: below the root, with slashes.
        path: Its absolute path here.
        fingerprint: What it was when the plan was made.
        reason: Why it is in.
    """

    relative: str
    path: str
    fingerprint: Fingerprint
    reason: str

    @property
    def size_bytes(self) -> int:
        """Its size when the plan was made."""
        return self.fingerprint[0]


@dataclass(frozen=True, slots=True)
class SkippedPath:
    """A file or folder that was left out, folders with all that is below them.

    Attributes:
        relative: Its path below the root; that of a folder ends in a slash.
        rule: Why it is out.
    """

    relative: str
    rule: str


@dataclass(frozen=True, slots=True)
class BundlePlan:
    """What a bundle of a folder would be; nothing is read but names and sizes.

    Attributes:
        root: The folder that paths in the bundle are relative to, without links.
        copy_style: How the files were chosen.
        files: What goes in, sorted by path.
        skipped: What was met and left out, sorted by path. For modules, only what is not looked for is.
    """

    root: Path
    copy_style: CopyStyle
    files: tuple[PlannedFile, ...]
    skipped: tuple[SkippedPath, ...] = ()

    @property
    def total_bytes(self) -> int:
        """The size of all files together."""
        return sum(file.size_bytes for file in self.files)


def checked_style(copy_style: str) -> CopyStyle:
    """`copy_style`, if there is such a style.

    Raises:
        CodeBundleError: there is not.
    """
    for known in COPY_STYLES:
        if copy_style == known:
            return known
    from flyte._authoring.expectations import near_name

    raise CodeBundleError(
        f"copy_style must be {', '.join(map(repr, COPY_STYLES))}, got {copy_style!r}."
        f"{near_name(str(copy_style), COPY_STYLES)}"
    )


def checked_root(root: Path | str | None) -> Path:
    """A root folder without links; default the working directory.

    Raises:
        CodeBundleError: it is no folder, or one that holds far more than a project: a home folder, or one above it.
    """
    folder = Path(os.path.realpath(root if root is not None else Path.cwd()))
    if not folder.is_dir():
        raise CodeBundleError(f"the root folder {folder} of the bundle is not a folder: give one that is.")
    for home in _homes():
        if home.is_relative_to(folder):
            what = "a home folder" if home == folder else f"above the home folder {home}"
            raise CodeBundleError(
                f"the root folder {folder} of the bundle is {what}: it may hold keys, mail and data. Put the project "
                f"into a folder of its own, and name that as the root: root_dir=..., or --root-dir on the command line."
            )
    return folder


def _homes() -> list[Path]:
    import pwd

    found = {os.path.realpath(os.path.expanduser("~"))}
    with suppress(KeyError):
        found.add(os.path.realpath(pwd.getpwuid(os.getuid()).pw_dir))
    # What stands for "no home" must not make every root one.
    homes = [Path(each) for each in found if each not in ("", "/")]
    return homes or [Path("/")]
