"""`flyte.io.Dir`: a folder that tasks pass to one another."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, List, Optional, Union

from pydantic import ConfigDict
from typing_extensions import TypeVar

from flyte.io._file import File
from flyte.io._reference import EMPTY_DIR, Reference, awaitable, in_a_task, matches_schema
from flyte.storage._addresses import absolute, checked_relative, is_remote, join
from flyte.storage._backend import Expected, Kind, Stored, Tuning, backend_of
from flyte.storage._digests import is_digest
from flyte.storage._failures import not_found, wrong_kind
from flyte.storage._temporary import get_random_local_path
from flyte.storage._transfer import fetch, new_address, store

T = TypeVar("T", default=Any)


class Dir(Reference, Generic[T]):
    """A folder at an address, with all that is in it; what travels between tasks is the address.

    Make one with `from_local` of a folder you have, or with `from_existing_remote` of one that is there. Look into it
    with `walk`, `list_files` and `get_file`, or `download` it.
    """

    model_config = ConfigDict(json_schema_extra={"x-flyte-type": "dir"})

    kind: ClassVar[Kind] = "folder"

    @property
    def is_empty(self) -> bool:
        """Whether it is the folder without files that `empty` makes."""
        return self.path == EMPTY_DIR

    @classmethod
    def empty(cls) -> Dir[Any]:
        """A folder without files, at no address."""
        return EmptyDir()

    @classmethod
    def schema_match(cls, incoming: Any) -> bool:
        """Whether a JSON schema is that of a Dir."""
        return matches_schema(incoming, "dir", {"path", "name", "format", "hash"})

    @classmethod
    def new_remote(cls, dir_name: Optional[str] = None, hash: Optional[str] = None) -> Dir[T]:
        """A folder of the running task that is yet to be filled, at an address nothing else uses; it is not created.

        Args:
            dir_name: Its name.
            hash: Its hash.

        Raises:
            NotInTaskContextError: no task is running here.
            InvalidAddressError: the name leads out of its folder.
        """
        return cls(path=new_address(dir_name), hash=hash)

    @classmethod
    def from_existing_remote(cls, remote_path: str, dir_cache_key: Optional[str] = None) -> Dir[T]:
        """A folder that is at an address; nothing is copied or looked at.

        Args:
            remote_path: The address; a local path works as well.
            dir_cache_key: Its hash: a cached task that gets a folder of the same hash is not run again.
        """
        return cls(path=absolute(remote_path), hash=dir_cache_key)

    @classmethod
    def from_local_sync(
        cls,
        local_path: Union[str, Path],
        remote_destination: Optional[str] = None,
        dir_cache_key: Optional[str] = None,
        batch_size: Optional[int] = None,
        chunk_size: Optional[int] = None,
        max_concurrency: Optional[int] = None,
    ) -> Dir[T]:
        """A copy of a local folder, whole and immutable, where every task finds it; symbolic links are followed.

        Inside a task it is copied now, below the raw data path. Outside one it is when it is given to a run. An object
        store holds no empty folders: those inside are left out, and of an empty one you get `Dir.empty()`.

        Args:
            local_path: The folder.
            remote_destination: The address of the copy; default a new one.
            dir_cache_key: Its hash; default is the content hash, of all names and bytes.
            batch_size: Files at the same time, at most; default 32.
            chunk_size: Bytes of one part of a large file; default 8 MiB, and at least 5 MiB.
            max_concurrency: Parts of one file at the same time; default 8.

        Raises:
            DataNotFoundError: there is no such folder, or a link in it leads nowhere.
            WrongKindOfDataError: it is a file, or holds something that is neither file nor folder.
            InvalidAddressError: a link in it leads to a folder around it.
            StorageError: it cannot be read, or the copy cannot be written; no part of one stays.
        """
        source = Path(os.path.abspath(os.path.expanduser(local_path)))
        tuning = Tuning(batch_size, chunk_size, max_concurrency)
        if not source.exists():
            raise not_found(str(local_path), "use")
        if not source.is_dir():
            raise wrong_kind(str(local_path), "use", "a file", "folder")
        folder = cls(path=str(source), name=source.name, hash=dir_cache_key)
        upload = partial(_upload, source, remote_destination, tuning)
        folder._store(upload, now=in_a_task() or remote_destination is not None)
        return folder

    @classmethod
    async def from_local(
        cls,
        local_path: Union[str, Path],
        remote_destination: Optional[str] = None,
        dir_cache_key: Optional[str] = None,
        batch_size: Optional[int] = None,
        chunk_size: Optional[int] = None,
        max_concurrency: Optional[int] = None,
    ) -> Dir[T]:
        """As `from_local_sync`, awaitable."""
        args = (local_path, remote_destination, dir_cache_key, batch_size, chunk_size, max_concurrency)
        folder: Dir[T] = await awaitable(cls.from_local_sync, *args)
        return folder

    def walk_sync(
        self, recursive: bool = True, file_pattern: str = "*", max_depth: Optional[int] = None
    ) -> Iterator[File[T]]:
        """The files in it, sorted by path.

        Args:
            recursive: Those in folders inside too.
            file_pattern: Only names that match, as `fnmatch` has it: `*.csv`.
            max_depth: How many levels down; 1 is the folder itself.

        Raises:
            StorageError: it cannot be listed.
            ValueError: `max_depth` is less than 1.
        """
        if max_depth is not None and max_depth < 1:
            raise ValueError(f"max_depth is {max_depth}: expected a whole number from 1, or None.")
        levels = 1 if not recursive else max_depth
        for entry in [] if self.is_empty else self._list():
            if levels is not None and entry.count("/") >= levels:
                continue
            if fnmatch(entry.rpartition("/")[2], file_pattern):
                yield self._file(entry)

    async def walk(
        self, recursive: bool = True, max_depth: Optional[int] = None, *, file_pattern: str = "*"
    ) -> AsyncIterator[File[T]]:
        """As `walk_sync`: `async for file in folder.walk()`."""
        for file in await awaitable(lambda: list(self.walk_sync(recursive, file_pattern, max_depth))):
            yield file

    def list_files_sync(self) -> List[File[T]]:
        """The files right in it, sorted by name; not those in folders inside."""
        return list(self.walk_sync(recursive=False))

    async def list_files(self) -> List[File[T]]:
        """As `list_files_sync`, awaitable."""
        files: List[File[T]] = await awaitable(self.list_files_sync)
        return files

    def get_file_sync(self, file_name: str) -> Optional[File[T]]:
        """The file at a relative path in it; None where there is none.

        Raises:
            InvalidAddressError: the path leads out of the folder.
        """
        if self.is_empty:
            return None
        file = self._file(checked_relative(file_name))
        return file if file.exists_sync() else None

    async def get_file(self, file_name: str) -> Optional[File[T]]:
        """As `get_file_sync`, awaitable."""
        file: Optional[File[T]] = await awaitable(self.get_file_sync, file_name)
        return file

    def exists_sync(self) -> bool:
        """Whether there is a folder at the path; an empty one is always there."""
        return self.is_empty or super().exists_sync()

    def download_sync(self, local_path: Union[str, Path, None] = None) -> str:
        """The folder is at a local path; returns the path.

        Args:
            local_path: Where to; a folder that is there keeps its other files. None is the path itself for a local
                folder, and a new temporary folder for any other.

        Raises:
            DataNotFoundError: there is no such folder.
            DataChangedError: it does not hold what was written there.
            StorageError: it cannot be read, or not be written here.
        """
        if self.is_empty:
            target = Path(local_path) if local_path is not None else get_random_local_path("empty")
            target.mkdir(parents=True, exist_ok=True)
            return str(target)
        here = self._already_at(local_path)
        return here or fetch(self.path, local_path, recursive=True, expected=Expected(self.hash))

    async def download(self, local_path: Union[str, Path, None] = None) -> str:
        """As `download_sync`, awaitable."""
        path: str = await awaitable(self.download_sync, local_path)
        return path

    def _file(self, relative: str) -> File[T]:
        # What is known of the folder is known of each of its files: a cached task hits on those of an equal folder.
        part = f"{self.hash}/{relative}" if is_digest(self.hash) else None
        return File(path=join(self.path, relative), hash=part)

    def _list(self) -> List[str]:
        entries = [entry.relative for entry in backend_of(self.path).list_files(self.path)]
        if not entries and not self.exists_sync():
            raise not_found(self.path, "list")
        return entries


class EmptyDir(Dir[Any]):
    """A folder without files. Read back from a record it is a `Dir` whose `is_empty` is true."""

    def __init__(self, path: str = EMPTY_DIR, **data: Any) -> None:
        super().__init__(path=path, **data)


def _upload(source: Path, destination: str | None, tuning: Tuning) -> tuple[str, Stored]:
    address, stored = store(str(source), destination, recursive=True, tuning=tuning)
    if is_remote(address) and not backend_of(address).list_files(address):
        return EMPTY_DIR, stored
    return address, stored
