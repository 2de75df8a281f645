"""Moving data between this machine and addresses: the blocking core, and the awaitable functions users call."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, AsyncGenerator, AsyncIterable, Optional, Union
from uuid import uuid4

from flyte.errors import InvalidAddressError, NotInTaskContextError
from flyte.storage._addresses import absolute, base_name, below, is_remote, join, local_path
from flyte.storage._backend import ANYTHING, STANDARD, Expected, Stored, Tuning, backend_of
from flyte.storage._digests import digest_of_bytes
from flyte.storage._failures import not_found, wrong_kind
from flyte.storage._flushing import wait_until_flushed
from flyte.storage._open_files import AsyncFile, FileMode, opened
from flyte.storage._temporary import get_random_local_path

if TYPE_CHECKING:
    from flyte.models import RawDataPath

_STREAM_BYTES = 10 << 20


def new_address(name: str | None = None) -> str:
    """An address below the raw data path of the running task that nothing else uses.

    Args:
        name: The last part of it.

    Raises:
        NotInTaskContextError: no task is running here.
        InvalidAddressError: `name` is not a relative path that stays in its folder.
    """
    from flyte._context import ctx

    raw_data_path = ctx().raw_data_path
    if raw_data_path is None:
        raise _no_task()
    # Not the chance of `random`: tasks seed it, and what one wrote would then be overwritten by the next.
    folder = join(absolute(raw_data_path.path).rstrip("/"), uuid4().hex)
    address = folder if name is None else below(folder, name)
    if not is_remote(address):
        Path(address).parent.mkdir(parents=True, exist_ok=True)
    return address


def content_address(digest: str, name: str | None = None, raw_data_path: RawDataPath | None = None) -> str:
    """The address below a raw data path for data of this content, and of no other.

    Whoever finds something there need not write it again: it is complete, and it is the same.

    Args:
        digest: Content hash of the data.
        name: Last part of the address; without one it is that of a folder.
        raw_data_path: Default that of the running task.

    Raises:
        NotInTaskContextError: no raw data path is given, and no task is running here.
    """
    from flyte._context import ctx

    raw_data_path = raw_data_path or ctx().raw_data_path
    if raw_data_path is None:
        raise _no_task()
    folder = join(absolute(raw_data_path.path).rstrip("/"), digest.rpartition(":")[2][:32])
    return folder if name is None else below(folder, name)


def store_content(data: bytes, name: str, raw_data_path: RawDataPath | None = None) -> tuple[str, str]:
    """`data` is at the address made of its content, on the disk; returns the address and the content hash.

    What is there already is not written again.

    Args:
        data: The content.
        name: Last part of the address.
        raw_data_path: Default that of the running task.

    Raises:
        NotInTaskContextError: no raw data path is given, and no task is running here.
        StorageError: it cannot be written.
    """
    digest = digest_of_bytes(data)
    address = content_address(digest, name, raw_data_path)
    backend = backend_of(address)
    found = backend.find(address)
    # Before it was flushed a power cut may have left its name and less of it.
    if found is None or found.size != len(data):
        backend.write(address, data)
    wait_until_flushed(address)
    return address, digest


def fetch(
    from_path: str,
    to_path: Union[str, Path, None] = None,
    *,
    recursive: bool = False,
    tuning: Tuning = STANDARD,
    expected: Expected = ANYTHING,
) -> str:
    """What is at an address is at a local path, whole; returns the path. See `get`."""
    backend = backend_of(from_path)
    fetch_it = backend.fetch_folder if recursive else backend.fetch_file
    if to_path is None:
        target = get_random_local_path(base_name(from_path) or None)
        try:
            fetch_it(from_path, target, tuning, expected)
        except BaseException:
            target.parent.rmdir()
            raise
        return str(target)
    target = _on_this_machine(to_path)
    if not recursive and (os.fspath(to_path).endswith("/") or target.is_dir()):
        target /= base_name(from_path)
    fetch_it(from_path, target, tuning, expected)
    return str(target)


def store(
    from_path: str, to_path: str | None = None, *, recursive: bool = False, tuning: Tuning = STANDARD
) -> tuple[str, Stored]:
    """A local file or folder is at an address, whole; returns the address and what was stored. See `put`."""
    source = _on_this_machine(from_path)
    if not source.exists() and not source.is_symlink():
        raise not_found(from_path, "read")
    if source.is_dir() != recursive:
        if recursive:
            raise wrong_kind(from_path, "upload", "a file", "folder")
        raise wrong_kind(from_path, "upload", "a folder", "file")
    target = absolute(to_path) if to_path is not None else new_address(source.resolve().name)
    backend = backend_of(target)
    stored = (backend.store_folder if recursive else backend.store_file)(source, target, tuning)
    return target, stored


def _on_this_machine(address: str | Path) -> Path:
    """The path that an address means which is due to be local.

    Raises:
        InvalidAddressError: it is of somewhere else, or no path at all.
    """
    if is_remote(address):
        raise InvalidAddressError(str(address), f"{str(address)!r} is not on this machine: give a local path there.")
    return local_path(address)


def _no_task() -> NotInTaskContextError:
    return NotInTaskContextError(
        "NotInTaskContextError",
        "there is no raw data path outside a task: give the address to write to, or do this inside a task.",
    )


def exists_sync(path: str) -> bool:
    """Whether there is a file or folder at an address; see `exists`."""
    return backend_of(path).find(path) is not None


async def exists(path: str) -> bool:
    """Whether there is a file or folder at an address.

    Raises:
        StorageError: the store does not answer, or does not let this process look.
    """
    return await asyncio.to_thread(exists_sync, path)


async def get(from_path: str, to_path: Union[str, Path, None] = None, recursive: bool = False) -> str:
    """Download a file, or with `recursive` a folder, whole: no reader of the target sees a part of a file.

    Args:
        from_path: Address of the data; a local path is copied.
        to_path: Local path; an existing folder, or one that ends in `/`, keeps the name of the file. None is a new
            temporary folder.
        recursive: The address is of a folder. One that is there keeps its other files.

    Returns:
        The local path.

    Raises:
        DataNotFoundError: there is nothing at the address.
        WrongKindOfDataError: there is a folder where a file is due, or the other way round.
        StorageError: it cannot be read, or not be written here.
    """
    return await asyncio.to_thread(partial(fetch, from_path, to_path, recursive=recursive))


async def put(
    from_path: str,
    to_path: Optional[str] = None,
    recursive: bool = False,
    batch_size: Optional[int] = None,
    chunk_size: Optional[int] = None,
    max_concurrency: Optional[int] = None,
) -> str:
    """Upload a local file, or with `recursive` a folder; no reader sees a part of a file.

    Args:
        from_path: Local path.
        to_path: Address; None is a new one below the raw data path of the running task.
        recursive: The path is of a folder.
        batch_size: Files of a folder at the same time, at most; default 32.
        chunk_size: Bytes of one part of a large file; default 8 MiB, and at least 5 MiB.
        max_concurrency: Parts of one file at the same time; default 8.

    Returns:
        The address.

    Raises:
        DataNotFoundError: there is nothing at the path, or no such bucket.
        WrongKindOfDataError: it is a folder and `recursive` is not set, or the other way round.
        NotInTaskContextError: no address is given, and no task is running here.
        StorageError: it cannot be read, or not be written there; what was begun is gone again.
    """
    tuning = Tuning(batch_size, chunk_size, max_concurrency)
    address, _ = await asyncio.to_thread(partial(store, from_path, to_path, recursive=recursive, tuning=tuning))
    return address


async def get_stream(path: str, chunk_size: int = _STREAM_BYTES) -> AsyncGenerator[bytes, None]:
    """The bytes of a file, in chunks of `chunk_size`; the next one is read while one is used.

    Raises:
        ValueError: `chunk_size` is not a whole number from 1.
        StorageError: it cannot be read.
    """
    Tuning(chunk_size=chunk_size)
    opening = opened(path, "rb", block_size=chunk_size)
    file = await asyncio.to_thread(opening.__enter__)
    try:
        while chunk := await asyncio.to_thread(file.read, chunk_size):
            yield chunk
    finally:
        await asyncio.to_thread(opening.__exit__, None, None, None)


async def put_stream(
    data_iterable: Union[AsyncIterable[bytes], bytes],
    *,
    name: str | None = None,
    to_path: str | None = None,
    size_hint: int | None = None,
    chunk_size: int | None = None,
    max_concurrency: int | None = None,
) -> str:
    """Write bytes, or what an async iterable gives; nothing is there until all of it is.

    Args:
        data_iterable: The content.
        name: Last part of a new address below the raw data path of the running task.
        to_path: Address; wins over `name`.
        size_hint: About how many bytes it will be, which decides the size of parts.
        chunk_size: Bytes of one part.
        max_concurrency: Parts at the same time.

    Returns:
        The address.

    Raises:
        NotInTaskContextError: no address is given, and no task is running here.
        StorageError: it cannot be written there.
    """
    from flyte.storage._parts import UPLOAD, part_size

    address = absolute(to_path) if to_path is not None else new_address(name)
    part = part_size(size_hint or 0, Tuning(chunk_size=chunk_size).chunk_size or UPLOAD.chunk_size)
    backend = backend_of(address)
    if isinstance(data_iterable, bytes | bytearray | memoryview):
        await asyncio.to_thread(backend.write, address, data_iterable)
        return address
    writing = await asyncio.to_thread(backend.open_writer, address, Tuning(None, part, max_concurrency))
    try:
        async for chunk in data_iterable:
            await asyncio.to_thread(writing.write, chunk)
    except BaseException:
        await asyncio.to_thread(writing.discard)
        raise
    await asyncio.to_thread(writing.close)
    return address


async def open(path: str, mode: str = "rb", **kwargs: Any) -> AsyncFile:
    """A file at any address, opened: read it, or write and close it; `async with` closes.

    Args:
        path: Its address.
        mode: `rb` or `r` to read, `wb` or `w` to write; a file whose block raises while it is written is not there.
        kwargs: `block_size`, `compression`, `encoding`, `errors` and `newline`, as of `File.open`.

    Raises:
        ValueError: the mode is unknown.
        StorageError: it cannot be opened.
    """
    FileMode(mode)
    return _ClosingFile(await _enter(path, mode, kwargs))


async def _enter(path: str, mode: str, kwargs: dict[str, Any]) -> Any:
    opening = opened(path, mode, **kwargs)
    return opening, await asyncio.to_thread(opening.__enter__)


class _ClosingFile(AsyncFile):
    """Closes the whole stack under an opened file."""

    def __init__(self, entered: Any) -> None:
        self._opening, file = entered
        self._is_open = True
        super().__init__(file)

    async def close(self) -> None:
        await self._exit(None)

    async def __aexit__(self, *details: object) -> None:
        error = details[1]
        await self._exit(error if isinstance(error, BaseException) else None)

    async def _exit(self, error: BaseException | None) -> None:
        if not self._is_open:
            return
        self._is_open = False
        try:
            if error is None:
                await self.settle()
        except BaseException as failure:
            # What could not be written is not to be there.
            await self._leave(failure)
            raise
        await self._leave(error)

    async def _leave(self, error: BaseException | None) -> None:
        kind = None if error is None else type(error)
        try:
            await asyncio.to_thread(self._opening.__exit__, kind, error, None)
        except BaseException as raised:
            if raised is not error:
                raise
