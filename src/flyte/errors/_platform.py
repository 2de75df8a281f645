"""Failures around a run: the store, deploying, images, pods and the control plane."""

from __future__ import annotations

from typing import ClassVar

from flyte.errors._base import FROM_USER_CODE, BaseRuntimeError, RuntimeSystemError, RuntimeUserError


class ActionNotFoundError(RuntimeError):
    """There is no such action.

    The one class outside the tree: programs written for Flyte expect a plain `RuntimeError` here.
    """


class RunAlreadyExistsError(RuntimeUserError):
    """A run of this name is recorded already."""

    def __init__(self, message: str) -> None:
        super().__init__("RunAlreadyExists", message, FROM_USER_CODE)


class RunNotFoundError(RuntimeUserError):
    """No run of this name is recorded."""

    def __init__(self, message: str) -> None:
        super().__init__("RunNotFound", message, FROM_USER_CODE)


class StoreError(RuntimeSystemError):
    """The database of runs cannot be opened, read or written."""

    def __init__(self, message: str, code: str = "StoreError") -> None:
        super().__init__(code, message)


class StoreVersionError(StoreError):
    """The database was written by a newer release than this one."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "StoreVersion")


class CodeBundleError(RuntimeUserError):
    """There is no code to bundle, or it cannot be bundled."""

    def __init__(self, message: str) -> None:
        super().__init__("CodeBundleError", message, FROM_USER_CODE)


class DeploymentError(RuntimeUserError):
    """The environment cannot be deployed as it is declared."""

    def __init__(self, message: str) -> None:
        super().__init__("DeploymentError", message, FROM_USER_CODE)


class ParameterMaterializationError(RuntimeUserError):
    """A parameter of an app cannot be resolved to a value."""

    def __init__(self, message: str) -> None:
        super().__init__("ParameterMaterializationError", message, FROM_USER_CODE)


class ImageBuildError(RuntimeUserError):
    """Building the image failed."""

    def __init__(self, message: str) -> None:
        super().__init__("ImageBuildError", message, FROM_USER_CODE)


class InvalidPackageError(RuntimeUserError):
    """The image asks for a system package that does not exist."""

    def __init__(self, package_name: str, original_error: str) -> None:
        message = (
            f"system package {package_name!r} is not in the apt repositories of the image: {original_error}. "
            f"Correct its name in `with_apt_packages(...)`."
        )
        super().__init__("InvalidPackageError", message)
        self.package_name = package_name
        self.original_error = original_error


class ImagePullBackOffError(RuntimeUserError):
    """The image cannot be pulled."""


class InvalidImageNameError(RuntimeUserError):
    """The name of the image is malformed."""


class PrimaryContainerNotFoundError(RuntimeUserError):
    """The pod has no container of the name that should run the task."""


class SlowDownError(RuntimeUserError):
    """The receiver asks for fewer requests; wait, then try again."""

    def __init__(self, message: str) -> None:
        super().__init__("SlowDownError", message, FROM_USER_CODE)


class ResourceExhaustedError(SlowDownError):
    """A quota of the receiver is used up."""


class LogsNotYetAvailableError(BaseRuntimeError):
    """The logs of the action do not exist yet."""

    def __init__(self, message: str) -> None:
        super().__init__("LogsNotYetAvailable", "system", message)


class RemoteTaskNotFoundError(RuntimeUserError):
    """No deployed task has this name and version."""

    CODE: ClassVar[str] = "RemoteTaskNotFoundError"

    def __init__(self, message: str) -> None:
        super().__init__(self.CODE, message, FROM_USER_CODE)


class RemoteTaskUsageError(RuntimeUserError):
    """A reference to a deployed task was used as if its code were here."""

    CODE: ClassVar[str] = "RemoteTaskUsageError"

    def __init__(self, message: str) -> None:
        super().__init__(self.CODE, message, FROM_USER_CODE)


class UnionRpcError(RuntimeSystemError):
    """A call to the control plane failed."""
