"""The root of the tree and the four classes that say whose fault an error is."""

from __future__ import annotations

from typing import Any, Literal

ErrorKind = Literal["system", "unknown", "user"]

FROM_USER_CODE = "user"
"""`worker` of errors that the task's own code or its caller caused."""


class BaseRuntimeError(RuntimeError):
    """Any error that Flyte raises or hands on; `str()` is the message.

    Attributes:
        code: Stable name of what happened, the same in every process and release.
        kind: Whose fault it is: `user`, `system` or `unknown`.
        worker: The process that failed, or `user` when the fault lies in user code.
        remote_traceback: The traceback of the original failure as text, when it happened in another task.
    """

    remote_traceback: str | None = None

    def __init__(self, code: str, kind: ErrorKind, root_cause_message: str, worker: str | None = None) -> None:
        super().__init__(root_cause_message)
        self.code = code
        self.kind = kind
        self.worker = worker

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions pickle as `cls(*args)`, which fails for every subclass whose constructor differs from `args`.
        return _rebuild, (type(self), self.args), self.__dict__


def _rebuild(cls: type[BaseRuntimeError], args: tuple[Any, ...]) -> BaseRuntimeError:
    # Of several bases, the first one's `__new__` is found, and an `OSError` among them refuses any but its own.
    make = OSError.__new__ if issubclass(cls, OSError) else cls.__new__
    error = make(cls, *args)
    error.args = args
    return error


class RuntimeSystemError(BaseRuntimeError):
    """Flyte, or the machine under it, failed; the task's code is not to blame."""

    def __init__(self, code: str, message: str, worker: str | None = None) -> None:
        super().__init__(code, "system", message, worker)


class RuntimeUnknownError(BaseRuntimeError):
    """Something failed and nothing tells whose fault it was."""

    def __init__(self, code: str, message: str, worker: str | None = None) -> None:
        super().__init__(code, "unknown", message, worker)


class RuntimeUserError(BaseRuntimeError):
    """What the task's code or its caller did wrong.

    Every exception that leaves a task reaches the caller as this class, with the name of the original class as `code`.
    """

    def __init__(self, code: str, message: str, worker: str | None = None) -> None:
        super().__init__(code, "user", message, worker)


class InitializationError(BaseRuntimeError):
    """Flyte was used before `flyte.init()`, or with a configuration that does not work."""
