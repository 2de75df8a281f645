"""Writing the log file of an attempt."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

from flyte._controller.log_files import log_line
from flyte._controller.printed_lines import LINE_LIMIT_CHARACTERS

_LAST_LINES = 3


class LogWriter:
    """The lines of an attempt; the file is there once it has one.

    Args:
        path: Of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._open_line = ""
        self._last: list[str] = []

    @property
    def last_lines(self) -> list[str]:
        """The last few that were written."""
        return self._last

    def write_bytes(self, data: bytes) -> None:
        """The lines that end in `data` are in the file; what follows them waits for its end."""
        self.write(self._decoder.decode(data))

    def write(self, text: str) -> None:
        """The same for text."""
        *lines, rest = (self._open_line + text).split("\n")
        while len(rest) > LINE_LIMIT_CHARACTERS:
            lines.append(rest[:LINE_LIMIT_CHARACTERS])
            rest = rest[LINE_LIMIT_CHARACTERS:]
        self._open_line = rest
        if lines:
            self._append([piece for line in lines for piece in _pieces(line)])

    def close(self) -> None:
        """All is in the file, also a last line without an end."""
        self.write(self._decoder.decode(b"", final=True))
        if self._open_line:
            self._append([self._open_line])
            self._open_line = ""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _append(self, lines: list[str]) -> None:
        # Of a line that was drawn over, as progress bars do, the last state counts.
        drawn = [line.rstrip("\r").rpartition("\r")[2] for line in lines]
        self._last = (self._last + drawn)[-_LAST_LINES:]
        if self._descriptor is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        begin = log_line("")[:-1]
        data = "".join(f"{begin}{line}\n" for line in drawn).encode("utf-8", "backslashreplace")
        while data:
            data = data[os.write(self._descriptor, data) :]


def _pieces(line: str) -> list[str]:
    if len(line) <= LINE_LIMIT_CHARACTERS:
        return [line]
    return [line[start : start + LINE_LIMIT_CHARACTERS] for start in range(0, len(line), LINE_LIMIT_CHARACTERS)]
