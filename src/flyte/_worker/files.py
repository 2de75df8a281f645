"""The files by which a control plane and an attempt talk: inputs, outputs, error."""

from __future__ import annotations

import asyncio

from flyteidl2.core.execution_pb2 import ErrorDocument
from flyteidl2.task.common_pb2 import Inputs, Outputs
from google.protobuf.message import DecodeError

from flyte._controller.error_documents import error_document, failure_of_document
from flyte._engine.attempts import Failure
from flyte.errors import RuntimeSystemError, StorageError
from flyte.storage._addresses import absolute, is_remote, join, local_path
from flyte.storage._backend import backend_of
from flyte.storage._flushing import flushed, wait_until_flushed

OUTPUTS_FILE = "outputs.pb"
ERROR_FILE = "error.pb"


def load_inputs(address: str) -> Inputs:
    """The inputs at an address.

    Raises:
        StorageError: they cannot be read.
        RuntimeSystemError: code `InputsUnreadable`; there is something else.
    """
    address = absolute(address)
    data = backend_of(address).read(address)
    try:
        return Inputs.FromString(data)
    except DecodeError as error:
        raise RuntimeSystemError(
            "InputsUnreadable",
            f"{address} holds no inputs ({len(data)} bytes that are no flyteidl2.task.Inputs): it was truncated, or "
            "--inputs names another file.",
        ) from error


def clear_outcome(outputs_path: str) -> None:
    """Neither file is there: what an earlier process has left at this prefix is not the outcome of this one.

    Raises:
        StorageError: one is there, and cannot be deleted.
    """
    prefix = absolute(outputs_path)
    if is_remote(prefix) and backend_of(prefix).find(prefix) is None:
        return
    for name in (OUTPUTS_FILE, ERROR_FILE):
        address = _address(outputs_path, name)
        _delete(address)
        if is_remote(address) and backend_of(address).find(address) is not None:
            raise StorageError(address, f"cannot delete {address}, which an earlier process has left: delete it.")


def write_outputs(outputs_path: str, outputs: Outputs) -> None:
    """`outputs.pb` is there, whole and on the disk, and no `error.pb`, which would be read first.

    Raises:
        StorageError: it cannot be written.
    """
    _delete(_address(outputs_path, ERROR_FILE))
    _write(outputs_path, OUTPUTS_FILE, outputs.SerializeToString(deterministic=True))


async def write_outputs_meanwhile(outputs_path: str, outputs: Outputs) -> None:
    """As `write_outputs`, while the event loop runs.

    Raises:
        StorageError: it cannot be written.
    """
    address = _address(outputs_path, OUTPUTS_FILE)
    if is_remote(address):
        await asyncio.to_thread(write_outputs, outputs_path, outputs)
        return
    _delete(_address(outputs_path, ERROR_FILE))
    backend_of(address).write(address, outputs.SerializeToString(deterministic=True))
    await flushed(address)


def write_error(outputs_path: str, failure: Failure) -> None:
    """`error.pb` is there, whole and on the disk, and no `outputs.pb`.

    Raises:
        StorageError: it cannot be written.
    """
    _write(outputs_path, ERROR_FILE, error_document(failure).SerializeToString(deterministic=True))
    _delete(_address(outputs_path, OUTPUTS_FILE))


def load_failure(outputs_path: str) -> Failure | None:
    """What `error.pb` says; None where there is none.

    Raises:
        StorageError: it cannot be read.
        RuntimeSystemError: code `ErrorUnreadable`; there is something else.
    """
    address = _address(outputs_path, ERROR_FILE)
    backend = backend_of(address)
    if backend.find(address) is None:
        return None
    try:
        return failure_of_document(ErrorDocument.FromString(backend.read(address)))
    except DecodeError as wrong:
        raise RuntimeSystemError("ErrorUnreadable", f"{address} holds no error: it was truncated.") from wrong


def _address(outputs_path: str, name: str) -> str:
    return join(absolute(outputs_path).rstrip("/"), name)


def _write(outputs_path: str, name: str, data: bytes) -> None:
    address = _address(outputs_path, name)
    backend_of(address).write(address, data)
    wait_until_flushed(address)


def _delete(address: str) -> None:
    if is_remote(address):
        backend_of(address).delete_files([address])
        return
    try:
        local_path(address).unlink(missing_ok=True)
    except NotADirectoryError:
        pass  # There is nothing, and writing says what is in the way.
    except OSError as error:
        raise StorageError(address, f"cannot delete {address}: {error.strerror or error}.") from error
