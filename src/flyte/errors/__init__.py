"""Every exception of Flyte.

Each has a stable `code`, a `kind` (whose fault: `user`, `system`, `unknown`), a `worker`, and `remote_traceback`, the
text of the original traceback when the failure happened in another task. All survive pickling.

    RuntimeError
    ├── ActionNotFoundError
    └── BaseRuntimeError
        ├── InitializationError                    flyte.init() is missing, or the configuration is wrong
        ├── LogsNotYetAvailableError
        ├── GPUFaultError                          with the fault's fields as attributes
        │   ├── GPUFaultSystemError                also a RuntimeSystemError
        │   └── GPUFaultUserError                  also a RuntimeUserError
        ├── RuntimeUnknownError                    nothing tells whose fault it was
        ├── RuntimeSystemError                     Flyte or the machine failed
        │   ├── StoreError                         the database of runs
        │   │   └── StoreVersionError              written by a newer release
        │   └── UnionRpcError                      a call to the control plane
        └── RuntimeUserError                       what a failing task is at its caller
            ├── TaskDefinitionError                also a ValueError and a TypeError
            ├── CustomError                        a wrapped exception
            ├── NonRecoverableError                raise it to stop retries
            ├── RuntimeDataValidationError         a value does not fit its declared type
            ├── RestrictedTypeError
            ├── InlineIOMaxBytesBreached
            ├── NotInTaskContextError
            ├── SyncTaskCallInAsyncContextError
            ├── TraceDoesNotAllowNestedTasksError
            ├── ModuleLoadError
            ├── OnlyAsyncIOSupportedError
            ├── OOMError
            ├── StorageError                       data could not be read or written
            │   ├── DataNotFoundError              also a FileNotFoundError and a ValueError
            │   ├── DataAccessDeniedError          also a PermissionError
            │   ├── DataChangedError               not what was written: truncated, or another hash
            │   ├── InvalidAddressError            also a ValueError
            │   └── WrongKindOfDataError           also a ValueError; a folder where a file is due
            ├── TaskInterruptedError
            ├── RetriesExhaustedError
            ├── TaskTimeoutError
            │   ├── MaxRuntimeExceededError
            │   ├── MaxQueuedTimeExceededError
            │   └── DeadlineExceededError
            ├── ActionAbortedError
            │   └── RunAbortedError
            ├── ConditionAlreadyExistsError
            ├── ConditionFailedError
            ├── ConditionNotFoundError
            ├── ConditionTimedoutError
            ├── RunAlreadyExistsError
            ├── RunNotFoundError
            ├── CodeBundleError
            ├── DeploymentError
            ├── ParameterMaterializationError
            ├── ImageBuildError
            ├── InvalidPackageError
            ├── ImagePullBackOffError
            ├── InvalidImageNameError
            ├── PrimaryContainerNotFoundError
            ├── SlowDownError
            │   └── ResourceExhaustedError
            ├── RemoteTaskNotFoundError
            ├── RemoteTaskUsageError
            └── AppleSiliconError
                ├── AppleSiliconNotAvailableError
                ├── AppleSiliconHostExecFailedError
                ├── AppleSiliconDaemonStartFailedError
                ├── AppleSiliconDaemonOOMError
                ├── AppleSiliconModelNotFoundError
                └── AppleSiliconBridgeUnreachableError
"""

from __future__ import annotations

