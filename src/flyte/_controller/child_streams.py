"""Standard streams of a process of attempts: what is written to them goes to the engine."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import IO, Any

from flyte._context import current_scope
from flyte._controller.child_controller import Channel, ChildController
from flyte._controller.child_messages import Printed


def all_to(channel: Channel) -> Callable[[], Channel | None]:
    """Everything is of the one attempt behind a channel."""
    return lambda: channel


def by_scope() -> Channel | None:
    """The channel of the attempt whose code runs here; None outside of any, on threads that user code starts."""
    scope = current_scope()
    controller = None if scope is None else scope.controller
    return controller.channel if isinstance(controller, ChildController) else None


class SentStream:
    """Stands in for `sys.stdout` or `sys.stderr`, and sends what is written to it, a line or more at a time.

    Args:
        name: Of the two.
        terminal: The stream it stands in for; what is of no attempt goes there, and so does all in a forked process.
        channel_of: Whose output is written now.

    Attributes:
        terminal: The stream it stands in for.
    """

    def __init__(self, name: str, terminal: IO[str], channel_of: Callable[[], Channel | None]) -> None:
        self._name = name
        self.terminal = terminal
        self._channel_of = channel_of
        self._pid = os.getpid()
        self._parts: dict[Channel, list[str]] = {}
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Write `text`; returns its length."""
        channel = self._channel_of()
        if os.getpid() != self._pid or channel is None:
            return self.terminal.write(text)
        with self._lock:
            self._parts.setdefault(channel, []).append(text)
            if "\n" in text:
                self.flush()
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of the texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """What was written is on its way."""
        channel = self._channel_of()
        if os.getpid() != self._pid or channel is None:
            self.terminal.flush()
        else:
            self.end(channel)

    def end(self, channel: Channel) -> None:
        """What was written to a channel is on its way."""
        with self._lock:
            text = "".join(self._parts.pop(channel, ()))
            if not text:
                return
            try:
                channel.send(Printed(self._name, text))
            except OSError:
                # The attempt is over, and something that it has left running still prints.
                self.terminal.write(text)

    def finish(self, channel: Channel) -> None:
        """The same, and so is what was written past this stream into the buffer of the one it stands in for."""
        self.end(channel)
        # There is none where the program was started with a closed stream.
        with suppress(OSError, ValueError, AttributeError):
            self.terminal.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.terminal, name)
