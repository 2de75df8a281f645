"""What an attempt leaves for the next one."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Optional, Protocol

from flyte._atomic import replace_atomically
from flyte.errors import StorageError


class BaseCheckpoint(ABC):
    """The interface of a task's checkpoint, `flyte.ctx().checkpoint`."""

    @property
    @abstractmethod
    def path(self) -> Path:
        """A local folder to work in; also where a saved folder is unpacked."""

    @abstractmethod
    def prev_exists(self) -> bool:
        """True when there is a place to load from; what is there may still be missing."""

    @abstractmethod
    async def load(self) -> Optional[Path]:
        """Fetch what the previous attempt saved; None when it saved nothing."""

    @abstractmethod
    async def save(self, data: Path | str | bytes) -> None:
        """Leave bytes, a file or a folder for the next attempt."""

    @abstractmethod
    def load_sync(self) -> Optional[Path]:
        """`load`, blocking."""

    @abstractmethod
    def save_sync(self, data: Path | str | bytes) -> None:
        """`save`, blocking."""


class Checkpoint(BaseCheckpoint):
    """A checkpoint kept in one file: bytes and files as they are, a folder as a gzip tar archive.

    Args:
        checkpoint_dest: The file that `save` writes.
        checkpoint_src: The file that `load` reads; None or blank when there was no attempt before.

    Raises:
        NotImplementedError: one of them is on remote storage, and nothing in this process reaches that.
    """

    def __init__(self, checkpoint_dest: str, checkpoint_src: str | None = None) -> None:
        source = None if is_blank(checkpoint_src) else checkpoint_src
        self._dest = _file(checkpoint_dest)
        self._source = None if source is None else _file(source)
        self._remote_destination = checkpoint_dest
        self._remote_source = source
        self._loaded: Path | None = None

    @property
    def remote_destination(self) -> str:
        """Where `save` writes."""
        return self._remote_destination

    @property
    def remote_source(self) -> str | None:
        """Where `load` reads, if anywhere."""
        return self._remote_source

    @property
    def places(self) -> tuple[str, str | None]:
        """Where `save` writes and `load` reads."""
        return self._remote_destination, self._remote_source

    @cached_property
    def path(self) -> Path:
        """A temporary folder of this object's own; it is gone when the process has ended by itself."""
        import atexit
        from tempfile import mkdtemp

        path = Path(mkdtemp(prefix="flyte-cp-"))
        atexit.register(_remove_in, os.getpid(), path)
        return path

    def prev_exists(self) -> bool:
        """True when there is a file to load from; whether it was ever written is for `load` to find out."""
        return self._source is not None

    async def load(self) -> Optional[Path]:
        """Fetch what the previous attempt saved.

        Returns:
            `path`, filled, when a folder was saved; else the file `path / "payload"`. None when nothing was saved or
            it cannot be read. Loading again gives the same answer and reads nothing.
        """
        from asyncio import to_thread

        return await to_thread(self.load_sync)

    async def save(self, data: Path | str | bytes) -> None:
        """Replace what is saved, in one step: a crash while saving leaves the earlier checkpoint whole.

        Args:
            data: Bytes, or the path of a file or folder.

        Raises:
            FileNotFoundError: there is no such file or folder.
        """
        from asyncio import to_thread

        await to_thread(self.save_sync, data)

    def load_sync(self) -> Optional[Path]:
        """`load`, blocking."""
        if self._loaded is None and self._source is not None:
            try:
                with self._source.fetched() as file:
                    self._loaded = _unpack(file, self.path)
            except FileNotFoundError:
                # A first attempt has nothing to find.
                return None
            except (OSError, StorageError) as error:
                from flyte._logging import system_logger

                # One that cannot read its checkpoint can still start afresh.
                system_logger.warning("the checkpoint at %s cannot be read: %s", self._remote_source, error)
                return None
        return self._loaded

    def save_sync(self, data: Path | str | bytes) -> None:
        """`save`, blocking."""
        if isinstance(data, bytes):
            self._dest.replace(lambda file: file.write(data))
            return
        origin = Path(data)
        if origin.is_dir():
            self._dest.replace(lambda file: _pack(origin, file))
        elif origin.exists():
            self._dest.replace(lambda file: _copy(origin, file))
        else:
            raise FileNotFoundError(f"checkpoint: there is no file or folder {os.fspath(origin)!r} to save")


