"""Stores that fsspec knows and obstore does not: `http`, `memory`, `ftp`, `hf`, and whatever is installed."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from flyte._atomic import placed_whole
from flyte.errors import InvalidAddressError, StorageError
from flyte.storage._addresses import checked_relative
from flyte.storage._backend import ANYTHING, Backend, Expected, FileEntry, Found, Stored, Tuning, Writing
from flyte.storage._digests import Digester, digest_of_file, digest_of_folder
from flyte.storage._failures import data_errors, not_found, wrong_kind
from flyte.storage._fanout import run_all
from flyte.storage._parts import FILES_IN_FLIGHT


@lru_cache(maxsize=32)
def foreign_files(protocol: str) -> Backend:
    """The backend of a protocol of fsspec.

    Raises:
        InvalidAddressError: fsspec knows no such protocol.
        StorageError: it does, and the package for it is not installed.
    """
    import fsspec

    try:
        return _ForeignFiles(fsspec.filesystem(protocol))
    except ImportError as error:
        raise StorageError(f"{protocol}://", f"cannot reach {protocol}:// addresses: {error}.") from error
    except ValueError as error:
        raise InvalidAddressError(
            f"{protocol}://", f"nothing here can reach {protocol}:// addresses: {error}. Known are s3, gs, abfs, and "
            "the protocols of fsspec packages that are installed."
        ) from error


class _ForeignFiles(Backend):
    def __init__(self, file_system: Any) -> None:
        self._files = file_system

    def find(self, address: str) -> Found | None:
        with data_errors(address, "look at"):
            try:
                info = self._files.info(address)
            except FileNotFoundError:
                return None
        if info["type"] == "directory":
            return Found("folder", 0)
        return Found("file", int(info.get("size") or 0))

    def list_files(self, address: str) -> list[FileEntry]:
        with data_errors(address, "list"):
            found = self._files.find(address, detail=True)
        root = self._files._strip_protocol(address).rstrip("/")
        entries = (FileEntry(path[len(root) :].lstrip("/"), int(info.get("size") or 0)) for path, info in found.items())
        return sorted(entry for entry in entries if entry.relative)

    def open_reader(self, address: str, chunk_size: int) -> io.BufferedIOBase:
        with data_errors(address, "read"):
            if self._is_folder(address):
                raise wrong_kind(address, "read", "a folder", "file")
            reader: io.BufferedIOBase = self._files.open(address, "rb", block_size=chunk_size)
            return reader

    def open_writer(self, address: str, tuning: Tuning) -> Writing:
        return _ForeignWriting(self._files, address)

    def read(self, address: str) -> bytes:
        with data_errors(address, "read"):
            data: bytes = self._files.cat_file(address)
            return data

    def write(self, address: str, data: bytes | memoryview) -> None:
        with data_errors(address, "write"):
            self._files.pipe_file(address, bytes(data))

    def fetch_file(self, address: str, target: Path, tuning: Tuning, expected: Expected = ANYTHING) -> None:
        with (
            self.open_reader(address, 1 << 22) as source,
            data_errors(target, "write"),
            placed_whole(target) as temporary,
        ):
            with temporary.open("xb") as file, data_errors(address, "read"):
                shutil.copyfileobj(source, file, 1 << 22)
            expected.check(address, lambda: digest_of_file(temporary))

    def store_file(self, source: Path, address: str, tuning: Tuning) -> Stored:
        writing = self.open_writer(address, tuning)
        try:
            with data_errors(source, "read"), source.open("rb") as file:
                shutil.copyfileobj(file, writing, 1 << 22)
        except BaseException:
            writing.discard()
            raise
        writing.close()
        assert writing.stored is not None
        return writing.stored

    def fetch_folder(self, address: str, target: Path, tuning: Tuning, expected: Expected = ANYTHING) -> None:
        names = [checked_relative(entry.relative) for entry in self.list_files(address)]
        if not names:
            raise not_found(address, "read")

        def fetch(relative: str) -> None:
            self.fetch_file(f"{address.rstrip('/')}/{relative}", target / relative, tuning)

        run_all([partial(fetch, relative) for relative in names], tuning.batch_size or FILES_IN_FLIGHT)
        found = ((relative, digest_of_file(target / relative)) for relative in names)
        expected.check(address, lambda: digest_of_folder(found))

    def store_folder(self, source: Path, address: str, tuning: Tuning) -> Stored:
        from flyte.storage._local import LOCAL_FILES

        folder = address.rstrip("/")
        entries = LOCAL_FILES.list_files(str(source))

        def store(relative: str) -> tuple[str, Stored]:
            return relative, self.store_file(source / relative, f"{folder}/{relative}", tuning)

        try:
            jobs = [partial(store, entry.relative) for entry in entries]
            files = run_all(jobs, tuning.batch_size or FILES_IN_FLIGHT)
        except BaseException:
            self.delete_files([f"{folder}/{entry.relative}" for entry in entries])
            raise
        digest = digest_of_folder((relative, stored.digest) for relative, stored in files)
        return Stored(sum(stored.size for _, stored in files), digest)

    def delete_files(self, addresses: Iterable[str]) -> None:
        for address in addresses:
            with suppress(Exception):
                self._files.rm_file(address)

    def _is_folder(self, address: str) -> bool:
        found = self.find(address)
        return found is not None and found.kind == "folder"


class _ForeignWriting(Writing):
    """Collected in a temporary file first: few file systems of fsspec can take a file back that was begun."""

    def __init__(self, file_system: Any, address: str) -> None:
        from tempfile import TemporaryFile

        self._files = file_system
        self._address = address
        self._digester = Digester()
        self._size = 0
        self._collected = TemporaryFile()

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
        with self._collected, data_errors(self._address, "write"):
            with self._files.open(self._address, "wb") as file:
                shutil.copyfileobj(self._collected, file, 1 << 22)
        self.stored = Stored(self._size, self._digester.digest())

    def discard(self) -> None:
        """As the base class says."""
        if not self.closed:
            super().close()
            self._collected.close()
