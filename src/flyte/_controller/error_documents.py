"""The file that says why an attempt, or a trace, failed."""

from __future__ import annotations

from flyteidl2.core.execution_pb2 import ContainerError, ErrorDocument, ExecutionError

from flyte._engine.attempts import Failure
from flyte.errors import ErrorKind

_MESSAGE_LIMIT_CHARACTERS = 32_768
_ORIGINS: dict[ErrorKind, ExecutionError.ErrorKind] = {"user": ExecutionError.USER, "system": ExecutionError.SYSTEM}


def error_document(failure: Failure) -> ErrorDocument:
    """What `error.pb` holds for a failure."""
    return ErrorDocument(
        error=ContainerError(
            code=_text(failure.code),
            message=_text(failure.message),
            kind=ContainerError.RECOVERABLE if failure.recoverable else ContainerError.NON_RECOVERABLE,
            origin=_ORIGINS.get(failure.kind, ExecutionError.UNKNOWN),
        )
    )


def failure_of_document(document: ErrorDocument) -> Failure:
    """The failure that such a file tells of."""
    error = document.error
    kind: ErrorKind = next((kind for kind, origin in _ORIGINS.items() if origin == error.origin), "unknown")
    return Failure(error.code, kind, error.message, error.kind == ContainerError.RECOVERABLE, worker="user")


def _text(text: str) -> str:
    """The text as a message may have it: in Unicode, and not longer than somebody reads."""
    if len(text) > _MESSAGE_LIMIT_CHARACTERS:
        half = _MESSAGE_LIMIT_CHARACTERS // 2
        text = f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode()
