"""Standard streams that know which attempt writes to them, while runs go on."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from flyte._context import current_scope
from flyte._logging import stream_handlers

_NAMES = ("stdout", "stderr")

_lock = threading.Lock()
_users = 0
_installed: dict[str, TaskStream] = {}


class TaskStream:
    """Stands in for `sys.stdout` or `sys.stderr`, and hands what attempts write to the output of their run.

    Which attempt writes is seen from its context variables. What is written outside of any, on threads that user code
    starts for example, goes to the terminal, and so does everything in a forked child.

    Attributes:
        terminal: The stream it stands in for.
    """

    def __init__(self, name: str, terminal: IO[str]) -> None:
        self.terminal = terminal
        self._name = name
        self._pid = os.getpid()

    def write(self, text: str) -> int:
        """Write `text`; returns its length."""
        scope = current_scope()
        if scope is None or os.getpid() != self._pid:
            return self.terminal.write(text)
        scope.controller.output.write(scope.attempt, self._name, text, self.terminal)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of the texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """What was written is seen now."""
        scope = current_scope()
        if scope is None or os.getpid() != self._pid:
            self.terminal.flush()
        else:
            scope.controller.output.flush(scope.attempt, self._name, self.terminal)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.terminal, name)


@contextmanager
def task_streams() -> Iterator[None]:
    """Within the block both streams, and the log handlers that hold them, are `TaskStream`s. Blocks may overlap."""
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            _install()
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _restore()


def terminal(name: str) -> IO[str]:
    """The stream that `sys.stdout` or `sys.stderr` stands in for, or is."""
    stream = getattr(sys, name)
    return stream.terminal if isinstance(stream, TaskStream) else stream


def _install() -> None:
    for name in _NAMES:
        if getattr(sys, name) is not None:
            stream = _installed[name] = TaskStream(name, terminal(name))
            setattr(sys, name, stream)
    for handler in stream_handlers():
        for stream in _installed.values():
            if handler.stream is stream.terminal:
                handler.setStream(stream)


def _restore() -> None:
    for name, stream in _installed.items():
        # A task may have put its own stream there, and not taken it away.
        if getattr(sys, name) is stream:
            setattr(sys, name, stream.terminal)
    for handler in stream_handlers():
        if isinstance(handler.stream, TaskStream):
            handler.setStream(handler.stream.terminal)
    _installed.clear()
