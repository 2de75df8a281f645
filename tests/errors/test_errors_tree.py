"""The exceptions: their tree, their constructors, and their way through a pickle."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import re
from typing import Any

import pytest

from flyte import errors
from flyte.errors import BaseRuntimeError

# What each class is made with, and the code, kind and worker it then has.
CASES: dict[str, tuple[tuple[Any, ...], str, str, str | None]] = {
    "ActionAbortedError": (("m",), "ActionAbortedError", "user", "user"),
    "AppleSiliconBridgeUnreachableError": (("m", "w"), "APPLE_SILICON_BRIDGE_UNREACHABLE", "user", "w"),
    "AppleSiliconDaemonOOMError": (("m",), "APPLE_SILICON_DAEMON_OOM", "user", None),
    "AppleSiliconDaemonStartFailedError": (("m",), "APPLE_SILICON_DAEMON_START_FAILED", "user", None),
    "AppleSiliconError": (("m",), "APPLE_SILICON_ERROR", "user", None),
    "AppleSiliconHostExecFailedError": (("m",), "APPLE_SILICON_HOST_EXEC_FAILED", "user", None),
    "AppleSiliconModelNotFoundError": (("m",), "APPLE_SILICON_MODEL_NOT_FOUND", "user", None),
    "AppleSiliconNotAvailableError": (("m",), "APPLE_SILICON_NOT_AVAILABLE", "user", None),
    "BaseRuntimeError": (("C", "unknown", "m", "w"), "C", "unknown", "w"),
    "CodeBundleError": (("m",), "CodeBundleError", "user", "user"),
    "ConditionAlreadyExistsError": (("m",), "ConditionAlreadyExistsError", "user", "user"),
    "ConditionFailedError": (("m",), "ConditionFailedError", "user", "user"),
    "ConditionNotFoundError": (("m",), "ConditionNotFoundError", "user", "user"),
    "ConditionTimedoutError": (("m",), "ConditionTimedoutError", "user", "user"),
    "CustomError": (("C", "m"), "C", "user", "user"),
    "DataAccessDeniedError": (("s3://bucket/key", "m"), "DataAccessDenied", "user", "user"),
    "DataChangedError": (("s3://bucket/key", "m"), "DataChanged", "user", "user"),
    "DataNotFoundError": (("s3://bucket/key", "m"), "DataNotFound", "user", "user"),
    "DeadlineExceededError": (("m",), "DeadlineExceededError", "user", "user"),
    "DeploymentError": (("m",), "DeploymentError", "user", "user"),
    "GPUFaultError": (("C", "system", "m", "w"), "C", "system", "w"),
    "GPUFaultSystemError": (("C", "m", "w"), "C", "system", "w"),
    "GPUFaultUserError": (("C", "m"), "C", "user", None),
    "ImageBuildError": (("m",), "ImageBuildError", "user", "user"),
    "ImagePullBackOffError": (("C", "m", "w"), "C", "user", "w"),
    "InitializationError": (("C", "user", "m"), "C", "user", None),
    "InlineIOMaxBytesBreached": (("m",), "InlineIOMaxBytesBreached", "user", "user"),
    "InvalidAddressError": (("s3://bucket/key", "m"), "InvalidAddress", "user", "user"),
    "InvalidImageNameError": (("C", "m"), "C", "user", None),
    "InvalidPackageError": (("curl2", "m"), "InvalidPackageError", "user", None),
    "LogsNotYetAvailableError": (("m",), "LogsNotYetAvailable", "system", None),
    "MaxQueuedTimeExceededError": (("m",), "MaxQueuedTimeExceededError", "user", "user"),
    "MaxRuntimeExceededError": (("m",), "MaxRuntimeExceededError", "user", "user"),
    "ModuleLoadError": (("m",), "ModuleLoadError", "user", "user"),
    "NonRecoverableError": (("m",), "NonRecoverableError", "user", None),
    "NotInTaskContextError": (("C", "m"), "C", "user", None),
    "OOMError": (("C", "m"), "C", "user", None),
    "OnlyAsyncIOSupportedError": (("m",), "OnlyAsyncIOSupportedError", "user", "user"),
    "ParameterMaterializationError": (("m",), "ParameterMaterializationError", "user", "user"),
    "PrimaryContainerNotFoundError": (("C", "m"), "C", "user", None),
    "RemoteTaskNotFoundError": (("m",), "RemoteTaskNotFoundError", "user", "user"),
    "RemoteTaskUsageError": (("m",), "RemoteTaskUsageError", "user", "user"),
    "ResourceExhaustedError": (("m",), "SlowDownError", "user", "user"),
    "RestrictedTypeError": (("m",), "RestrictedTypeUsage", "user", "user"),
    "RetriesExhaustedError": (("C", "m"), "C", "user", None),
    "RunAbortedError": (("m",), "RunAborted", "user", "user"),
    "RunAlreadyExistsError": (("m",), "RunAlreadyExists", "user", "user"),
    "RunNotFoundError": (("m",), "RunNotFound", "user", "user"),
    "RuntimeDataValidationError": (("v", "m", "t"), "DataValidationError", "user", None),
    "RuntimeSystemError": (("C", "m"), "C", "system", None),
    "RuntimeUnknownError": (("C", "m"), "C", "unknown", None),
    "RuntimeUserError": (("C", "m"), "C", "user", None),
    "SlowDownError": (("m",), "SlowDownError", "user", "user"),
    "StorageError": (("s3://bucket/key", "m"), "StorageError", "user", "user"),
    "StoreError": (("m",), "StoreError", "system", None),
    "StoreVersionError": (("m",), "StoreVersion", "system", None),
    "SyncTaskCallInAsyncContextError": (("m",), "SyncTaskCallInAsyncContextError", "user", "user"),
    "TaskDefinitionError": (("m",), "TaskDefinition", "user", "user"),
    "TaskInterruptedError": (("C", "m"), "C", "user", None),
    "TaskTimeoutError": (("m",), "TaskTimeoutError", "user", "user"),
    "TraceDoesNotAllowNestedTasksError": (("m",), "TraceDoesNotAllowNestedTasksError", "user", None),
    "UnionRpcError": (("C", "m"), "C", "system", None),
    "WrongKindOfDataError": (("s3://bucket/key", "m"), "WrongKindOfData", "user", "user"),
}

CLASSES = sorted(
    name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)
)


def make(name: str) -> BaseRuntimeError:
    error = getattr(errors, name)(*CASES[name][0])
    assert isinstance(error, BaseRuntimeError)
    return error


def test_every_class_of_the_tree_is_tested() -> None:
    assert sorted([*CASES, "ActionNotFoundError"]) == CLASSES


def test_exported_names() -> None:
    others = ["APPLE_SILICON_ERRORS_BY_CODE", "ErrorKind", "GPU_FAULT_CODES", "from_code", "silence_polling_error"]
    assert sorted(errors.__all__) == sorted([*CLASSES, *others])


@pytest.mark.parametrize("name", sorted(CASES))
def test_code_kind_worker_and_message(name: str) -> None:
    error = make(name)
    assert (error.code, error.kind, error.worker) == CASES[name][1:]
    assert "m" in str(error)
    assert error.remote_traceback is None


@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("copied", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy], ids=["pickle", "copy"])
def test_error_survives_a_pickle_with_all_it_knows(name: str, copied: Any) -> None:
    error = make(name)
    error.remote_traceback = "Traceback..."
    error.add_note("a note")
    twin = copied(error)
    assert type(twin) is type(error)
    assert (str(twin), twin.args, vars(twin)) == (str(error), error.args, vars(error))


@pytest.mark.parametrize("name", CLASSES)
def test_traceback_names_the_public_module(name: str) -> None:
    assert getattr(errors, name).__module__ == "flyte.errors"


def test_docstring_draws_the_tree_that_is_there() -> None:
    assert errors.__doc__ is not None
    drawn: list[tuple[str, str]] = []
    line: list[str] = []
    for indent, name in re.findall(
        r"^    ((?:[│ ]   )*(?:[├└]── )?)(\w+Error|InlineIOMaxBytesBreached)", errors.__doc__, re.MULTILINE
    ):
        depth = len(indent) // 4
        line[depth:] = [name]
        if depth:
            drawn.append((name, line[depth - 1]))
    assert sorted(drawn) == sorted((name, getattr(errors, name).__bases__[0].__name__) for name in CLASSES)


@pytest.mark.parametrize(
    ("name", "parents"),
    [
        ("GPUFaultSystemError", ["GPUFaultError", "RuntimeSystemError"]),
        ("GPUFaultUserError", ["GPUFaultError", "RuntimeUserError"]),
        ("TaskDefinitionError", ["RuntimeUserError", "ValueError", "TypeError"]),
    ],
)
def test_class_with_several_parents_is_caught_as_each(name: str, parents: list[str]) -> None:
    assert [parent.__name__ for parent in getattr(errors, name).__bases__] == parents


def test_gpu_fault_keeps_its_fields() -> None:
    error = errors.GPUFaultUserError("GpuXidError", "m", fault_kind="xid", fault_code=31, gpu_index=2, node="n1")
    twin = pickle.loads(pickle.dumps(error))
    assert (twin.xid, twin.sxid, twin.gpu_index, twin.node, twin.severity) == (31, None, 2, "n1", None)
    assert errors.GPUFaultError("c", "user", "m", fault_kind="sxid", fault_code=7).sxid == 7


def test_gpu_fault_refuses_an_unknown_field() -> None:
    with pytest.raises(TypeError, match="colour"):
        errors.GPUFaultSystemError("c", "m", colour="red")  # type: ignore[call-arg]


def test_custom_error_wraps_an_exception() -> None:
    cause = KeyError("k")
    error = errors.CustomError.from_exception(cause)
    assert (error.code, str(error), error.__cause__) == ("KeyError", "'k'", cause)


def test_non_recoverable_error_may_have_a_code() -> None:
    assert errors.NonRecoverableError("m", code="BadData").code == "BadData"


def test_data_validation_error_names_task_and_variable() -> None:
    error = errors.RuntimeDataValidationError("rows", ValueError("7a"), "digits.score")
    assert str(error) == "In task digits.score variable rows, failed to serialize/deserialize because of 7a"
    assert str(errors.RuntimeDataValidationError("rows", "7a")).startswith("In variable rows, ")


def test_invalid_package_error_says_which() -> None:
    error = errors.InvalidPackageError("curl2", "not found")
    assert (error.package_name, error.original_error) == ("curl2", "not found")
    assert "'curl2'" in str(error)


def test_apple_silicon_errors_say_whether_to_try_again() -> None:
    recoverable = {name for name in CLASSES if getattr(getattr(errors, name), "recoverable", False)}
    assert recoverable == {
        "AppleSiliconBridgeUnreachableError",
        "AppleSiliconDaemonOOMError",
        "AppleSiliconError",
    }


def test_action_not_found_is_a_plain_runtime_error() -> None:
    assert errors.ActionNotFoundError.__bases__ == (RuntimeError,)
    assert errors.ActionNotFoundError("a", 1).args == ("a", 1)


@pytest.mark.parametrize(("error", "shown"), [(BlockingIOError(), 0), (ValueError(), 1), (None, 1)])
def test_only_blocking_io_errors_are_silenced(
    error: Exception | None, shown: int, caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.new_event_loop()
    try:
        errors.silence_polling_error(loop, {"message": "m", **({"exception": error} if error else {})})
    finally:
        loop.close()
    assert len(caplog.records) == shown


def test_parameters_have_the_names_of_the_api() -> None:
    assert list(inspect.signature(errors.BaseRuntimeError).parameters) == [
        "code",
        "kind",
        "root_cause_message",
        "worker",
    ]
    assert list(inspect.signature(errors.RuntimeDataValidationError).parameters) == ["var", "e", "task_name"]
    assert list(inspect.signature(errors.GPUFaultError).parameters)[4:] == [
        "fault_kind",
        "fault_code",
        "fault_name",
        "severity",
        "gpu_uuid",
        "gpu_index",
        "node",
        "pci_bus_id",
        "process",
    ]
