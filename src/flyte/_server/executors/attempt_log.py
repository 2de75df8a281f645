"""What an attempt prints, from the pipe of its process into its log file."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

from flyte._controller.log_writing import LogWriter

_READ_BYTES = 1 << 16
_LAST_READS = 32
"""What is in a pipe when its writers are gone is read in fewer; whoever still writes then is not of the attempt."""


class PipeLog:
    """A pipe whose lines go to a log file, while the event loop runs. A process gets its other end.

    Args:
        file: The log file; closed with the pipe.
    """

    def __init__(self, file: LogWriter) -> None:
        self.file = file
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._is_open = True
        self._failure: OSError | None = None
        asyncio.get_running_loop().add_reader(self._reading, self._read)

    def given_away(self) -> None:
        """The process has its end."""
        if self.writing >= 0:
            os.close(self.writing)
            self.writing = -1

    def close(self) -> OSError | None:
        """All that was written is in the file; returns why it is not, where it could not be written.

        Call it when whoever writes is gone. Safe to call twice.
        """
        self.given_away()
        for _ in range(_LAST_READS):
            if not self._read():
                break
        self._end()
        return self._failure

    def _read(self) -> bool:
        """Whether something was read."""
        if not self._is_open:
            return False
        try:
            data = os.read(self._reading, _READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._end()
            return False
        # A disk that is full must not stop the attempt: what it prints goes on being read, to nowhere.
        if self._failure is None:
            try:
                self.file.write_bytes(data)
            except OSError as error:
                self._failure = error
        return True

    def _end(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        asyncio.get_running_loop().remove_reader(self._reading)
        os.close(self._reading)
        with suppress(OSError):
            self.file.close()
