"""Reading data at an address that a request named: what runs and clients left, and nothing else that a server can read.

Whoever may make a run chooses the addresses of its inputs and outputs, so they are no reason to read what is there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from pathlib import Path

from flyte._server.home_paths import below
from flyte._server.refusals import NotNowError, UnknownError
from flyte._store.deletion import CACHE_FOLDER
from flyte._worker.files import OUTPUTS_FILE
from flyte.errors import StorageError
from flyte.storage._addresses import OBJECT_PROTOCOLS, is_remote, local_path, protocol_of
from flyte.storage._open_files import opened

ANSWER_BYTES = 64 << 20
"""So much data an answer may have; what is larger is read from where it is."""

INPUTS_FILE = "inputs.pb"
_IN_HOME = ("uploads", "runs", CACHE_FOLDER)
_ELSEWHERE = (INPUTS_FILE, OUTPUTS_FILE)
"""How files are named that actions hand over in a folder that is not of the home. No other file there is read."""


def read_data(address: str, home: Path, folders: Collection[str] = ()) -> bytes:
    """What is at an address. Blocks, but never for what a pipe or a device has to say.

    Args:
        address: As a request named it.
        home: Of the server.
        folders: Addresses where the run keeps the folders of its actions.

    Raises:
        NotNowError: it is not for this server to read, or is larger than an answer.
        UnknownError: it cannot be read.
    """
    try:
        if is_remote(address):
            return _read_object(address)
        return _read_file(local_path(address), home, folders)
    except StorageError as error:
        raise UnknownError(str(error)) from error
    except OSError as error:
        raise UnknownError(f"cannot read {address}: {error.strerror or error}.") from error


def _read_object(address: str) -> bytes:
    if protocol_of(address) not in OBJECT_PROTOCOLS:
        raise NotNowError(f"{address} is in no object store, so it is not read: expected s3://, gs:// or abfs://.")
    with opened(address) as file:
        return _checked(file.read(ANSWER_BYTES + 1), address)


def _read_file(path: Path, home: Path, folders: Collection[str]) -> bytes:
    if below(home, (str(path),), _IN_HOME) is None and not _is_handed_over(path.resolve(), folders):
        raise NotNowError(
            f"{path} is neither in the home of this server, among its runs and uploads, nor {' or '.join(_ELSEWHERE)} "
            "in the folder of the run, so it is not read."
        )
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotNowError(f"{path} is no file, so it is not read.")
        return _checked(file.read(ANSWER_BYTES + 1), str(path))


def _is_handed_over(path: Path, folders: Collection[str]) -> bool:
    places = (local_path(each).resolve() for each in folders if each and not is_remote(each))
    return path.name in _ELSEWHERE and any(path.is_relative_to(each) for each in places)


def _checked(data: bytes, address: str) -> bytes:
    if len(data) > ANSWER_BYTES:
        raise NotNowError(f"{address} has more than the {ANSWER_BYTES} bytes that an answer may: read it from there.")
    return data
