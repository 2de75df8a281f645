"""Which code of the protocol an error is answered with."""

from __future__ import annotations

import secrets

from connectrpc.code import Code
from connectrpc.errors import ConnectError

from flyte._logging import system_logger
from flyte._server import refusals
from flyte.errors import (
    BaseRuntimeError,
    ConditionNotFoundError,
    DataNotFoundError,
    RunAlreadyExistsError,
    RunNotFoundError,
    StoreError,
)

_CODES: tuple[tuple[type[Exception], Code], ...] = (
    (refusals.InvalidRequestError, Code.INVALID_ARGUMENT),
    (refusals.UnknownError, Code.NOT_FOUND),
    (refusals.AlreadyThereError, Code.ALREADY_EXISTS),
    (refusals.NotNowError, Code.FAILED_PRECONDITION),
    (refusals.RunAbortedError, Code.ABORTED),
    (refusals.TooBusyError, Code.RESOURCE_EXHAUSTED),
    (RunNotFoundError, Code.NOT_FOUND),
    (ConditionNotFoundError, Code.NOT_FOUND),
    (DataNotFoundError, Code.NOT_FOUND),
    (RunAlreadyExistsError, Code.ALREADY_EXISTS),
    # The disk is full, or another process holds the file: clients try again.
    (StoreError, Code.UNAVAILABLE),
)


def to_connect_error(error: Exception, doing: str) -> ConnectError:
    """The error that the caller gets.

    One that nobody foresaw is logged with its traceback, under a reference that the caller is told, and its text stays
    here. Its code is `unknown`: clients repeat calls that end with `internal`, which would not help.

    Args:
        error: What was raised.
        doing: The call, for the log.
    """
    if isinstance(error, ConnectError):
        return error
    for kind, code in _CODES:
        if isinstance(error, kind):
            return ConnectError(code, str(error))
    if isinstance(error, BaseRuntimeError) and error.kind == "user":
        return ConnectError(Code.INVALID_ARGUMENT, str(error))
    reference = secrets.token_hex(4)
    system_logger.error("%s failed (reference %s)", doing, reference, exc_info=error)
    return ConnectError(
        Code.UNKNOWN, f"the server failed at this; its log says why, at reference {reference}. Please report it."
    )
