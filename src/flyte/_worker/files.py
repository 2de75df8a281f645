"""The files by which a control plane and an attempt talk: inputs, outputs, error."""

from __future__ import annotations

from flyteidl2.core.execution_pb2 import ContainerError, ErrorDocument, ExecutionError
from flyteidl2.task.common_pb2 import Inputs, Outputs
from google.protobuf.message import DecodeError

from flyte._engine.attempts import Failure
from flyte.errors import RuntimeSystemError
from flyte.storage._addresses import absolute, join
from flyte.storage._backend import backend_of
from flyte.storage._flushing import wait_until_flushed

OUTPUTS_FILE = "outputs.pb"
ERROR_FILE = "error.pb"

_ORIGINS = {"user": ExecutionError.USER, "system": ExecutionError.SYSTEM}


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


def write_outputs(outputs_path: str, outputs: Outputs) -> None:
    """`outputs.pb` is there, whole and on the disk.

    Raises:
        StorageError: it cannot be written.
    """
    _write(outputs_path, OUTPUTS_FILE, outputs.SerializeToString(deterministic=True))


def write_error(outputs_path: str, failure: Failure) -> None:
    """`error.pb` is there, whole and on the disk.

    Raises:
        StorageError: it cannot be written.
    """
    error = ContainerError(
        code=failure.code,
        message=failure.message,
        kind=ContainerError.RECOVERABLE if failure.recoverable else ContainerError.NON_RECOVERABLE,
        origin=_ORIGINS.get(failure.kind, ExecutionError.UNKNOWN),
    )
    _write(outputs_path, ERROR_FILE, ErrorDocument(error=error).SerializeToString(deterministic=True))


def _write(outputs_path: str, name: str, data: bytes) -> None:
    address = join(absolute(outputs_path).rstrip("/"), name)
    backend_of(address).write(address, data)
    wait_until_flushed(address)
