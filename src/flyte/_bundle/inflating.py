"""A bundle to a folder with its code: once, whichever number of attempts ask for it at the same time."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from flyte._atomic import sync_folder, write_atomically
from flyte._bundle.locks import locked
from flyte._bundle.unpacking import name_of_content, unpack
from flyte.errors import CodeBundleError
from flyte.models import CodeBundle

MARKER = ".flyte-bundle.json"
LOCK = ".flyte-bundle.lock"
_TEMPORARY = ".flyte-bundle-tmp-"
_NAME = re.compile(r"fast[0-9a-f]{32}\.tar\.gz")
_READ_BYTES = 1 << 20


def inflate(bundle: CodeBundle, destination: Path | str, *, is_version_digest: bool = True) -> CodeBundle:
    """The code of a bundle is in a folder, whole; returns the bundle with `downloaded_path` set to it.

    Safe to call from any number of processes with one folder: one downloads and unpacks, the others wait for it, and
    later ones only look whether all is still there. What is not is unpacked again. When this fails, or is killed and
    called again, nothing half-written stays. Nobody reads the folder before this has returned to them.

    Args:
        bundle: With `tgz`, the address of the archive.
        destination: A folder that is absent or empty, or that holds this bundle already. Beside the code it gets two
            hidden files, a lock and a note of what is in it.
        is_version_digest: `computed_version` is the MD5 of the archive, as every bundle packed here has it. False for a
            version that somebody chose: then the archive is held against the digest in its name, if there is one.

    Raises:
        CodeBundleError: the archive is damaged or another one, holds what may not be unpacked, or the folder has other
            things in it.
        StorageError: the archive cannot be read.
    """
    if bundle.tgz is None:
        raise CodeBundleError(
            f"code bundle {bundle.computed_version!r} is a pickled task at {bundle.pkl}, not an archive: "
            f"load_pickled() gives its task."
        )
    folder = Path(os.path.abspath(destination))
    inflation = _Inflation(bundle, bundle.tgz, folder, is_version_digest)
    try:
        inflation.ensure()
    except OSError as error:
        if isinstance(error, RuntimeError):  # A `StorageError`, some of which are `OSError`s too.
            raise
        raise CodeBundleError(
            f"code bundle {bundle.tgz} cannot be unpacked into {folder}: {error.strerror or error}. Give a folder that "
            f"can be written, with space for it."
        ) from error
    return bundle.with_downloaded_path(folder)


async def download_code_bundle(code_bundle: CodeBundle) -> CodeBundle:
    """The code of a bundle is in its `destination`; see `inflate`. A pickled one is a file there."""
    if code_bundle.tgz is None:
        return await asyncio.to_thread(_fetch_pickled, code_bundle)
    return await asyncio.to_thread(inflate, code_bundle, code_bundle.destination)


def _fetch_pickled(bundle: CodeBundle) -> CodeBundle:
    from flyte.storage._transfer import fetch

    assert bundle.pkl is not None
    target = Path(os.path.abspath(bundle.destination)) / bundle.pkl.rstrip("/").rpartition("/")[2]
    fetch(bundle.pkl, target)
    check_digest(target, bundle.pkl, bundle.computed_version)
    return bundle.with_downloaded_path(target)


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


@dataclass(frozen=True, slots=True)
class _Note:
    """What is in a folder.

    Attributes:
        version: Of the bundle.
        is_done: All of it is there; else a move into the folder was begun.
        names: What the bundle has at its top.
        files: The size of each file by relative path.
    """

    version: str
    is_done: bool
    names: list[str]
    files: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Inflation:
    """One bundle and the folder that its code is due in."""

    bundle: CodeBundle
    address: str
    folder: Path
    is_version_digest: bool

    def ensure(self) -> None:
        """The code is in the folder."""
        if self._is_done():
            return
        # The lock is there where another call has just made the folder, which may fail and take it away.
        was_there = self.folder.exists() and not (self.folder / LOCK).exists()
        with locked(self.folder / LOCK):
            if self._is_done():
                return
            try:
                self._clear()
                self._unpack()
            except BaseException:
                self._leave_nothing(with_folder=not was_there)
                raise

    def _leave_nothing(self, *, with_folder: bool) -> None:
        if (self.folder / MARKER).exists():
            return
        # Under the lock: whoever waits for it sees that the file is gone, and makes it again.
        (self.folder / LOCK).unlink(missing_ok=True)
        if with_folder:
            with suppress(OSError):
                self.folder.rmdir()

    def _is_done(self) -> bool:
        note = self._note()
        return note is not None and note.is_done and note.version == self._version and self._is_whole(note.files)

    @property
    def _version(self) -> str:
        return self.bundle.computed_version

    def _note(self) -> _Note | None:
        try:
            return _Note(**json.loads((self.folder / MARKER).read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise CodeBundleError(
                f"{self.folder / MARKER} is damaged: delete the folder {self.folder}, and unpack the code again."
            ) from error

    def _is_whole(self, sizes: dict[str, int]) -> bool:
        # A power cut may leave the names of files and less of them.
        try:
            return all(os.stat(self.folder / relative).st_size == size for relative, size in sizes.items())
        except OSError:
            return False

    def _clear(self) -> None:
        """What an earlier call left here is gone; anything else is nobody's to delete.

        Raises:
            CodeBundleError: there is something else.
        """
        note = self._note()
        if note is not None and note.version != self._version:
            raise CodeBundleError(
                f"the folder {self.folder} holds code bundle {note.version}, and {self._version} is due: give each "
                f"bundle a folder of its own."
            )
        for name in os.listdir(self.folder):
            if name.startswith(_TEMPORARY) or (note is not None and name in note.names):
                _remove(self.folder / name)
        others = sorted(name for name in os.listdir(self.folder) if name not in (LOCK, MARKER))
        # With a note, they are what attempts have written beside the code.
        if others and note is None:
            raise CodeBundleError(
                f"the folder {self.folder} is not empty, it holds {others[0]!r}: unpack code bundle {self.address} "
                f"into a folder of its own."
            )

    def _unpack(self) -> None:
        with TemporaryDirectory(dir=self.folder, prefix=_TEMPORARY) as folder:
            scratch = Path(folder)
            code = scratch / "code"
            code.mkdir()
            sizes = self._extract(scratch, code)
            note = _Note(self._version, False, sorted(os.listdir(code)), sizes)
            self._write(note, scratch)
            try:
                for name in note.names:
                    os.rename(code / name, self.folder / name)
                self._write(replace(note, is_done=True), scratch)
            except BaseException:
                for name in (*note.names, MARKER):
                    _remove(self.folder / name)
                raise

    def _extract(self, scratch: Path, code: Path) -> dict[str, int]:
        from flyte.storage._transfer import fetch

        archive = Path(fetch(self.address, scratch / "archive"))
        if self.is_version_digest:
            check_digest(archive, self.address, self._version)
        with archive.open("rb") as file:
            sizes = unpack(file, code, self.address)
        for reserved in (LOCK, MARKER):
            if os.path.lexists(code / reserved):
                raise CodeBundleError(f"the code bundle {self.address} holds {reserved}, a name that unpacking needs.")
        if not self.is_version_digest:
            self._check_name(code, sizes)
        return sizes

    def _check_name(self, code: Path, sizes: dict[str, int]) -> None:
        name = self.address.rpartition("/")[2]
        if _NAME.fullmatch(name) and (found := name_of_content(code, sizes)) != name:
            raise CodeBundleError(
                f"the code bundle {self.address} is not what was packed: its content has the name {found}. It was "
                f"changed since: delete it, and bundle the code again."
            )

    def _write(self, note: _Note, scratch: Path) -> None:
        # By way of the scratch folder, where what a killed process leaves is known to be ours.
        write_atomically(scratch / MARKER, json.dumps(asdict(note)).encode())
        os.replace(scratch / MARKER, self.folder / MARKER)
        sync_folder(self.folder)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
