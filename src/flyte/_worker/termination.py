"""SIGTERM and SIGINT: the task may end by itself, within a grace period."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from flyte.errors import RuntimeUserError

GRACE_VARIABLE = "FLYTE_TERMINATION_GRACE_S"
DEFAULT_GRACE_S = 10.0

_REPEATED_S = 0.1
_FAREWELL_S = 1.0
"""So long may the last line take, where whoever reads the output has stopped reading."""


class AttemptTerminated(BaseException):
    """Raised in a sync task when its process is told to end; the task may save its checkpoint on the way out."""


class Termination:
    """Lets the task end by itself when its process is told to, and ends the process when that takes too long.

    The grace period is counted by a thread that hears of the signal at once, also while the main thread is in a call
    that does not return to Python.

    Args:
        grace_s: Between the signal and the end of the process.
    """

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._signal: int | None = None
        self._task: asyncio.Task[Any] | None = None
        self._may_raise = False
        self._before: dict[int, Any] = {}

    @property
    def was_asked(self) -> bool:
        """The process was told to end."""
        return self._signal is not None

    @property
    def exit_code(self) -> int:
        """That of a process that this signal has ended."""
        return 128 + (self._signal or signal.SIGTERM)

    @property
    def signal_name(self) -> str:
        """Of the signal that was heard."""
        return signal.Signals(self._signal or signal.SIGTERM).name

    def listen(self) -> None:
        """From now on, to the end of the process, signals are heard."""
        # The handlers run in the main thread when it gets back to Python; the pipe is written to at once.
        self._heard, self._hears = os.pipe()
        os.set_blocking(self._hears, False)
        threading.Thread(target=self._watch, name="flyte-grace", daemon=True).start()
        signal.set_wakeup_fd(self._hears, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            # Whoever starts a program in the background wants it to ignore SIGINT.
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._hear)
        os.register_at_fork(after_in_child=self._stop_listening)

    def _stop_listening(self) -> None:
        """In a process that the task has forked, which is not ours to end gently, signals mean what they did."""
        signal.set_wakeup_fd(-1)
        while self._before:
            signal.signal(*self._before.popitem())

    @contextmanager
    def cancels(self, body: asyncio.Task[Any]) -> Iterator[None]:
        """Within the block, in which it runs, the task is cancelled when the process is told to end."""
        self._task = body
        try:
            if self.was_asked:
                body.cancel()
            yield
        finally:
            self._task = None

    @contextmanager
    def raises(self) -> Iterator[None]:
        """Within the block `AttemptTerminated` is raised when the process is told to end."""
        self._may_raise = True
        try:
            if self.was_asked:
                raise AttemptTerminated
            yield
        finally:
            self._may_raise = False

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None:
            return
        self._signal = number
        with suppress(OSError):  # An event loop of the task's own may have taken what is written to at once.
            os.write(self._hears, bytes([number]))
        if self._task is not None:
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)
        elif self._may_raise:
            raise AttemptTerminated

    def _watch(self) -> None:
        try:
            while (number := os.read(self._heard, 1)[0]) not in self._before:
                pass
        except (OSError, IndexError):
            return  # The task has closed what it did not open; then only a signal that nobody hears ends it late.
        ends_at = time.monotonic() + self._grace_s
        while (left_s := ends_at - time.monotonic()) > 0:
            if self._signal is None:
                # The main thread may have been about to block when the signal came, and then does not hear of it.
                signal.pthread_kill(threading.main_thread().ident or 0, number)
            threading.Event().wait(min(left_s, _REPEATED_S))
        farewell = threading.Thread(target=self._say_farewell, daemon=True)
        farewell.start()
        farewell.join(_FAREWELL_S)
        os._exit(128 + number)

    def _say_farewell(self) -> None:
        with suppress(Exception):
            print(f"the task had not ended {self._grace_s:g} s after it was told to", file=sys.stderr, flush=True)
            sys.stdout.flush()


def grace_s() -> float:
    """The grace period that the environment asks for.

    Raises:
        RuntimeUserError: code `InvalidArgument`; it is no number of seconds.
    """
    text = os.environ.get(GRACE_VARIABLE, "")
    try:
        seconds = float(text) if text else DEFAULT_GRACE_S
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise RuntimeUserError("InvalidArgument", f"{GRACE_VARIABLE} is {text!r}: expected seconds, such as 30.")
    return seconds
