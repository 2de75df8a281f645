"""What a handler raises, as the error code of the protocol that whoever asked reads."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any, TypeVar

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext

from flyte._logging import system_logger
from flyte._server.refusals import (
    AlreadyThereError,
    InvalidRequestError,
    NotNowError,
    NotOfferedError,
    RefusedError,
    RunAbortedError,
    TooBusyError,
    UnknownError,
)
from flyte.errors import (
    BaseRuntimeError,
    ConditionNotFoundError,
    DataNotFoundError,
    RunAlreadyExistsError,
    RunNotFoundError,
    StoreError,
)

Service = TypeVar("Service")

Context = RequestContext[Any, Any]
"""What a handler is told about a request beside its message."""

_CODES: dict[type[Exception], Code] = {
    InvalidRequestError: Code.INVALID_ARGUMENT,
    UnknownError: Code.NOT_FOUND,
    AlreadyThereError: Code.ALREADY_EXISTS,
    NotNowError: Code.FAILED_PRECONDITION,
    RunAbortedError: Code.ABORTED,
    TooBusyError: Code.RESOURCE_EXHAUSTED,
    NotOfferedError: Code.UNIMPLEMENTED,
    RunNotFoundError: Code.NOT_FOUND,
    ConditionNotFoundError: Code.NOT_FOUND,
    DataNotFoundError: Code.NOT_FOUND,
    RunAlreadyExistsError: Code.ALREADY_EXISTS,
    # Clients ask again after a moment, by when the disk may have room or the lock be free.
    StoreError: Code.UNAVAILABLE,
}


def connect_error(error: Exception, doing: str = "a call") -> ConnectError:
    """The error that a client gets.

    One that nobody foresaw is logged with its traceback, under a reference that the client is told, and its text stays
    here. Its code is `unknown`: clients repeat calls that end with `internal`, which would not help.

    Args:
        error: What was raised.
        doing: By what, for the log.
    """
    if isinstance(error, ConnectError):
        return error
    code = next((_CODES[each] for each in type(error).__mro__ if each in _CODES), None)
    if code is not None:
        return ConnectError(code, str(error))
    if isinstance(error, RefusedError):
        return ConnectError(Code.FAILED_PRECONDITION, str(error))
    if isinstance(error, BaseRuntimeError) and error.kind == "user":
        return ConnectError(Code.INVALID_ARGUMENT, str(error))
    reference = secrets.token_hex(4)
    system_logger.error("%s failed (reference %s)", doing, reference, exc_info=error)
    return ConnectError(
        Code.UNKNOWN, f"the server failed at this; its log says why, at reference {reference}. Please report it."
    )


def answering(service: type[Service]) -> type[Service]:
    """The class, of whose methods what they raise reaches clients under its code."""
    for name in dir(service):
        method = getattr(service, name)
        if name.startswith("_"):
            continue
        if isasyncgenfunction(method):
            setattr(service, name, _streaming(method))
        elif iscoroutinefunction(method):
            setattr(service, name, _answering(method))
    return service


def _answering(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    async def answer(*arguments: Any) -> Any:
        try:
            return await method(*arguments)
        except Exception as error:
            raise connect_error(error, method.__qualname__) from error

    return answer


def _streaming(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    async def stream(*arguments: Any) -> AsyncIterator[Any]:
        messages = method(*arguments)
        try:
            async for message in messages:
                yield message
        except Exception as error:
            raise connect_error(error, method.__qualname__) from error
        finally:
            await messages.aclose()

    return stream
