"""What an attempt leaves for the next one."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import IO, Optional

from flyte._atomic import replace_atomically


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
    """A checkpoint kept in one local file: bytes and files as they are, a folder as a gzip tar archive.

    Args:
        checkpoint_dest: The file that `save` writes.
        checkpoint_src: The file that `load` reads; None or blank when there was no attempt before.

    Raises:
        NotImplementedError: one of them is on remote storage.
    """

    def __init__(self, checkpoint_dest: str, checkpoint_src: str | None = None) -> None:
        source = None if is_blank(checkpoint_src) else checkpoint_src
        self._dest = _local_file(checkpoint_dest)
        self._source = None if source is None else _local_file(source)
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
        """A temporary folder of this object's own."""
        from tempfile import mkdtemp

        return Path(mkdtemp(prefix="flyte-cp-"))

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
                self._loaded = _unpack(self._source, self.path)
            except OSError:
                # A first attempt has nothing to find, and one that cannot read its checkpoint can still start afresh.
                return None
        return self._loaded

    def save_sync(self, data: Path | str | bytes) -> None:
        """`save`, blocking."""
        if isinstance(data, bytes):
            replace_atomically(self._dest, lambda file: file.write(data))
            return
        origin = Path(data)
        if origin.is_dir():
            replace_atomically(self._dest, lambda file: _pack(origin, file))
        elif origin.exists():
            replace_atomically(self._dest, lambda file: _copy(origin, file))
        else:
            raise FileNotFoundError(f"checkpoint: there is no file or folder {os.fspath(origin)!r} to save")


def is_blank(path: str | None) -> bool:
    """True for a path that says "none": unset, blank, or a pair of quotes around nothing, as templates leave behind."""
    return path is None or not path.strip().strip("\"'").strip()


def _local_file(address: str) -> Path:
    scheme, separator, rest = address.partition("://")
    if separator and scheme != "file":
        raise NotImplementedError(
            f"checkpoint {address!r} is on remote storage ({scheme}), which checkpoints cannot reach yet. "
            f"Run the task locally, or give a path on this machine."
        )
    return Path(rest if separator else address)


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
    from shutil import copyfile

    if tarfile.is_tarfile(source):
        with tarfile.open(source) as archive:
            archive.extractall(folder, filter="data")
        return folder
    payload = folder / "payload"
    copyfile(source, payload)
    return payload
