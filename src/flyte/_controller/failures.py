"""User exceptions and failures: one becomes the other at the edge of an attempt, and back at its caller."""

from __future__ import annotations

import asyncio
import importlib
import os
import traceback
from concurrent import futures
from pathlib import Path

from flyte._engine.attempts import Failure
from flyte._store.records import ErrorRecord
from flyte.errors import BaseRuntimeError, NonRecoverableError, from_code

_HIDDEN = (
    "<frozen importlib",
    f"{Path(__file__).parent.parent}{os.sep}",
    *(f"{Path(module.__file__ or '').parent}{os.sep}" for module in (asyncio, futures, importlib)),
)
_TRACEBACK_LIMIT_CHARACTERS = 32_768


def failure_of(error: BaseException) -> Failure:
    """The failure that `error`, raised by the body of a task, stands for.

    A task that lets a child's error through fails with the same code and the child's own traceback.
    """
    if isinstance(error, BaseRuntimeError):
        return Failure(
            code=error.code,
            kind=error.kind,
            message=str(error),
            recoverable=not isinstance(error, NonRecoverableError),
            traceback=error.remote_traceback or user_traceback(error),
            worker=error.worker,
        )
    return Failure(
        code=type(error).__name__, kind="user", message=str(error), traceback=user_traceback(error), worker="user"
    )


def error_of(failure: Failure | ErrorRecord) -> BaseRuntimeError:
    """The exception a caller sees for `failure`, with the original traceback as text."""
    error = from_code(failure.code, failure.message, failure.worker, failure.kind)
    error.remote_traceback = failure.traceback
    return error


def user_traceback(error: BaseException) -> str:
    """The traceback of `error` and what caused it as text, without the frames of this package and of asyncio."""
    report = traceback.TracebackException.from_exception(error)
    _hide_our_frames(report)
    text = "".join(report.format())
    if len(text) > _TRACEBACK_LIMIT_CHARACTERS:
        half = _TRACEBACK_LIMIT_CHARACTERS // 2
        text = f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
    return text


def _hide_our_frames(report: traceback.TracebackException) -> None:
    shown = [frame for frame in report.stack if not frame.filename.startswith(_HIDDEN)]
    report.stack[:] = shown
    for linked in (report.__cause__, report.__context__, *(report.exceptions or ())):
        if linked is not None:
            _hide_our_frames(linked)
