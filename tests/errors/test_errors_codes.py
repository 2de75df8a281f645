"""From a recorded code back to a class."""

from __future__ import annotations

import pytest

from flyte.errors import APPLE_SILICON_ERRORS_BY_CODE, GPU_FAULT_CODES, ErrorKind, from_code

USER_CODES = [
    ("QUEUED_TIMEOUT_EXCEEDED", "MaxQueuedTimeExceededError"),
    ("MaxQueuedTimeExceededError", "MaxQueuedTimeExceededError"),
    ("MAX_RUNTIME_EXCEEDED", "MaxRuntimeExceededError"),
    ("MaxRuntimeExceededError", "MaxRuntimeExceededError"),
    ("DEADLINE_EXCEEDED", "DeadlineExceededError"),
    ("DeadlineExceededError", "DeadlineExceededError"),
    ("TaskTimeoutError", "TaskTimeoutError"),
    ("OOM", "OOMError"),
    ("OOMKilled", "OOMError"),
    ("PodOOM", "OOMError"),
    ("Interrupted", "TaskInterruptedError"),
    ("PrimaryContainerNotFound", "PrimaryContainerNotFoundError"),
    ("RetriesExhausted", "RetriesExhaustedError"),
    ("InvalidImageName", "InvalidImageNameError"),
    ("ImagePullBackOff", "ImagePullBackOffError"),
    ("Unknown", "RuntimeUnknownError"),
    ("ValueError", "RuntimeUserError"),
    ("NonRecoverableError", "RuntimeUserError"),
    ("RoomNotFoundError", "RuntimeUserError"),
    *((code, "GPUFaultUserError") for code in GPU_FAULT_CODES),
    *((code, error.__name__) for code, error in APPLE_SILICON_ERRORS_BY_CODE.items()),
]


@pytest.mark.parametrize(("code", "name"), USER_CODES)
def test_user_code_gives_its_class(code: str, name: str) -> None:
    error = from_code(code, "m", "w")
    assert type(error).__name__ == name
    assert str(error) == "m"


@pytest.mark.parametrize(("code", "name"), USER_CODES)
def test_code_converts_to_the_same_class_after_another_task_boundary(code: str, name: str) -> None:
    error = from_code(code, "m")
    assert type(from_code(error.code, "m", kind=error.kind)) is type(error)


@pytest.mark.parametrize(
    ("code", "name", "kept"),
    [
        ("server|ValueError", "RuntimeUserError", "ValueError"),
        ("server|OOMKilled", "OOMError", "OOMKilled"),
        ("a|b|c", "RuntimeUserError", "b|c"),
    ],
)
def test_code_of_two_halves_counts_as_the_second(code: str, name: str, kept: str) -> None:
    error = from_code(code, "m")
    assert (type(error).__name__, error.code) == (name, kept)


@pytest.mark.parametrize(
    ("kind", "code", "name"),
    [
        ("system", "OOMKilled", "RuntimeSystemError"),
        ("system", "Unknown", "RuntimeSystemError"),
        ("system", "GpuXidError", "GPUFaultSystemError"),
        ("unknown", "OOMKilled", "RuntimeUnknownError"),
        ("unknown", "GpuXidError", "RuntimeUnknownError"),
    ],
)
def test_other_kinds_stay_what_they_are(kind: ErrorKind, code: str, name: str) -> None:
    error = from_code(code, "m", "w", kind)
    assert (type(error).__name__, error.code, error.kind, error.worker) == (name, code, kind, "w")


def test_worker_is_kept() -> None:
    assert from_code("ValueError", "m", "host-1").worker == "host-1"
    assert from_code("DEADLINE_EXCEEDED", "m", "host-1").worker == "user"
