"""How an attempt ended: what its files say, else how its process did."""

from __future__ import annotations

import asyncio
import os
import signal
import stat

from flyteidl2.core.execution_pb2 import ContainerError, ErrorDocument, ExecutionError
from flyteidl2.task.task_definition_pb2 import TaskSpec
from google.protobuf.message import DecodeError

from flyte._engine.attempts import Failure
from flyte._server.executors.orders import AttemptEnd, AttemptOrder
from flyte._worker.files import ERROR_FILE, OUTPUTS_FILE
from flyte.errors import StorageError
from flyte.storage._addresses import is_remote, join, local_path
from flyte.storage._backend import backend_of

PROCESS_DIED = "ProcessDied"
OUT_OF_MEMORY = "OOMError"
NO_OUTPUTS = "OutputsMissing"

_KINDS = {ExecutionError.USER: "user", ExecutionError.SYSTEM: "system"}
_FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT)


async def outcome(order: AttemptOrder, exit_code: int, hint: str = "") -> AttemptEnd:
    """How an attempt ended whose process did with this code, or with minus the number of a signal.

    Args:
        hint: What else is known of the end of the process, as a sentence.
    """
    try:
        if (document := await _read(order, ERROR_FILE)) is not None:
            return AttemptEnd(failure=_documented(document, order))
        if exit_code:
            return AttemptEnd(failure=died(order.spec, exit_code, hint))
        outputs = await _read(order, OUTPUTS_FILE)
    except StorageError as error:
        return AttemptEnd(
            failure=Failure("OutputsUnreadable", "system", f"what the attempt left is unreadable: {error}")
        )
    if outputs is None:
        if order.spec.task_template.interface.outputs.variables:
            return AttemptEnd(failure=_without_outputs(order))
        outputs = b""
    return AttemptEnd(outputs=outputs)


def died(spec: TaskSpec, exit_code: int, hint: str = "") -> Failure:
    """Why an attempt failed whose process ended, and left no word."""
    task_name = spec.task_template.id.name
    if exit_code >= 0:
        message = f"the process of task {task_name!r} ended with exit code {exit_code} before the task returned."
        return Failure(PROCESS_DIED, "user", " ".join(filter(None, (message, hint))), worker="user")
    name = signal_name(-exit_code)
    what = "crashed with" if -exit_code in _FAULTS else "was killed by"
    message = f"the process of task {task_name!r} {what} {name} before the task returned."
    return Failure(PROCESS_DIED, "system", " ".join(filter(None, (message, hint))))


def out_of_memory(spec: TaskSpec, used_bytes: int, limit_bytes: int) -> Failure:
    """Why an attempt failed that was ended for what it used."""
    message = (
        f"task {spec.task_template.id.name!r} used {_mib(used_bytes)} of memory, more than its limit of "
        f"{_mib(limit_bytes)}, and was ended. Use less, or raise the limit: "
        "resources=flyte.Resources(memory=(request, limit))."
    )
    return Failure(OUT_OF_MEMORY, "user", message, worker="user")


def signal_name(number: int) -> str:
    """The name of a signal; of those between the first and the last real-time one, the number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _mib(count: int) -> str:
    return f"{count / (1 << 20):,.0f} MiB"


def _documented(document: bytes, order: AttemptOrder) -> Failure:
    try:
        error = ErrorDocument.FromString(document).error
    except DecodeError:
        where = join(order.outputs_path, ERROR_FILE)
        return Failure("ErrorUnreadable", "system", f"the attempt failed, and {where} does not say why: it is damaged.")
    kind = _KINDS.get(error.origin, "unknown")
    return Failure(
        code=error.code or "Unknown",
        kind=kind,  # type: ignore[arg-type]
        message=error.message,
        recoverable=error.kind == ContainerError.RECOVERABLE,
        worker="user" if kind == "user" else None,
    )


def _without_outputs(order: AttemptOrder) -> Failure:
    message = (
        f"the process of task {order.spec.task_template.id.name!r} ended well, and left neither {OUTPUTS_FILE} nor "
        f"{ERROR_FILE} below {order.outputs_path}: something has ended it, or deleted them."
    )
    return Failure(NO_OUTPUTS, "system", message)


async def _read(order: AttemptOrder, name: str) -> bytes | None:
    address = join(order.outputs_path.rstrip("/"), name)
    if is_remote(address):
        return await asyncio.to_thread(_read_remote, address)
    # A file that was written a moment ago is in memory: a thread would take longer than reading it.
    path = local_path(address)
    try:
        # Whatever a task leaves there: whoever waits for a pipe would keep all others waiting.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise StorageError(address, f"{os.fspath(path)} is no file.")
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StorageError(address, f"cannot read {os.fspath(path)}: {error.strerror or error}.") from error


def _read_remote(address: str) -> bytes | None:
    backend = backend_of(address)
    return backend.read(address) if backend.find(address) is not None else None
