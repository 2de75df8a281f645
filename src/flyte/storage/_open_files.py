"""Opening files at any address: as Python file objects, and as their awaitable form."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath
from typing import IO, Any, Protocol, TypeVar

from flyte.storage._addresses import absolute
from flyte.storage._backend import ANYTHING, Expected, Stored, Tuning, Writing, backend_of
from flyte.storage._digests import is_digest
from flyte.storage._trailing import TrailingDigester

DEFAULT_BLOCK_BYTES = 8 << 20

_AT_ONCE = 4 << 20
"""Up to so many bytes that are in memory are read without a thread, and so many are written by it in one go, since to
switch to a thread and back takes longer than to copy them."""

_PIECES_AT_ONCE = 4096

_COMPRESSIONS = {"gzip": "gzip", "bz2": "bz2", "xz": "lzma", "lzma": "lzma"}
_SUFFIXES = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz"}


B = TypeVar("B", bytes, memoryview)


class Hasher(Protocol):
    """What sees the bytes of a file while they are written."""

    def update(self, data: Any, /) -> object:
        """The next bytes."""
        ...


class FileMode:
    """The mode of an opened file.

    Raises:
        ValueError: it is not one that files at any address have.
    """

    def __init__(self, mode: str) -> None:
        kinds = mode.replace("b", "").replace("t", "")
        if kinds not in ("r", "w", "x") or ("b" in mode and "t" in mode) or len(set(mode)) != len(mode):
            raise ValueError(
                f"mode {mode!r} is not possible: data is immutable, so use 'rb' or 'r' to read it, 'wb' or 'w' to write"
                " a new file ('x' if it must not be there yet)."
            )
        self.is_text = "b" not in mode
        self.reads = kinds == "r"
        self.is_exclusive = kinds == "x"


@contextmanager
def opened(
    address: str,
    mode: str = "rb",
    *,
    block_size: int | None = None,
    compression: str | None = None,
    expected: Expected = ANYTHING,
    hasher: Hasher | None = None,
    on_stored: Callable[[Stored], None] | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
) -> Iterator[IO[Any]]:
    """A file object; what was written is at the address when the block ends, and nothing when it raises.

    Args:
        address: Of the file.
        mode: `rb` or `r`, `wb` or `w`, `xb` or `x`.
        block_size: Bytes of one request; for reading also of what is read ahead.
        compression: `gzip`, `bz2`, `xz`, or `infer` from the name.
        expected: Who reads all of the file in order learns at its end when it is not what is expected.
        hasher: Sees the bytes that are written.
        on_stored: Called with what was written.
        encoding: Of text; default UTF-8.
        errors: As of `open`.
        newline: As of `open`.

    Raises:
        ValueError: the mode or compression is unknown.
        StorageError: the data cannot be read or written.
    """
    wanted = FileMode(mode)
    packing = _compression(address, compression)
    tuning = Tuning(chunk_size=block_size)
    stack: list[Any] = []
    writing: Writing | None = None
    try:
        if wanted.reads:
            stack.append(backend_of(address).open_reader(address, block_size or DEFAULT_BLOCK_BYTES))
            if is_digest(expected.digest):
                stack.append(_Verified(stack[-1], address, expected))
        else:
            writing = _new_file(address, tuning, must_be_new=wanted.is_exclusive)
            stack.append(_Seen(writing, hasher) if hasher is not None else writing)
            stack.append(io.BufferedWriter(stack[-1], 1 << 18))
        if packing is not None:
            stack.append(packing.open(stack[-1], "rb" if wanted.reads else "wb"))
        if wanted.is_text:
            stack.append(io.TextIOWrapper(stack[-1], encoding or "utf-8", errors, newline))
        yield stack[-1]
        for each in reversed(stack):
            each.close()
    except BaseException:
        if writing is not None:
            writing.discard()
        for each in reversed(stack):
            with suppress(Exception):
                each.close()
        raise
    if writing is not None:
        writing.close()
        if on_stored is not None and writing.stored is not None:
            on_stored(writing.stored)


class AsyncFile:
    """An opened file whose methods are awaited; what may take long runs on a thread."""

    def __init__(self, file: IO[Any]) -> None:
        self._file = file
        self._unwritten: list[Any] = []
        self._unwritten_size = 0

    async def read(self, size: int | None = -1) -> Any:
        """Up to `size` bytes, or characters; all that is left for -1 or None."""
        read_now = getattr(self._file, "read_now", None)
        if read_now is not None and size is not None and 0 < size <= _AT_ONCE:
            data = read_now(size)
            if data is not None:
                # Others get their turn, as they would while a thread reads.
                await asyncio.sleep(0)
                return data
        return await self._on_thread(self._file.read, -1 if size is None else size)

    async def readline(self, size: int = -1) -> Any:
        """The next line."""
        return await self._on_thread(self._file.readline, size)

    async def readlines(self, hint: int = -1) -> list[Any]:
        """The lines that are left."""
        lines: list[Any] = await self._on_thread(self._file.readlines, hint)
        return lines

    async def write(self, data: Any) -> int:
        """Write all of `data`; what cannot be written may be told by a later call, `close` at the latest."""
        if not isinstance(data, bytes | str):
            written: int = await self._on_thread(self._file.write, data)
            return written
        if self._file.closed or not self._file.writable() or isinstance(data, str) != _is_text(self._file):
            # Which says what is wrong.
            return self._file.write(data)
        self._unwritten.append(data)
        self._unwritten_size += len(data)
        if self._unwritten_size >= _AT_ONCE or len(self._unwritten) >= _PIECES_AT_ONCE:
            await self.settle()
        return len(data)

    async def writelines(self, lines: Iterable[Any]) -> None:
        """Write each of the lines."""
        await self._on_thread(self._file.writelines, lines)

    async def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a position; returns it."""
        position: int = await self._on_thread(self._file.seek, offset, whence)
        return position

    async def tell(self) -> int:
        """The position."""
        await self.settle()
        return self._file.tell()

    async def flush(self) -> None:
        """What was written is on its way."""
        await self._on_thread(self._file.flush)

    async def close(self) -> None:
        """Nothing more can be read or written; a file that was written is at its address."""
        await self._on_thread(self._file.close)

    async def settle(self) -> None:
        """What `write` was given is written."""
        pieces, self._unwritten, self._unwritten_size = self._unwritten, [], 0
        if pieces:
            await asyncio.to_thread(_write_each, self._file, pieces)

    async def _on_thread(self, call: Callable[..., Any], *args: Any) -> Any:
        await self.settle()
        return await asyncio.to_thread(call, *args)

    def readable(self) -> bool:
        """True for a file that was opened for reading."""
        return self._file.readable()

    def writable(self) -> bool:
        """True for a file that was opened for writing."""
        return self._file.writable()

    def seekable(self) -> bool:
        """Whether `seek` is possible."""
        return self._file.seekable()

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._file.closed

    async def __aenter__(self) -> AsyncFile:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._lines()

    async def _lines(self) -> AsyncIterator[Any]:
        while line := await self.readline():
            yield line


