"""The code of attempts, unpacked once for all that share it."""

from __future__ import annotations

import asyncio
import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from flyte._bundle.inflating import LOCK, MARKER, inflate
from flyte._server.executors.refused import CODE_UNAVAILABLE, UnrunnableError
from flyte.errors import CodeBundleError, StorageError
from flyte.models import CodeBundle

FOLDER = "code"
_TGZ, _VERSION, _DESTINATION, _RESOLVER = "--tgz", "--version", "--dest", "--resolver"


@dataclass(frozen=True, slots=True)
class Code:
    """Where attempts find their code.

    Attributes:
        arguments: Their command line, with the place of the code in it.
        folder: With the unpacked bundle; None where there is none.
        module: The one that holds the task; None where it is not found by one.
    """

    arguments: tuple[str, ...]
    folder: Path | None = None
    module: str | None = None


class SharedCode:
    """Bundles in folders below `home`, one each. Lives on one event loop."""

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER
        self._unpacking: dict[Path, asyncio.Task[None]] = {}

    async def prepare(self, arguments: tuple[str, ...]) -> Code:
        """The code that a command line names is unpacked, and named as the place to find it.

        Raises:
            UnrunnableError: it cannot be.
        """
        address, version = value_of(arguments, _TGZ), value_of(arguments, _VERSION) or ""
        module, name = _module_of(arguments), folder_of(arguments)
        if address is None or name is None:
            return Code(arguments, None, module)
        folder = self._folder / name
        unpacking = self._unpacking.get(folder)
        if unpacking is None or (unpacking.done() and (_has_failed(unpacking) or not folder.exists())):
            unpacking = asyncio.ensure_future(asyncio.to_thread(_unpack, address, version, folder))
            self._unpacking[folder] = unpacking
        await asyncio.shield(unpacking)
        return Code(with_value(arguments, _DESTINATION, str(folder)), folder, module)

    async def close(self) -> None:
        """Nothing is being unpacked."""
        if self._unpacking:
            await asyncio.wait(self._unpacking.values())


def folder_of(arguments: tuple[str, ...]) -> str | None:
    """The name of the folder for the code that a command line names; None where it names none."""
    address = value_of(arguments, _TGZ)
    if address is None:
        return None
    return hashlib.sha256(f"{value_of(arguments, _VERSION) or ''}\0{address}".encode()).hexdigest()[:32]


def link_code(code: Path, folder: Path) -> None:
    """What a bundle has at its top is in a working directory too: tasks open data of theirs by relative paths."""
    for name in os.listdir(code):
        if name not in (LOCK, MARKER):
            with suppress(FileExistsError):
                os.symlink(code / name, folder / name)


def tidy(folder: Path, code: Path | None) -> None:
    """A working directory that has nothing but such links is gone."""
    with suppress(OSError):
        links = [folder / name for name in os.listdir(folder)]
        if all(link.is_symlink() and code is not None and Path(os.readlink(link)).parent == code for link in links):
            for link in links:
                link.unlink()
            folder.rmdir()


class Tidying:
    """Tidies working directories on a thread: where much is flushed, deleting takes the disk milliseconds."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Path, Path | None]] = []
        self._tidying: asyncio.Task[None] | None = None

    def later(self, folder: Path, code: Path | None) -> None:
        """It is tidied up soon."""
        self._waiting.append((folder, code))
        if self._tidying is None:
            self._tidying = asyncio.ensure_future(self._tidy())

    async def close(self) -> None:
        """Nothing waits any more."""
        if self._tidying is not None:
            await asyncio.wait([self._tidying])

    async def _tidy(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            await asyncio.to_thread(_tidy_all, batch)
        self._tidying = None


def _tidy_all(batch: list[tuple[Path, Path | None]]) -> None:
    for folder, code in batch:
        tidy(folder, code)


def value_of(arguments: tuple[str, ...], option: str) -> str | None:
    """What an option has as its value; None where it is not there, or belongs to what follows the resolver."""
    for name, value in pairwise(arguments):
        if name == _RESOLVER:
            return None
        if name == option:
            return value
    return None


def with_value(arguments: tuple[str, ...], option: str, value: str) -> tuple[str, ...]:
    """The command line with that value of an option."""
    before = list(arguments)
    if value_of(arguments, option) is not None:
        before[before.index(option) + 1] = value
        return tuple(before)
    return (*before[:1], option, value, *before[1:])


def _has_failed(unpacking: asyncio.Task[None]) -> bool:
    return unpacking.cancelled() or unpacking.exception() is not None


def _module_of(arguments: tuple[str, ...]) -> str | None:
    match arguments[-4:]:
        case ("mod", module, "instance", _):
            return module
    return None


def _unpack(address: str, version: str, folder: Path) -> None:
    # Attempts look whether it is whole by the same rules, and find that it is.
    bundle = CodeBundle(computed_version=version, tgz=address, destination=str(folder))
    try:
        inflate(bundle, folder, is_version_digest=False)
    except (CodeBundleError, StorageError) as error:
        raise UnrunnableError(CODE_UNAVAILABLE, str(error), recoverable=isinstance(error, StorageError)) from error
