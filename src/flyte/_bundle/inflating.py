"""A bundle to a folder with its code: once, whichever number of attempts ask for it at the same time."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from flyte._atomic import sync_folder, write_atomically
from flyte._bundle.fetching import fetch_bundle, fetch_code
from flyte._locks import locked
from flyte.errors import CodeBundleError
from flyte.models import CodeBundle

MARKER = ".flyte-bundle.json"
LOCK = ".flyte-bundle.lock"
_TEMPORARY = ".flyte-bundle-tmp-"


def inflate(bundle: CodeBundle, destination: Path | str, *, is_version_digest: bool = True) -> CodeBundle:
    """The code of a bundle is in a folder, whole; returns the bundle with `downloaded_path` set to it.

    Safe to call from any number of processes with one folder: one downloads and unpacks, the others wait for it, and
    later ones only look whether all is still there. What is not is unpacked again. When this fails, or is killed and
    called again, nothing half-written stays. Nobody reads the folder before this has returned to them.

    Args:
        bundle: With `tgz`, the address of the archive.
        destination: A folder that is absent, or holds this bundle already, or has nothing of the names that the bundle
            has at its top. Beside the code it gets two hidden files, a lock and a note of what is in it.
        is_version_digest: `computed_version` is the MD5 of the archive, as every bundle packed here has it. False for a
            version that somebody chose: then the archive is held against the digest in its name, if there is one.

    Raises:
        CodeBundleError: the archive is damaged or another one, holds what may not be unpacked, or its place in the
            folder is taken.
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
        path = await asyncio.to_thread(fetch_bundle, code_bundle, Path(code_bundle.destination))
        return code_bundle.with_downloaded_path(path)
    return await asyncio.to_thread(inflate, code_bundle, code_bundle.destination)


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
        """What tells this bundle from others in the note; a version that somebody chose may come again."""
        version = self.bundle.computed_version
        return version if self.is_version_digest else f"{version} of {self.address}"

    def _note(self) -> _Note | None:
        try:
            note = _Note(**json.loads((self.folder / MARKER).read_bytes()))
            # They are deleted by these names.
            if any(name in ("", ".", "..") or "/" in name for name in note.names):
                raise ValueError(note.names)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise CodeBundleError(
                f"{self.folder / MARKER} is damaged: delete the folder {self.folder}, and unpack the code again."
            ) from error
        return note

    def _is_whole(self, sizes: dict[str, int]) -> bool:
        # A power cut may leave the names of files and less of them.
        try:
            return all(os.stat(self.folder / relative).st_size == size for relative, size in sizes.items())
        except OSError:
            return False

    def _clear(self) -> None:
        """What an earlier call left here is gone; anything else is not ours to delete.

        Raises:
            CodeBundleError: another bundle is here.
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

    def _unpack(self) -> None:
        with TemporaryDirectory(dir=self.folder, prefix=_TEMPORARY) as folder:
            scratch = Path(folder)
            code = scratch / "code"
            code.mkdir()
            sizes = fetch_code(self.bundle, code, scratch / "archive", is_version_digest=self.is_version_digest)
            note = _Note(self._version, False, sorted(os.listdir(code)), sizes)
            self._check_free(note.names)
            self._write(note, scratch)
            moved: list[str] = []
            try:
                for name in note.names:
                    os.rename(code / name, self.folder / name)
                    moved.append(name)
                self._write(replace(note, is_done=True), scratch)
            except BaseException:
                for name in (*moved, MARKER):
                    _remove(self.folder / name)
                raise

    def _check_free(self, names: list[str]) -> None:
        for name in names:
            if name in (LOCK, MARKER):
                raise CodeBundleError(f"the code bundle {self.address} holds {name}, a name that unpacking needs.")
            if os.path.lexists(self.folder / name):
                raise CodeBundleError(
                    f"{self.folder / name} is there already, and of no bundle: unpack code bundle {self.address} into "
                    f"a folder of its own."
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