def _write_each(file: IO[Any], pieces: list[Any]) -> None:
    for piece in pieces:
        file.write(piece)


def _is_text(file: IO[Any]) -> bool:
    return isinstance(file, io.TextIOBase)


def _new_file(address: str, tuning: Tuning, *, must_be_new: bool) -> Writing:
    backend = backend_of(address)
    if must_be_new and backend.find(address) is not None:
        raise FileExistsError(f"{address} is there already: mode 'x' writes new files only.")
    return backend.open_writer(absolute(address), tuning)


def _compression(address: str, name: str | None) -> Any:
    from importlib import import_module

    if name == "infer":
        name = _SUFFIXES.get(PurePosixPath(address).suffix)
    if name is None:
        return None
    if name not in _COMPRESSIONS:
        raise ValueError(f"compression {name!r} is unknown: use one of {', '.join(_COMPRESSIONS)} or 'infer'.")
    return import_module(_COMPRESSIONS[name])


class _Seen(io.RawIOBase):
    """A file whose bytes a hasher sees while they are written."""

    def __init__(self, file: Writing, hasher: Hasher) -> None:
        self._file = file
        self._hasher = hasher

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._hasher.update(memoryview(data).cast("B"))
        return self._file.write(data) or 0


class _Verified(io.BufferedIOBase):
    """Hashes what is read in order from the start, and compares at the end; after a seek nothing is compared."""

    def __init__(self, file: io.BufferedIOBase, address: str, expected: Expected) -> None:
        self._file = file
        self._address = address
        self._expected = expected
        self._digester: TrailingDigester | None = TrailingDigester()

    def read(self, size: int | None = -1, /) -> bytes:
        size = -1 if size is None else size
        return self._seen(self._file.read(size), size, is_rest=size < 0)

    def read_now(self, size: int) -> bytes | None:
        """As of `LocalReader`."""
        read_now = getattr(self._file, "read_now", None)
        data = None if read_now is None else read_now(size)
        return None if data is None else self._seen(data, size)

    def read1(self, size: int = -1, /) -> bytes:
        return self._seen(self._file.read1(size), size)

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        count = self._file.readinto(view)
        self._seen(view[:count], len(view))
        return count

    def readline(self, size: int | None = -1, /) -> bytes:
        size = -1 if size is None else size
        return self._seen(self._file.readline(size), size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        before = self._file.tell()
        after = self._file.seek(offset, whence)
        if after == 0:
            self._drop(TrailingDigester())
        elif after != before:
            self._drop(None)
        return after

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._drop(None)
        self._file.close()
        super().close()

    def _drop(self, following: TrailingDigester | None) -> None:
        if self._digester is not None:
            self._digester.close()
        self._digester = following

    def _seen(self, data: B, asked: int, *, is_rest: bool = False) -> B:
        digester = self._digester
        if digester is not None:
            digester.update(data)
            # Nothing where nothing was asked for is not the end.
            if is_rest or (asked and not len(data)):
                found = digester.digest()
                self._drop(None)
                self._expected.check(self._address, lambda: found)
        return data
