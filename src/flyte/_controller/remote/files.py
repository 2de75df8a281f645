"""The files by which a caller and the actions it calls talk: inputs, outputs, error."""

from __future__ import annotations

import asyncio

from flyteidl2.core.execution_pb2 import ErrorDocument
from flyteidl2.task.common_pb2 import Outputs
from google.protobuf.message import DecodeError

from flyte.errors import RuntimeSystemError
from flyte.storage._addresses import is_remote, join
from flyte.storage._backend import backend_of
from flyte.storage._flushing import flushed

INPUTS_FILE = "inputs.pb"
OUTPUTS_FILE = "outputs.pb"
ERROR_FILE = "error.pb"


async def write(address: str, data: bytes) -> None:
    """The file is at the address, whole and on the disk.

    Raises:
        StorageError: it cannot be written.
    """
    backend = backend_of(address)
    if is_remote(address):
        await asyncio.to_thread(backend.write, address, data)
        return
    backend.write(address, data)
    await flushed(address)


async def read_outputs(address: str) -> tuple[Outputs, int]:
    """The outputs at an address, and how many bytes they are.

    Raises:
        StorageError: they cannot be read.
        RuntimeSystemError: code `OutputsUnreadable`; there is something else.
    """
    data = await _read(address)
    try:
        return Outputs.FromString(data), len(data)
    except DecodeError as error:
        raise RuntimeSystemError(
            "OutputsUnreadable",
            f"{address} holds no outputs ({len(data)} bytes that are no flyteidl2.task.Outputs): something else wrote "
            "there, or truncated it.",
        ) from error


async def read_error(folder: str) -> ErrorDocument:
    """The error that an attempt has left in a folder.

    Raises:
        StorageError: there is none, or it cannot be read.
        RuntimeSystemError: code `ErrorUnreadable`; there is something else.
    """
    address = join(folder, ERROR_FILE)
    data = await _read(address)
    try:
        return ErrorDocument.FromString(data)
    except DecodeError as error:
        raise RuntimeSystemError("ErrorUnreadable", f"{address} holds no error ({len(data)} bytes).") from error


async def _read(address: str) -> bytes:
    backend = backend_of(address)
    # Of this machine it is in memory, mostly, and small.
    return await asyncio.to_thread(backend.read, address) if is_remote(address) else backend.read(address)
