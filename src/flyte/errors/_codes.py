"""From a recorded code back to the class that programs catch."""

from __future__ import annotations

from flyte.errors import _platform, _task
from flyte.errors._apple import APPLE_SILICON_ERRORS_BY_CODE
from flyte.errors._base import (
    BaseRuntimeError,
    ErrorKind,
    RuntimeSystemError,
    RuntimeUnknownError,
    RuntimeUserError,
)
from flyte.errors._gpu import GPU_FAULT_CODES, GPUFaultSystemError, GPUFaultUserError

_TIMEOUTS: dict[str, type[_task.TaskTimeoutError]] = {
    "QUEUED_TIMEOUT_EXCEEDED": _task.MaxQueuedTimeExceededError,
    "MaxQueuedTimeExceededError": _task.MaxQueuedTimeExceededError,
    "MAX_RUNTIME_EXCEEDED": _task.MaxRuntimeExceededError,
    "MaxRuntimeExceededError": _task.MaxRuntimeExceededError,
    "DEADLINE_EXCEEDED": _task.DeadlineExceededError,
    "DeadlineExceededError": _task.DeadlineExceededError,
    "TaskTimeoutError": _task.TaskTimeoutError,
}

# The names the control plane gives, and the names of the classes.
_USER_ERRORS: dict[str, type[RuntimeUserError]] = {
    "Interrupted": _task.TaskInterruptedError,
    "TaskInterruptedError": _task.TaskInterruptedError,
    "RetriesExhausted": _task.RetriesExhaustedError,
    "RetriesExhaustedError": _task.RetriesExhaustedError,
    "PrimaryContainerNotFound": _platform.PrimaryContainerNotFoundError,
    "PrimaryContainerNotFoundError": _platform.PrimaryContainerNotFoundError,
    "InvalidImageName": _platform.InvalidImageNameError,
    "InvalidImageNameError": _platform.InvalidImageNameError,
    "ImagePullBackOff": _platform.ImagePullBackOffError,
    "ImagePullBackOffError": _platform.ImagePullBackOffError,
}


def from_code(code: str, message: str, worker: str | None = None, kind: ErrorKind = "user") -> BaseRuntimeError:
    """The error that a recorded failure is raised as in the process that reads it.

    A code `server|user` counts as its second half. Only user errors have classes of their own; those of the system
    stay `RuntimeSystemError`, except GPU faults, and the rest is `RuntimeUnknownError`.
    """
    if "|" in code:
        code = code.partition("|")[2]
    if kind == "system":
        if code == "StoreError":
            return _platform.StoreError(message)
        system = GPUFaultSystemError if code in GPU_FAULT_CODES else RuntimeSystemError
        return system(code, message, worker)
    if kind != "user" or code == "Unknown":
        return RuntimeUnknownError(code, message, worker)
    return _user_error(code, message, worker)


def _user_error(code: str, message: str, worker: str | None) -> RuntimeUserError:
    if timeout := _TIMEOUTS.get(code):
        return timeout(message)
    if apple := APPLE_SILICON_ERRORS_BY_CODE.get(code):
        return apple(message, worker)
    if code in GPU_FAULT_CODES:
        return GPUFaultUserError(code, message, worker)
    # Kubernetes and container runtimes spell it in several ways (OOMKilled, OOM_KILLED...), always in capitals.
    if "OOM" in code:
        return _task.OOMError(code, message, worker)
    return _USER_ERRORS.get(code, RuntimeUserError)(code, message, worker)
