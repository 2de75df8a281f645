"""Stores that fsspec knows and obstore does not: `http`, `memory`, `ftp`, `hf`, and whatever is installed."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from flyte._atomic import placed_whole
from flyte.errors import InvalidAddressError, StorageError
from flyte.storage._addresses import checked_relative, protocol_of
from flyte.storage._backend import ANYTHING, Backend, Expected, FileEntry, Found, Stored, Tuning, Writing
from flyte.storage._digests import Digester, digest_of_file, digest_of_folder
from flyte.storage._failures import data_errors, not_found, wrong_kind
from flyte.storage._fanout import run_all
from flyte.storage._fault_points import data_written
from flyte.storage._local import LOCAL_FILES, refuse_unless_file
from flyte.storage._merging import folder_placed
from flyte.storage._parts import FILES_IN_FLIGHT

_STEP_BYTES = 4 << 20


def foreign_files(address: str) -> Backend:
    """The backend for an address that fsspec reaches.

    Raises:
        InvalidAddressError: fsspec does not know its protocol.
        StorageError: it does, and the package for it is not installed, or needs settings.
    """
    try:
        return _files_of(protocol_of(address))
    except ImportError as error:
        raise StorageError(address, f"cannot reach {address}: {error}. Install that package.") from error
    except ValueError as error:
        raise InvalidAddressError(
            address,
            f"cannot reach {address}: {error}. Known are s3, gs, abfs, and the protocols of fsspec packages that are "
            "installed.",
        ) from error
    except Exception as error:
        raise StorageError(
            address, f"cannot reach {address}: fsspec cannot do so without settings ({error}). Give them to fsspec."
        ) from error


@lru_cache(maxsize=32)
def _files_of(protocol: str) -> Backend:
    import fsspec

    return _ForeignFiles(fsspec.filesystem(protocol))


@contextmanager
def _errors(address: object, doing: str) -> Iterator[None]:
    """As `data_errors`, for what file systems raise that has no errno, or is of the library they are made of."""
    with data_errors(address, doing):
        try:
            yield
        except (OSError, StorageError):
            raise
        except Exception as error:
            raise OSError(f"{type(error).__name__}: {error}") from error


class _ForeignFiles(Backend):
    def __init__(self, file_system: Any) -> None:
        self._files = file_system

    def find(self, address: str) -> Found | None:
        with _errors(address, "look at"):
            try:
                info = self._files.info(address)
            except FileNotFoundError:
                return None
        if info["type"] == "directory":
            return Found("folder", 0)
        return Found("file", int(info.get("size") or 0))

    def list_files(self, address: str) -> list[FileEntry]:
        with _errors(address, "list"):
            found = self._files.find(address, detail=True)
        root = self._files._strip_protocol(address).rstrip("/")
        entries = (FileEntry(path[len(root) :].lstrip("/"), int(info.get("size") or 0)) for path, info in found.items())
        return sorted(entry for entry in entries if entry.relative)

    def open_reader(self, address: str, chunk_size: int) -> io.BufferedIOBase:
        with _errors(address, "read"):
            self._refuse_folder(address)
            file = self._files.open(address, "rb", block_size=chunk_size)
        # `memory` hands out the file that it keeps: its readers would move each other's position.
        file = io.BytesIO(file.getvalue()) if isinstance(file, io.BytesIO) else file
        return io.BufferedReader(_ForeignReading(file, address), buffer_size=1 << 16)

    def open_writer(self, address: str, tuning: Tuning) -> Writing:
        return _ForeignWriting(self._files, address)

    def read(self, address: str) -> bytes:
        with _errors(address, "read"):
            self._refuse_folder(address)
            data: bytes = self._files.cat_file(address)
            return data

    def write(self, address: str, data: bytes | memoryview) -> None:
        with _errors(address, "write"), data_written():
            self._files.pipe_file(address, bytes(data))

    def fetch_file(self, address: str, target: Path, tuning: Tuning, expected: Expected = ANYTHING) -> None:
        with (
            self.open_reader(address, _STEP_BYTES) as source,
            data_errors(target, "write"),
            placed_whole(target) as temporary,
        ):
            with data_written(), temporary.open("xb") as file:
                shutil.copyfileobj(source, file, 1 << 22)
            expected.check(address, lambda: digest_of_file(temporary))

    def store_file(self, source: Path, address: str, tuning: Tuning) -> Stored:
        refuse_unless_file(source)
        writing = self.open_writer(address, tuning)
        try:
            with data_errors(source, "read"), source.open("rb") as file:
                shutil.copyfileobj(file, writing, _STEP_BYTES)
        except BaseException:
            writing.discard()
            raise
        writing.close()
        assert writing.stored is not None
        return writing.stored

    def fetch_folder(self, address: str, target: Path, tuning: Tuning, expected: Expected = ANYTHING) -> None:
        names = [checked_relative(entry.relative) for entry in self.list_files(address)]
        if not names:
            found = self.find(address)
            if found is None:
                raise not_found(address, "read")
            if found.kind == "file":
                raise wrong_kind(address, "read", "a file", "folder")
        with data_errors(target, "write"), folder_placed(target) as temporary:
            temporary.mkdir()

            def fetch(relative: str) -> None:
                self.fetch_file(f"{address.rstrip('/')}/{relative}", temporary / relative, tuning)

            run_all([partial(fetch, relative) for relative in names], tuning.batch_size or FILES_IN_FLIGHT)
            digests = ((relative, digest_of_file(temporary / relative)) for relative in names)
            expected.check(address, lambda: digest_of_folder(digests))

    def store_folder(self, source: Path, address: str, tuning: Tuning) -> Stored:
        folder = address.rstrip("/")
        entries = LOCAL_FILES.list_files(str(source))
        targets = {entry.relative: f"{folder}/{checked_relative(entry.relative)}" for entry in entries}
        written: list[str] = []

        def store(relative: str) -> tuple[str, Stored]:
            stored = self.store_file(source / relative, targets[relative], tuning)
            written.append(targets[relative])
            return relative, stored

        try:
            jobs = [partial(store, entry.relative) for entry in entries]
            files = run_all(jobs, tuning.batch_size or FILES_IN_FLIGHT)
        except BaseException:
            self.delete_files(written)
            raise
        digest = digest_of_folder((relative, stored.digest) for relative, stored in files)
        return Stored(sum(stored.size for _, stored in files), digest)

    def delete_files(self, addresses: Iterable[str]) -> None:
        for address in addresses:
            with suppress(Exception):
                self._files.rm_file(address)

    def _refuse_folder(self, address: str) -> None:
        found = self.find(address)
        if found is not None and found.kind == "folder":
            raise wrong_kind(address, "read", "a folder", "file")


class _ForeignReading(io.RawIOBase):
    def __init__(self, file: Any, address: str) -> None:
        self._file = file
        self._address = address

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        with _errors(self._address, "read"):
            data = self._file.read(len(view))
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


class _ForeignWriting(Writing):
    """Collected in a temporary file first: few file systems of fsspec can take a file back that was begun."""

    def __init__(self, file_system: Any, address: str) -> None:
        from tempfile import TemporaryFile

        self._files = file_system
        self._address = address
        self._digester = Digester()
        self._size = 0
        self._collected = TemporaryFile()  # noqa: SIM115

    def write(self, data: Any, /) -> int:
        """Write all of `data`; returns its length in bytes."""
        view = memoryview(data).cast("B")
        with data_errors(self._address, "write"):
            self._collected.write(view)
        self._digester.update(view)
        self._size += len(view)
        return len(view)

    def close(self) -> None:
        """The file is at its address."""
        if self.closed:
            return
        super().close()
        self._collected.seek(0)
        try:
            with (
                self._collected,
                _errors(self._address, "write"),
                data_written(),
                self._files.open(self._address, "wb") as file,
            ):
                shutil.copyfileobj(self._collected, file, _STEP_BYTES)
        except BaseException:
            with suppress(Exception):
                self._files.rm_file(self._address)
            raise
        self.stored = Stored(self._size, self._digester.digest())

    def discard(self) -> None:
        """As the base class says."""
        if not self.closed:
            super().close()
            self._collected.close()
