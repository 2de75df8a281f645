"""Files of this machine: copied by the kernel, hashed meanwhile, and put in place whole."""

from __future__ import annotations

import errno
import io
import os
import stat
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

from flyte._atomic import placed_whole
from flyte.errors import DataChangedError, WrongKindOfDataError
from flyte.storage._addresses import local_path
from flyte.storage._backend import ANYTHING, Backend, Expected, FileEntry, Found, Stored, Tuning, Writing
from flyte.storage._digests import Digester, digest_of_folder
from flyte.storage._failures import data_errors, wrong_kind
from flyte.storage._fault_points import data_written
from flyte.storage._flushing import flush_file_later, flush_folder_later
from flyte.storage._merging import folder_placed
from flyte.storage._trailing import Trailing, write_all

_READ_WHOLE_BYTES = 4 << 20
"""Files up to this size are read into memory; the machinery for larger ones would cost more than it saves."""

_STEP_BYTES = 32 << 20
"""How much of a large file is copied before its hash is taken."""

_NO_WAIT: int = getattr(os, "RWF_NOWAIT", 0)
"""Asks for what is in memory only (https://man7.org/linux/man-pages/man2/readv.2.html); 0 where no such thing is."""

_UNSUPPORTED = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM)


class _LocalFiles(Backend):
    def find(self, address: str) -> Found | None:
        try:
            status = os.stat(local_path(address))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            with data_errors(address, "look at"):
                raise
        return Found("folder", 0) if stat.S_ISDIR(status.st_mode) else Found("file", status.st_size)

    def list_files(self, address: str) -> list[FileEntry]:
        folder = local_path(address)
        with data_errors(address, "list"):
            if not folder.exists():
                return []
            return sorted(FileEntry(relative, os.stat(path).st_size) for path, relative in _scan(folder).files)

    def open_reader(self, address: str, chunk_size: int) -> io.BufferedIOBase:
        path = local_path(address)
        with data_errors(address, "read"):
            refuse_unless_file(path)
            return LocalReader(io.FileIO(path), min(chunk_size, 1 << 20))

    def open_writer(self, address: str, tuning: Tuning) -> Writing:
        return _LocalWriting(local_path(address))

    def read(self, address: str) -> bytes:
        path = local_path(address)
        with data_errors(address, "read"):
            refuse_unless_file(path)
            return path.read_bytes()

    def write(self, address: str, data: bytes | memoryview) -> None:
        path = local_path(address)
        with (
            data_errors(address, "write"),
            placed_whole(path) as temporary,
            data_written(),
            temporary.open("xb", buffering=0) as file,
        ):
            write_all(file.fileno(), (data,))
        flush_file_later(path)

    def fetch_file(self, address: str, target: Path, tuning: Tuning, expected: Expected = ANYTHING) -> None:
        source = local_path(address)
        refuse_unless_file(source)
        with data_errors(target, "write"), placed_whole(target) as temporary:
            stored = _copy_file(source, temporary, flushes=False)
            expected.check(address, lambda: stored.digest)

    def store_file(self, source: Path, address: str, tuning: Tuning) -> Stored:
        target = local_path(address)
        refuse_unless_file(source)
        with data_errors(target, "write"), placed_whole(target) as temporary:
            stored = _copy_file(source, temporary, flushes=True)
        flush_file_later(target)
        return stored

    def fetch_folder(self, address: str, target: Path, tuning: Tuning, expected: Expected = ANYTHING) -> None:
        tree = _scan(local_path(address))
        with data_errors(target, "write"), folder_placed(target) as temporary:
            stored = _copy_tree(tree, temporary, flushes=False)
            expected.check(address, lambda: stored.digest)

    def store_folder(self, source: Path, address: str, tuning: Tuning) -> Stored:
        target = local_path(address)
        tree = _scan(source)
        with data_errors(target, "write"), placed_whole(target) as temporary:
            stored = _copy_tree(tree, temporary, flushes=True)
        flush_folder_later(target)
        return stored


LOCAL_FILES = _LocalFiles()


class LocalReader(io.BufferedReader):
    """A file of this machine, which can tell what of it is in memory."""

    def read_now(self, size: int) -> bytes | None:
        """The next `size` bytes; None where they might have to be fetched from the disk, or are not there."""
        if not _NO_WAIT:
            return None
        try:
            probed = os.preadv(self.fileno(), [bytearray(1)], self.tell() + size - 1, _NO_WAIT)
        except OSError:
            return None
        return self.read(size) if probed else None


