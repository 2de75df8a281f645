"""Mistakes in declaring, calling and running tasks, and the ways in which an attempt ends badly."""

from __future__ import annotations

from flyte.errors._base import FROM_USER_CODE, RuntimeUserError


class TaskDefinitionError(RuntimeUserError, ValueError, TypeError):
    """A task or environment is declared wrongly; raised where it is declared.

    It is a `ValueError` and a `TypeError` too, so that either `except` catches it.
    """

    def __init__(self, message: str) -> None:
        super().__init__("TaskDefinition", message, FROM_USER_CODE)


class CustomError(RuntimeUserError):
    """An exception of user code, wrapped."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message, FROM_USER_CODE)

    @classmethod
    def from_exception(cls, e: Exception) -> CustomError:
        """Wrap `e`: its class name becomes the code, its text the message, and it stays the cause."""
        error = cls(type(e).__name__, str(e))
        error.__cause__ = e
        return error


class NonRecoverableError(RuntimeUserError):
    """Raise this in a task when another attempt cannot help: the remaining retries are not used."""

    def __init__(self, message: str, code: str = "NonRecoverableError") -> None:
        super().__init__(code, message)


class RuntimeDataValidationError(RuntimeUserError):
    """A value does not fit the declared type of a task's input or output."""

    def __init__(self, var: str, e: Exception | str, task_name: str = "") -> None:
        where = f"task {task_name} variable {var}" if task_name else f"variable {var}"
        super().__init__("DataValidationError", f"In {where}, failed to serialize/deserialize because of {e}")


class RestrictedTypeError(RuntimeUserError):
    """A type is used that tasks may not use."""

    def __init__(self, message: str) -> None:
        super().__init__("RestrictedTypeUsage", message, FROM_USER_CODE)


class InlineIOMaxBytesBreached(RuntimeUserError):
    """The serialized inputs or outputs of an action are larger than the limit for inline data."""

    def __init__(self, message: str) -> None:
        super().__init__("InlineIOMaxBytesBreached", message, FROM_USER_CODE)


class NotInTaskContextError(RuntimeUserError):
    """Something that only works inside a running task was used outside one."""


class SyncTaskCallInAsyncContextError(RuntimeUserError):
    """Async code called a synchronous task in the blocking form; `await task.aio(...)` is the form to use."""

    def __init__(self, message: str) -> None:
        super().__init__("SyncTaskCallInAsyncContextError", message, FROM_USER_CODE)


class TraceDoesNotAllowNestedTasksError(RuntimeUserError):
    """A task was called inside a function decorated with `@flyte.trace`."""

    def __init__(self, message: str) -> None:
        super().__init__("TraceDoesNotAllowNestedTasksError", message)


class ModuleLoadError(RuntimeUserError):
    """The module or file that holds the task cannot be imported."""

    def __init__(self, message: str) -> None:
        super().__init__("ModuleLoadError", message, FROM_USER_CODE)


class OnlyAsyncIOSupportedError(RuntimeUserError):
    """The blocking form was used on a file system that has only an asynchronous one."""

    def __init__(self, message: str) -> None:
        super().__init__("OnlyAsyncIOSupportedError", message, FROM_USER_CODE)


class OOMError(RuntimeUserError):
    """The attempt used more memory than it was given."""


class TaskInterruptedError(RuntimeUserError):
    """The attempt was taken off its machine before it ended."""


class RetriesExhaustedError(RuntimeUserError):
    """Every attempt that the retry strategy allows has failed."""


class TaskTimeoutError(RuntimeUserError):
    """A time limit of the task was exceeded; the subclass says which."""

    def __init__(self, message: str, code: str = "TaskTimeoutError") -> None:
        super().__init__(code, message, FROM_USER_CODE)


class MaxRuntimeExceededError(TaskTimeoutError):
    """One attempt ran longer than allowed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "MaxRuntimeExceededError")


class MaxQueuedTimeExceededError(TaskTimeoutError):
    """The attempt waited in the queue longer than allowed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "MaxQueuedTimeExceededError")


class DeadlineExceededError(TaskTimeoutError):
    """The action, with all its attempts and waits, took longer than allowed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "DeadlineExceededError")


class ActionAbortedError(RuntimeUserError):
    """The action was stopped from outside."""

    def __init__(self, message: str) -> None:
        super().__init__("ActionAbortedError", message, FROM_USER_CODE)


class RunAbortedError(ActionAbortedError):
    """The whole run was stopped from outside, for example with Ctrl-C."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = "RunAborted"


class ConditionAlreadyExistsError(RuntimeUserError):
    """The action already has a condition of this name."""

    def __init__(self, message: str) -> None:
        super().__init__("ConditionAlreadyExistsError", message, FROM_USER_CODE)


class ConditionFailedError(RuntimeUserError):
    """The condition ended in failure."""

    def __init__(self, message: str) -> None:
        super().__init__("ConditionFailedError", message, FROM_USER_CODE)


class ConditionNotFoundError(RuntimeUserError):
    """There is no condition of this name."""

    def __init__(self, message: str) -> None:
        super().__init__("ConditionNotFoundError", message, FROM_USER_CODE)


class ConditionTimedoutError(RuntimeUserError):
    """Nobody signalled the condition in time."""

    def __init__(self, message: str) -> None:
        super().__init__("ConditionTimedoutError", message, FROM_USER_CODE)