from flyte.errors._apple import (
    APPLE_SILICON_ERRORS_BY_CODE,
    AppleSiliconBridgeUnreachableError,
    AppleSiliconDaemonOOMError,
    AppleSiliconDaemonStartFailedError,
    AppleSiliconError,
    AppleSiliconHostExecFailedError,
    AppleSiliconModelNotFoundError,
    AppleSiliconNotAvailableError,
)
from flyte.errors._base import (
    BaseRuntimeError,
    ErrorKind,
    InitializationError,
    RuntimeSystemError,
    RuntimeUnknownError,
    RuntimeUserError,
)
from flyte.errors._codes import from_code
from flyte.errors._data import (
    DataAccessDeniedError,
    DataChangedError,
    DataNotFoundError,
    InvalidAddressError,
    StorageError,
    WrongKindOfDataError,
)
from flyte.errors._gpu import GPU_FAULT_CODES, GPUFaultError, GPUFaultSystemError, GPUFaultUserError
from flyte.errors._platform import (
    ActionNotFoundError,
    CodeBundleError,
    DeploymentError,
    ImageBuildError,
    ImagePullBackOffError,
    InvalidImageNameError,
    InvalidPackageError,
    LogsNotYetAvailableError,
    ParameterMaterializationError,
    PrimaryContainerNotFoundError,
    RemoteTaskNotFoundError,
    RemoteTaskUsageError,
    ResourceExhaustedError,
    RunAlreadyExistsError,
    RunNotFoundError,
    SlowDownError,
    StoreError,
    StoreVersionError,
    UnionRpcError,
)
from flyte.errors._polling import silence_polling_error
from flyte.errors._task import (
    ActionAbortedError,
    ConditionAlreadyExistsError,
    ConditionFailedError,
    ConditionNotFoundError,
    ConditionTimedoutError,
    CustomError,
    DeadlineExceededError,
    InlineIOMaxBytesBreached,
    MaxQueuedTimeExceededError,
    MaxRuntimeExceededError,
    ModuleLoadError,
    NonRecoverableError,
    NotInTaskContextError,
    OnlyAsyncIOSupportedError,
    OOMError,
    RestrictedTypeError,
    RetriesExhaustedError,
    RunAbortedError,
    RuntimeDataValidationError,
    SyncTaskCallInAsyncContextError,
    TaskDefinitionError,
    TaskInterruptedError,
    TaskTimeoutError,
    TraceDoesNotAllowNestedTasksError,
)

__all__ = [
    "APPLE_SILICON_ERRORS_BY_CODE",
    "GPU_FAULT_CODES",
    "ActionAbortedError",
    "ActionNotFoundError",
    "AppleSiliconBridgeUnreachableError",
    "AppleSiliconDaemonOOMError",
    "AppleSiliconDaemonStartFailedError",
    "AppleSiliconError",
    "AppleSiliconHostExecFailedError",
    "AppleSiliconModelNotFoundError",
    "AppleSiliconNotAvailableError",
    "BaseRuntimeError",
    "CodeBundleError",
    "ConditionAlreadyExistsError",
    "ConditionFailedError",
    "ConditionNotFoundError",
    "ConditionTimedoutError",
    "CustomError",
    "DataAccessDeniedError",
    "DataChangedError",
    "DataNotFoundError",
    "DeadlineExceededError",
    "DeploymentError",
    "ErrorKind",
    "GPUFaultError",
    "GPUFaultSystemError",
    "GPUFaultUserError",
    "ImageBuildError",
    "ImagePullBackOffError",
    "InitializationError",
    "InlineIOMaxBytesBreached",
    "InvalidAddressError",
    "InvalidImageNameError",
    "InvalidPackageError",
    "LogsNotYetAvailableError",
    "MaxQueuedTimeExceededError",
    "MaxRuntimeExceededError",
    "ModuleLoadError",
    "NonRecoverableError",
    "NotInTaskContextError",
    "OOMError",
    "OnlyAsyncIOSupportedError",
    "ParameterMaterializationError",
    "PrimaryContainerNotFoundError",
    "RemoteTaskNotFoundError",
    "RemoteTaskUsageError",
    "ResourceExhaustedError",
    "RestrictedTypeError",
    "RetriesExhaustedError",
    "RunAbortedError",
    "RunAlreadyExistsError",
    "RunNotFoundError",
    "RuntimeDataValidationError",
    "RuntimeSystemError",
    "RuntimeUnknownError",
    "RuntimeUserError",
    "SlowDownError",
    "StorageError",
    "StoreError",
    "StoreVersionError",
    "SyncTaskCallInAsyncContextError",
    "TaskDefinitionError",
    "TaskInterruptedError",
    "TaskTimeoutError",
    "TraceDoesNotAllowNestedTasksError",
    "UnionRpcError",
    "WrongKindOfDataError",
    "from_code",
    "silence_polling_error",
]

for _name in __all__:
    # Tracebacks and pickles name the public module, whichever file holds the class.
    _value = globals()[_name]
    if isinstance(_value, type):
        _value.__module__ = __name__
del _name, _value