class _LocalWriting(Writing):
    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0
        with data_errors(path, "write"), ExitStack() as stack:
            temporary = stack.enter_context(placed_whole(path))
            stack.enter_context(data_written())
            self._file = stack.enter_context(temporary.open("xb+", buffering=0))
            self._trailing = stack.enter_context(closing(Trailing(self._file.fileno(), flushes=True)))
            self._placing = stack.pop_all()

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Write all of `data`; returns its length in bytes."""
        view = memoryview(data).cast("B")
        with data_errors(self._path, "write"):
            written = 0
            while written < len(view):
                written += self._file.write(view[written:]) or 0
        self._size += len(view)
        self._trailing.written_to(self._size)
        return len(view)

    def close(self) -> None:
        """The file is in its place."""
        if self.closed:
            return
        super().close()
        with data_errors(self._path, "write"), self._placing:
            digest = self._trailing.digest(self._size)
        self.stored = Stored(self._size, digest)
        flush_file_later(self._path)

    def discard(self) -> None:
        """As the base class says."""
        if self.closed:
            return
        super().close()
        with suppress(InterruptedError), self._placing:
            raise InterruptedError


def _copy_tree(tree: _Tree, target: Path, *, flushes: bool) -> Stored:
    """The new folder `target` holds what the tree's folder holds."""
    target.mkdir()
    root = str(target)
    for relative in tree.folders:
        os.makedirs(f"{root}/{relative}", exist_ok=True)
    size, digests = 0, []
    for path, relative in tree.files:
        stored = _copy_file(path, f"{root}/{relative}", flushes=flushes)
        size += stored.size
        digests.append((relative, stored.digest))
    return Stored(size, digest_of_folder(digests))


def _copy_file(source: str | Path, target: str | Path, *, flushes: bool) -> Stored:
    """The new file `target` holds what `source` holds."""
    with data_errors(source, "read"):
        descriptor = os.open(source, os.O_RDONLY)
    try:
        status = os.fstat(descriptor)
        with data_written():
            written = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            try:
                if status.st_size <= _READ_WHOLE_BYTES:
                    stored = _copy_small(descriptor, written, status.st_size)
                else:
                    stored = _copy_large(source, descriptor, written, status.st_size, flushes=flushes)
                if status.st_mode & 0o100:
                    os.fchmod(written, os.fstat(written).st_mode | (status.st_mode & 0o111))
            finally:
                os.close(written)
        return stored
    finally:
        os.close(descriptor)


def _copy_small(source: int, target: int, expected: int) -> Stored:
    digester = Digester()
    size = 0
    # One call more than there are bytes for, which finds the end of a file that grows or lies about its size.
    while data := os.read(source, max(expected - size, 0) + 1):
        digester.update(data)
        size += len(data)
        view = memoryview(data)
        while view:
            view = view[os.write(target, view) :]
    return Stored(size, digester.digest())


def _copy_large(source: str | Path, descriptor: int, written: int, size: int, *, flushes: bool) -> Stored:
    """The kernel copies a step while another thread hashes the one before, reading it from the copy."""
    with closing(Trailing(written, flushes=flushes)) as trailing:
        for offset in range(0, size, _STEP_BYTES):
            end = min(offset + _STEP_BYTES, size)
            _copy_step(source, descriptor, written, offset, end)
            trailing.written_to(end)
        return Stored(size, trailing.digest(size))


def _copy_step(source: str | Path, descriptor: int, written: int, offset: int, end: int) -> None:
    while offset < end:
        try:
            copied = os.copy_file_range(descriptor, written, end - offset, offset, offset)
        except (OSError, AttributeError) as error:
            if isinstance(error, OSError) and error.errno not in _UNSUPPORTED:
                raise
            copied = os.pwrite(written, os.pread(descriptor, min(end - offset, 1 << 20), offset), offset)
        if not copied:
            raise DataChangedError(
                str(source), f"{source} got shorter while it was copied. Copy it when it is complete."
            )
        offset += copied


def refuse_unless_file(path: str | Path) -> None:
    """Nothing, when there is a file at a path; to open a pipe would take for ever.

    Raises:
        DataNotFoundError: there is nothing.
        WrongKindOfDataError: there is something else.
        StorageError: it cannot be looked at.
    """
    with data_errors(path, "read"):
        mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise wrong_kind(str(path), "read", "a folder", "file")
    if not stat.S_ISREG(mode):
        raise WrongKindOfDataError(
            str(path), f"cannot read {path}: it is a device, pipe or socket, not a file. Copy what it gives to a file."
        )


@dataclass(slots=True)
class _Tree:
    """What is below a folder: files as path and relative path, and the relative paths of all folders."""

    files: list[tuple[str, str]]
    folders: list[str]


def _scan(folder: Path) -> _Tree:
    """Everything below a folder, links followed.

    Raises:
        DataNotFoundError: there is no such folder, or a link in it leads nowhere.
        WrongKindOfDataError: it is a file, or something in it is neither a file nor a folder.
        InvalidAddressError: a link leads to a folder around it.
    """
    if not folder.is_dir():
        with data_errors(folder, "read"):
            os.stat(folder)
        raise wrong_kind(str(folder), "read", "a file", "folder")
    tree = _Tree([], [])
    waiting: list[tuple[str, str, tuple[tuple[int, int], ...]]] = [(os.path.abspath(folder), "", ())]
    while waiting:
        path, prefix, ancestors = waiting.pop()
        with data_errors(path, "read"):
            status = os.stat(path)
            identity = (status.st_dev, status.st_ino)
            if identity in ancestors:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            with os.scandir(path) as entries:
                for entry in entries:
                    relative = prefix + entry.name
                    if entry.is_file():
                        tree.files.append((entry.path, relative))
                    elif entry.is_dir():
                        tree.folders.append(relative)
                        waiting.append((entry.path, f"{relative}/", (*ancestors, identity)))
                    else:
                        refuse_unless_file(entry.path)
    return tree
