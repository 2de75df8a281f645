"""What attempts print, in files: one an attempt, each line after the time it was written.

A line is `2026-01-02T03:04:05.678901Z text`, in UTC; the time always takes `TIME_CHARACTERS`, so that lines sort.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from flyte._controller.local_run import run_folder

TIME_CHARACTERS = 27

_LOG_FILE = re.compile(r"attempt-([0-9]+)\.log")


def log_path(home: Path, run_name: str, action_name: str, attempt_no: int) -> Path:
    """Where the log of an attempt is, or would be if it had printed something."""
    return run_folder(home, run_name) / action_name / f"attempt-{attempt_no}.log"


def log_line(text: str) -> str:
    """A line of a log file that is written now."""
    return f"{datetime.now(UTC).strftime('%Y-%m-%dT%H:%M:%S.%fZ')} {text}\n"


@dataclass(frozen=True, slots=True, order=True)
class LogLine:
    """A line of a log. Lines compare by their time, and those of one file by their order in it.

    Attributes:
        time: As in the file.
        number: Of the line in its file, from 0.
    """

    time: str
    action_name: str
    attempt_no: int
    number: int
    text: str


class LogReader:
    """Reads the log of one attempt, and what is added to it later."""

    def __init__(self, home: Path, run_name: str, action_name: str, attempt_no: int) -> None:
        self._path = log_path(home, run_name, action_name, attempt_no)
        self._action_name = action_name
        self._attempt_no = attempt_no
        self._offset = 0
        self._number = 0

    def new_lines(self) -> Iterator[LogLine]:
        """The complete lines that were not read before; none of a log that is not there."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(self._offset)
            for data in file:
                if not data.endswith(b"\n"):
                    return
                self._offset += len(data)
                line = data[:-1].decode(errors="replace")
                time, text = line[:TIME_CHARACTERS], line[TIME_CHARACTERS + 1 :]
                yield LogLine(time, self._action_name, self._attempt_no, self._number, text)
                self._number += 1


def logged_attempts(home: Path, run_name: str, action_name: str) -> list[int]:
    """The attempts at an action that have a log, by number."""
    return sorted(_attempts_in(run_folder(home, run_name) / action_name))


def logged_actions(home: Path, run_name: str) -> Iterator[tuple[str, int]]:
    """The name and the attempt of every log of a run."""
    folder = run_folder(home, run_name)
    for action_folder in folder.iterdir() if folder.is_dir() else ():
        for attempt_no in _attempts_in(action_folder):
            yield action_folder.name, attempt_no


def _attempts_in(folder: Path) -> Iterator[int]:
    if folder.is_dir():
        for path in folder.iterdir():
            if match := _LOG_FILE.fullmatch(path.name):
                yield int(match[1])
