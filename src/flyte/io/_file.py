"""`flyte.io.File`: a file that tasks pass to one another."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Annotated, Any, ClassVar, Generic, Optional, Union

from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypeVar

from flyte.io._hashing import HashFunction, HashMethod, WholeContent, hash_of_file, known_hash
from flyte.io._reference import Reference, awaitable, in_a_task, matches_schema, named_address
from flyte.storage._addresses import absolute
from flyte.storage._backend import Expected, Kind, Tuning
from flyte.storage._failures import not_found, wrong_kind
from flyte.storage._open_files import AsyncFile, FileMode, opened
from flyte.storage._transfer import fetch, new_address, store

T = TypeVar("T", default=Any)

_CACHE_TYPES = ("readahead", "none")


class File(Reference, Generic[T]):
    """A file at an address; what travels between tasks is the address, not the bytes.

    Make one with `from_local` of a file you have, with `new_remote` and `open` of one you write, or with
    `from_existing_remote` of one that is there. Read it with `open`, or `download` it.
    """

    model_config = ConfigDict(json_schema_extra={"x-flyte-type": "file"})

    hash_method: Annotated[Optional[HashMethod], SkipJsonSchema()] = Field(default=None, exclude=True, repr=False)

    kind: ClassVar[Kind] = "file"

    @classmethod
    def schema_match(cls, incoming: Any) -> bool:
        """Whether a JSON schema is that of a File."""
        return matches_schema(incoming, "file", {"path", "name", "format", "hash"})

    @classmethod
    def new_remote(cls, file_name: Optional[str] = None, hash_method: Union[HashMethod, str, None] = None) -> File[T]:
        """A file of the running task that is yet to be written, by `open("wb")`, at an address nothing else uses.

        Args:
            file_name: Its name; may hold folders.
            hash_method: Its hash; or what computes it while the file is written. Default is the content hash.

        Raises:
            NotInTaskContextError: no task is running here.
            InvalidAddressError: the name leads out of its folder.
        """
        given = known_hash(hash_method)
        method = None if isinstance(hash_method, str) else hash_method
        return cls(path=new_address(file_name), hash=given, hash_method=method)

    @classmethod
    def named_remote(cls, name: str) -> File[T]:
        """A file of the running action that has the same address in each attempt.

        An attempt finds there what an earlier one wrote; `exists` tells. Nobody outside the action should count on it
        before the action has succeeded.

        Raises:
            NotInTaskContextError: no task is running here.
            InvalidAddressError: the name leads out of its folder.
        """
        return cls(path=named_address(name))

    @classmethod
    def from_existing_remote(cls, remote_path: str, file_cache_key: Optional[str] = None) -> File[T]:
        """A file that is at an address; nothing is copied or looked at.

        Args:
            remote_path: The address; a local path works as well.
            file_cache_key: Its hash: a cached task that gets a file of the same hash is not run again.
        """
        return cls(path=absolute(remote_path), hash=file_cache_key)

    @classmethod
    def from_local_sync(
        cls,
        local_path: Union[str, Path],
        remote_destination: Optional[str] = None,
        hash_method: Union[HashMethod, str, None] = None,
        chunk_size: Optional[int] = None,
        max_concurrency: Optional[int] = None,
    ) -> File[T]:
        """A copy of a local file, whole and immutable, where every task finds it.

        Inside a task it is copied now, below the raw data path. Outside one it is when it is given to a run.

        Args:
            local_path: The file.
            remote_destination: The address of the copy; default a new one.
            hash_method: Its hash, or what computes it; default is the content hash.
            chunk_size: Bytes of one part of an upload; default 8 MiB, and at least 5 MiB.
            max_concurrency: Parts at the same time; default 8.

        Raises:
            DataNotFoundError: there is no such file.
            WrongKindOfDataError: it is a folder, or no regular file.
            StorageError: it cannot be read, or the copy cannot be written; no part of one stays.
        """
        source = Path(os.path.abspath(os.path.expanduser(local_path)))
        tuning = Tuning(chunk_size=chunk_size, max_concurrency=max_concurrency)
        given = known_hash(hash_method)
        if source.is_dir():
            raise wrong_kind(str(local_path), "use", "a folder", "file")
        if not source.exists() and not source.is_symlink():
            raise not_found(str(local_path), "use")
        if given is None and hash_method is not None and not isinstance(hash_method, str):
            given = hash_of_file(source, hash_method)
        file = cls(path=str(source), name=source.name, hash=given)
        upload = partial(store, str(source), remote_destination, tuning=tuning)
        file._store(upload, now=in_a_task() or remote_destination is not None)
        return file

    @classmethod
    async def from_local(
        cls,
        local_path: Union[str, Path],
        remote_destination: Optional[str] = None,
        hash_method: Union[HashMethod, str, None] = None,
        chunk_size: Optional[int] = None,
        max_concurrency: Optional[int] = None,
    ) -> File[T]:
        """As `from_local_sync`, awaitable."""
        args = (local_path, remote_destination, hash_method, chunk_size, max_concurrency)
        file: File[T] = await awaitable(cls.from_local_sync, *args)
        return file

    @contextmanager
    def open_sync(
        self,
        mode: str = "rb",
        block_size: Optional[int] = None,
        cache_type: str = "readahead",
        cache_options: Optional[dict[str, Any]] = None,
        compression: Optional[str] = None,
        *,
        encoding: Optional[str] = None,
        errors: Optional[str] = None,
        newline: Optional[str] = None,
    ) -> Iterator[IO[Any]]:
        """A file object. A file that is written is there, whole, when the block ends, and not at all when it raises.

        Args:
            mode: `rb` or `r` to read, `wb` or `w` to write, `xb` or `x` to write what must not be there yet.
            block_size: Bytes of one request, and of what is read ahead; default 8 MiB.
            cache_type: `readahead`, or `none` to fetch no more than is asked for.
            cache_options: None; there are no options.
            compression: `gzip`, `bz2`, `xz`, or `infer` from the name.
            encoding: Of text; default UTF-8.
            errors: As of the built-in `open`.
            newline: As of the built-in `open`.

        Raises:
            ValueError: an option is unknown.
            DataNotFoundError: there is no such file.
            DataChangedError: at the end of reading it all: it is not what was written there.
            StorageError: it cannot be read or written.
        """
        if cache_type not in _CACHE_TYPES or cache_options:
            raise ValueError(
                f"cache_type={cache_type!r} with cache_options={cache_options!r} is not possible: use "
                f"{' or '.join(map(repr, _CACHE_TYPES))}, without options."
            )
        method = self.hash_method
        hasher = WholeContent(method) if isinstance(method, HashFunction) else method
        if hasher is method and method is not None:
            method.reset()
        reads = FileMode(mode).reads
        with opened(
            self.path,
            mode,
            block_size=block_size or (1 << 16 if cache_type == "none" and reads else None),
            compression=compression,
            expected=Expected(self.hash),
            hasher=None if reads else hasher,
            on_stored=None if hasher is not None else self._take_hash,
            encoding=encoding,
            errors=errors,
            newline=newline,
        ) as file:
            yield file
        if not reads and hasher is not None:
            self.hash = hasher.result()

    @asynccontextmanager
    async def open(
        self,
        mode: str = "rb",
        block_size: Optional[int] = None,
        cache_type: str = "readahead",
        cache_options: Optional[dict[str, Any]] = None,
        compression: Optional[str] = None,
        *,
        encoding: Optional[str] = None,
        errors: Optional[str] = None,
        newline: Optional[str] = None,
    ) -> AsyncIterator[AsyncFile]:
        """As `open_sync`, with methods that are awaited: `async with file.open() as f: await f.read()`."""
        args = (mode, block_size, cache_type, cache_options, compression)
        opening = self.open_sync(*args, encoding=encoding, errors=errors, newline=newline)
        file = await awaitable(opening.__enter__)
        awaited = AsyncFile(file)
        try:
            yield awaited
            await awaited.settle()
        except BaseException as error:
            await awaitable(opening.__exit__, type(error), error, error.__traceback__)
            raise
        await awaitable(opening.__exit__, None, None, None)

    def download_sync(self, local_path: Union[str, Path, None] = None) -> str:
        """The file is at a local path, whole; returns the path.

        Args:
            local_path: Where to; a folder, or a path that ends in `/`, keeps the name. None is the path itself for a
                local file, and a new temporary folder for any other.

        Raises:
            DataNotFoundError: there is no such file.
            DataChangedError: it is not what was written there.
            StorageError: it cannot be read, or not be written here; no part of it stays.
        """
        return self._already_at(local_path) or fetch(self.path, local_path, expected=Expected(self.hash))

    async def download(self, local_path: Union[str, Path, None] = None) -> str:
        """As `download_sync`, awaitable."""
        path: str = await awaitable(self.download_sync, local_path)
        return path
