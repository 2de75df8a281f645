"""What one kind of store can do, and which kind an address belongs to."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from flyte.errors import DataChangedError
from flyte.storage._addresses import OBJECT_PROTOCOLS, protocol_of
from flyte.storage._digests import is_digest

Kind = Literal["file", "folder"]


class Found(NamedTuple):
    """What is at an address. `size` is in bytes, and 0 for a folder."""

    kind: Kind
    size: int


class FileEntry(NamedTuple):
    """A file in a folder; `relative` is its path there, with `/` between the parts.

    `e_tag` is what an object store calls this content, None elsewhere.
    """

    relative: str
    size: int
    e_tag: str | None = None


class Stored(NamedTuple):
    """What was written: its bytes and its content hash."""

    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Tuning:
    """How much of a transfer happens at once; None is the default of the store.

    Attributes:
        batch_size: Files of a folder in flight, at most.
        chunk_size: Bytes of one part of a large file.
        max_concurrency: Parts of one file in flight, at most.
    """

    batch_size: int | None = None
    chunk_size: int | None = None
    max_concurrency: int | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} is {value!r}: expected a whole number from 1, or None.")


STANDARD = Tuning()


@dataclass(frozen=True, slots=True)
class Expected:
    """What data has to be: its content hash, where it is known; None lets anything pass."""

    digest: str | None = None

    def check(self, address: str, found: Callable[[], str]) -> None:
        """Nothing, when `found()`, the hash of what was read, is as expected; not called where nothing is.

        Raises:
            DataChangedError: it is not.
        """
        if is_digest(self.digest) and (digest := found()) != self.digest:
            raise DataChangedError(
                address,
                f"{address} is not what was written there: its hash is {digest}, and {self.digest} was recorded. It was"
                " truncated or changed since: run again the task that wrote it, or take the hash away to use it as is.",
            )


ANYTHING = Expected()


class Writing(io.RawIOBase):
    """A file being written: `close` puts it at its address whole, `discard` leaves nothing.

    Attributes:
        stored: What was written, once it is closed.
    """

    stored: Stored | None = None

    def discard(self) -> None:
        """Nothing of what was written stays. Safe to call twice, and after `close`, which it does not undo."""

    def writable(self) -> bool:
        """True."""
        return True


class Backend(ABC):
    """One kind of store. Methods block, and may be called from any thread.

    Errors are `StorageError`s that name the address.
    """

    @abstractmethod
    def find(self, address: str) -> Found | None:
        """What is at the address."""

    @abstractmethod
    def list_files(self, address: str) -> list[FileEntry]:
        """All files below a folder, sorted by path; none where it is empty or not there."""

    @abstractmethod
    def open_reader(self, address: str, chunk_size: int) -> io.BufferedIOBase:
        """The file at the address, for reading and seeking; it reads ahead by about `chunk_size` bytes."""

    @abstractmethod
    def open_writer(self, address: str, tuning: Tuning) -> Writing:
        """A new file, at the address once it is closed."""

    @abstractmethod
    def read(self, address: str) -> bytes:
        """All bytes of the file at the address."""

    @abstractmethod
    def write(self, address: str, data: bytes | memoryview) -> None:
        """The file at the address holds `data`; no reader sees a part of it."""

    @abstractmethod
    def fetch_file(self, address: str, target: Path, tuning: Tuning, expected: Expected = ANYTHING) -> None:
        """The local file `target` holds what is at the address, whole, if that is what is expected."""

    @abstractmethod
    def store_file(self, source: Path, address: str, tuning: Tuning) -> Stored:
        """The file at the address holds what the local file `source` holds; no reader sees a part of it."""

    @abstractmethod
    def fetch_folder(self, address: str, target: Path, tuning: Tuning, expected: Expected = ANYTHING) -> None:
        """The local folder `target` holds all files below the address, if they are what is expected.

        A folder that is there keeps its other files, and gets each new one whole.
        """

    @abstractmethod
    def store_folder(self, source: Path, address: str, tuning: Tuning) -> Stored:
        """The files of the local folder `source` are below the address, which holds no others."""

    def delete_files(self, addresses: Iterable[str]) -> None:  # noqa: B027
        """These files are gone, as far as the store lets us; for what a failed transfer leaves."""

    def arguments_for_polars(self, address: str) -> dict[str, Any]:
        """What polars needs to scan the address itself."""
        return {}


def backend_of(address: str) -> Backend:
    """The backend for an address.

    Raises:
        StorageError: nothing here can reach its protocol.
    """
    protocol = protocol_of(address)
    if protocol == "file":
        from flyte.storage._local import LOCAL_FILES

        return LOCAL_FILES
    if protocol in OBJECT_PROTOCOLS:
        from flyte.storage._objects import OBJECTS

        return OBJECTS
    from flyte.storage._foreign import foreign_files

    return foreign_files(address)
