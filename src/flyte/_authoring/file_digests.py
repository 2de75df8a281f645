"""Identities of files and folders by what is in them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from flyte.errors import ImageBuildError

SKIPPED_FOLDERS = frozenset({"__pycache__", ".git", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache"})


def digest_of_file(path: Path) -> str:
    """SHA-256 of the bytes, in hex.

    Raises:
        ImageBuildError: there is no such file.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ImageBuildError(f"file {path.absolute()} of an image cannot be read: {error.strerror}") from error


def digest_of_folder(folder: Path) -> str:
    """SHA-256 of the relative paths and bytes of all files below, in hex.

    What programs leave behind is left out, such as byte code and version control, and so is where the folder is.

    Raises:
        ImageBuildError: there is no such folder, or a file in it cannot be read.
    """
    if not folder.is_dir():
        raise ImageBuildError(f"folder {folder.absolute()} of an image does not exist")
    digest = hashlib.sha256()
    for path in _files_below(folder):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{digest_of_file(path)}\n".encode())
    return digest.hexdigest()


def _files_below(folder: Path) -> list[Path]:
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS]
        found += [Path(parent, name) for name in files]
    return sorted(found)