def is_blank(path: str | None) -> bool:
    """True for a path that says "none": unset, blank, or a pair of quotes around nothing, as templates leave behind."""
    return path is None or not path.strip().strip("\"'").strip()


class RemoteFiles(Protocol):
    """What moves files between this machine and addresses; in place whole, or not at all."""

    def fetch(self, address: str, path: Path) -> None:
        """The file at the address is at the path. Raises `StorageError` where it cannot be read."""
        ...

    def store(self, path: Path, address: str) -> None:
        """The file at the path is at the address."""
        ...


_remote_files: RemoteFiles | None = None


def use_remote_files(files: RemoteFiles) -> None:
    """From now on checkpoints on remote storage are reached by `files`."""
    global _remote_files
    _remote_files = files


@dataclass(frozen=True, slots=True)
class _LocalFile:
    path: Path

    @contextmanager
    def fetched(self) -> Iterator[Path]:
        yield self.path

    def replace(self, write: Callable[[IO[bytes]], object]) -> None:
        replace_atomically(self.path, write)


@dataclass(frozen=True, slots=True)
class _RemoteFile:
    address: str
    files: RemoteFiles

    @contextmanager
    def fetched(self) -> Iterator[Path]:
        from tempfile import TemporaryDirectory

        with TemporaryDirectory(prefix="flyte-cp-") as folder:
            path = Path(folder, "checkpoint")
            self.files.fetch(self.address, path)
            yield path

    def replace(self, write: Callable[[IO[bytes]], object]) -> None:
        from tempfile import TemporaryDirectory

        with TemporaryDirectory(prefix="flyte-cp-") as folder:
            path = Path(folder, "checkpoint")
            with path.open("wb") as file:
                write(file)
            self.files.store(path, self.address)


def _file(address: str) -> _LocalFile | _RemoteFile:
    scheme, separator, rest = address.partition("://")
    if not separator or scheme == "file":
        return _LocalFile(Path(rest if separator else address))
    if _remote_files is None:
        raise NotImplementedError(
            f"checkpoint {address!r} is on remote storage ({scheme}), which only the process of a served task reaches. "
            f"Run the task locally, or give a path on this machine."
        )
    return _RemoteFile(address, _remote_files)


def _remove_in(process_id: int, folder: Path) -> None:
    # A forked process has the folder of its parent.
    if os.getpid() == process_id:
        _remove(folder)


def _remove(path: Path) -> None:
    from shutil import rmtree

    if path.is_dir() and not path.is_symlink():
        rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _copy(origin: Path, file: IO[bytes]) -> None:
    from shutil import copyfileobj

    with origin.open("rb") as source:
        copyfileobj(source, file)


def _pack(folder: Path, file: IO[bytes]) -> None:
    import tarfile

    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for child in sorted(folder.iterdir()):
            archive.add(child, arcname=child.name)


def _unpack(source: Path, folder: Path) -> Path:
    import tarfile
    import zlib
    from shutil import copyfile

    if tarfile.is_tarfile(source):
        names_before = set(os.listdir(folder))
        try:
            with tarfile.open(source) as archive:
                archive.extractall(folder, filter="data")
        except tarfile.FilterError:
            raise  # Nobody saves such an archive by accident.
        except (tarfile.TarError, EOFError, zlib.error) as error:
            for name in set(os.listdir(folder)) - names_before:
                _remove(folder / name)
            raise OSError(f"its archive is damaged ({error})") from error
        return folder
    payload = folder / "payload"
    copyfile(source, payload)
    return payload
