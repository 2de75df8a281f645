"""The line that an attempt is writing to a stream, and how much of it the terminal shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO

LINE_LIMIT_CHARACTERS = 65_536
"""A longer line is kept in pieces of this length: what is kept in memory has a bound."""


class OpenLine:
    """What is printed to `terminal`, made into lines.

    While an attempt runs alone the terminal gets every character at once. Beside others it gets whole lines, each with
    the prefix of its attempt.

    Attributes:
        is_cut: Another line came between what the terminal shows of this one and the rest.
    """

    def __init__(self, terminal: IO[str]) -> None:
        self.terminal = terminal
        self.is_cut = False
        self._parts: list[str] = []
        self._length = 0
        self._shown = 0

    def add(self, text: str, prefix: str) -> tuple[list[str], str]:
        """The lines that end in `text`, and what the terminal is to show now; an empty prefix is that of one alone."""
        if "\n" not in text and self._length + len(text) <= LINE_LIMIT_CHARACTERS:
            self._parts.append(text)
            self._length += len(text)
            return [], "" if prefix else self._unseen("")
        shown, whole = self._shown, "".join(self._parts) + text
        *ended, rest = whole.split("\n")
        while len(rest) > LINE_LIMIT_CHARACTERS:
            ended.append(rest[:LINE_LIMIT_CHARACTERS])
            rest = rest[LINE_LIMIT_CHARACTERS:]
        self._parts, self._length, self._shown = [rest], len(rest), 0
        if not prefix:
            self._shown = self._length
            self.is_cut = False
            return _as_drawn(ended), whole[shown:]
        first, *others = ended
        begin = prefix if self.is_cut or not shown else ""
        text = f"{begin}{first[shown:] if shown else _as_drawn([first])[0]}\n"
        self.is_cut = False
        return _as_drawn(ended), text + "".join(f"{prefix}{line}\n" for line in _as_drawn(others))

    def flush(self, prefix: str) -> str:
        """What the terminal is to show because someone wants it seen now, as a debugger does with its prompt."""
        # A progress bar flushes every state of its line.
        return "" if any("\r" in part for part in self._parts) else self._unseen(prefix)

    def end(self, prefix: str) -> tuple[list[str], str]:
        """As `add`, for a line that stays without an end."""
        lines = _as_drawn(["".join(self._parts)]) if self._length else []
        text = self._unseen(prefix)
        return lines, text and f"{text}\n"

    def _unseen(self, prefix: str) -> str:
        if self._shown == self._length:
            return ""
        begin = prefix if self.is_cut or not self._shown else ""
        text = "".join(self._parts)
        self._parts, shown, self._shown, self.is_cut = [text], self._shown, self._length, False
        return f"{begin}{text[shown:]}"


def _as_drawn(lines: Iterable[str]) -> list[str]:
    """Of a line that was drawn over with carriage returns, as progress bars do, the last state counts."""
    return [line.rstrip("\r").rpartition("\r")[2] for line in lines]
