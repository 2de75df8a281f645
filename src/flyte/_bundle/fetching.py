"""A bundle from its address to this machine, and whether it is what was packed."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

from flyte._atomic import placed_whole
from flyte._bundle.unpacking import name_of_content, unpack
from flyte.errors import CodeBundleError
from flyte.models import CodeBundle

_NAME = re.compile(r"fast[0-9a-f]{32}\.tar\.gz")
_READ_BYTES = 1 << 20


def check_digest(path: Path, address: str, version: str) -> None:
    """Nothing, when the MD5 of a file is `version`.

    Raises:
        CodeBundleError: it is another.
    """
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while data := file.read(_READ_BYTES):
            digest.update(data)
    if digest.hexdigest() != version:
        raise CodeBundleError(
            f"the code bundle {address} is not what was packed: its MD5 is {digest.hexdigest()}, and {version!r} is "
            f"its version. It was truncated or changed since: delete it, and bundle the code again."
        )


def fetch_bundle(bundle: CodeBundle, folder: Path, *, is_version_digest: bool = True) -> Path:
    """The file of a bundle, packed as it is, is in a folder; returns its path.

    Raises:
        CodeBundleError: it is not what was packed.
        StorageError: it cannot be read, or not be written here.
    """
    address = bundle.pkl if bundle.tgz is None else bundle.tgz
    assert address is not None
    target = Path(os.path.abspath(folder)) / address.rstrip("/").rpartition("/")[2]
    with placed_whole(target) as temporary:
        _fetch(address, temporary, bundle.computed_version if is_version_digest else None)
    return target


def fetch_code(bundle: CodeBundle, folder: Path, archive: Path, *, is_version_digest: bool = True) -> dict[str, int]:
    """The files of a bundle are in a folder; returns the size of each by relative path.

    Args:
        bundle: With `tgz`.
        folder: An empty folder. When this fails there is something in it.
        archive: Where to put the archive.
        is_version_digest: As of `inflate`.

    Raises:
        CodeBundleError: it is not what was packed, or holds what may not be unpacked.
        StorageError: it cannot be read.
    """
    assert bundle.tgz is not None
    _fetch(bundle.tgz, archive, bundle.computed_version if is_version_digest else None)
    with archive.open("rb") as file:
        sizes = unpack(file, folder, bundle.tgz)
    if not is_version_digest:
        _check_name(bundle.tgz, folder, sizes)
    return sizes


def save_code(bundle: CodeBundle, folder: Path, *, is_unpacked: bool = True, is_version_digest: bool = True) -> Path:
    """The code of a bundle is in a folder for a person to read, without the notes that `inflate` leaves.

    Args:
        bundle: Where the code is.
        folder: Absent or empty, unless a file is put into it.
        is_unpacked: False keeps the archive as it is. A pickled bundle is always kept as it is.
        is_version_digest: As of `inflate`.

    Returns:
        The folder, or the file in it.

    Raises:
        CodeBundleError: the folder is not empty, or the bundle is not what was packed.
        StorageError: it cannot be read.
    """
    if bundle.tgz is None or not is_unpacked:
        return fetch_bundle(bundle, folder, is_version_digest=is_version_digest)
    target = Path(os.path.abspath(folder))
    if target.is_dir() and os.listdir(target):
        raise CodeBundleError(f"the folder {target} is not empty: give one that is, or that is not there yet.")
    with TemporaryDirectory(prefix="flyte-tmp-") as scratch, placed_whole(target) as temporary:
        temporary.mkdir()
        fetch_code(bundle, temporary, Path(scratch) / "archive", is_version_digest=is_version_digest)
    return target


def _fetch(address: str, target: Path, version: str | None) -> None:
    from flyte.storage._transfer import fetch

    fetch(address, target)
    if version is not None:
        check_digest(target, address, version)


def _check_name(address: str, folder: Path, sizes: dict[str, int]) -> None:
    name = address.rpartition("/")[2]
    if _NAME.fullmatch(name) and (found := name_of_content(folder, sizes)) != name:
        raise CodeBundleError(
            f"the code bundle {address} is not what was packed: its content has the name {found}. It was changed "
            f"since: delete it, and bundle the code again."
        )
