"""The controller while inputs of a run are converted: nothing runs yet that could call anything."""

from __future__ import annotations

from typing import Any, TextIO

from flyte.errors import ActionAbortedError


class _PlainOutput:
    """Where prints go while inputs are converted: the terminal. There is no attempt yet whose log they could be in."""

    def write(self, attempt: object, name: str, text: str, terminal: TextIO) -> None:
        terminal.write(text)

    def flush(self, attempt: object, name: str, terminal: TextIO) -> None:
        terminal.flush()


class NoCalls:
    """The controller while inputs are converted: nothing can be called."""

    output = _PlainOutput()

    def __getattr__(self, name: str) -> Any:
        raise ActionAbortedError(
            "tasks, traces and conditions cannot be called while the inputs of a run are converted."
        )
