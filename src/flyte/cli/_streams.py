"""Standard streams while something else is written to them: what tasks print is kept in order and whole."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from threading import Lock
from typing import IO, Any

from flyte._logging import stream_handlers


class Lines:
    """The lines written to some streams, in order, until someone takes them."""

    def __init__(self) -> None:
        self._finished: list[str] = []
        self._lock = Lock()
        self._pid = os.getpid()
        self._is_released = False

    def add(self, lines: list[str]) -> None:
        """Lines without their ends."""
        with self._lock:
            self._finished += lines

    def take(self) -> list[str]:
        """What came since the last call."""
        with self._lock:
            lines, self._finished = self._finished, []
        return lines

    def release(self) -> None:
        """From now on nobody takes lines."""
        self._is_released = True

    @property
    def are_taken(self) -> bool:
        """Whether lines must come here; in a forked child there is nobody to take them."""
        return not self._is_released and os.getpid() == self._pid


class LineStream(io.TextIOBase):
    """Stands in for a stream of the terminal, and hands what is written to it to `lines`, line by line.

    A line that is drawn over with carriage returns, as progress bars do, counts once it ends.
    """

    def __init__(self, stream: IO[str], lines: Lines) -> None:
        self.stream = stream
        self._lines = lines
        self._unfinished = ""
        self._lock = Lock()

    def write(self, text: str) -> int:
        if not self._lines.are_taken:
            return self.stream.write(text)
        with self._lock:
            *lines, self._unfinished = (self._unfinished + text).split("\n")
            self._lines.add([_as_drawn(line) for line in lines])
        return len(text)

    def flush(self) -> None:
        if not self._lines.are_taken:
            self.stream.flush()

    def finish_line(self) -> None:
        """What was written of a line that did not end counts as one."""
        with self._lock:
            if self._unfinished:
                self._lines.add([_as_drawn(self._unfinished)])
                self._unfinished = ""

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    def writable(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _as_drawn(line: str) -> str:
    return line.rstrip("\r").rpartition("\r")[2]


class WatchedInput:
    """Stands in for `sys.stdin`, and tells before anyone uses it: a debugger, or `input()`."""

    def __init__(self, stream: IO[str], before_use: Callable[[], None]) -> None:
        self._stream = stream
        self._before_use = before_use
        self._pid = os.getpid()

    def __getattr__(self, name: str) -> Any:
        # A forked child closes its copy.
        if os.getpid() == self._pid:
            self._before_use()
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[str]:
        self._before_use()
        return iter(self._stream)


@contextmanager
def in_place_of(stand_ins: Mapping[str, LineStream | WatchedInput]) -> Iterator[None]:
    """The attributes of `sys` named by the keys are the stand-ins, for log handlers that hold the real ones too.

    The caller keeps the stand-ins alive after the end: `input()` may still use one, without a reference of its own.
    """
    before = {name: getattr(sys, name) for name in stand_ins}
    line_streams = [each for each in stand_ins.values() if isinstance(each, LineStream)]
    handlers = [
        (handler, handler.setStream(stand_in))
        for handler in stream_handlers()
        for stand_in in line_streams
        if handler.stream is stand_in.stream
    ]
    for name, stand_in in stand_ins.items():
        setattr(sys, name, stand_in)
    try:
        yield
    finally:
        for name, stream in before.items():
            # A task may have put its own stream there, and not taken it away.
            if getattr(sys, name) is stand_ins[name]:
                setattr(sys, name, stream)
        for handler, stream in handlers:
            if isinstance(handler.stream, LineStream):
                handler.setStream(stream)


@contextmanager
def task_output_on_stderr() -> Iterator[None]:
    """What tasks, their libraries and child processes write to stdout goes to stderr: stdout is for one document."""
    real = sys.stdout
    real.flush()
    with redirect_stdout(sys.stderr):
        try:
            stdout_fd, stderr_fd = real.fileno(), sys.stderr.fileno()
        except (OSError, ValueError):
            # Not files of the system: Python's own level has to do.
            yield
            return
        saved_fd = os.dup(stdout_fd)
        os.dup2(stderr_fd, stdout_fd)
        try:
            yield
        finally:
            # Someone may have kept the stream, such as a log handler, and written to its buffer.
            real.flush()
            os.dup2(saved_fd, stdout_fd)
            os.close(saved_fd)
