"""What the attempts of a run print: kept in their logs, and shown in the terminal."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import IO

from flyte._controller.calls import Attempt
from flyte._controller.local_run import LocalRunSpec
from flyte._controller.log_files import log_line, log_path
from flyte._controller.printed_lines import OpenLine
from flyte._logging import system_logger

WRITE_EVERY_S = 0.4
"""How long a line is in memory before it is in its file."""

_PENDING_LIMIT_CHARACTERS = 65_536
_SHORT_NAME_CHARACTERS = 6


class AttemptOutput:
    """What one attempt prints. Safe to use from any thread.

    Args:
        path: Its log, made with the first line.
        prefix: What stands before its lines in the terminal when it has company.

    Attributes:
        has_company: Other attempts ran while it printed.
    """

    def __init__(self, path: Path, prefix: str) -> None:
        self.prefix = prefix
        self.has_company = False
        self._path = path
        self._lines: dict[str, OpenLine] = {}
        self._pending: list[str] = []
        self._pending_characters = 0
        self._lock = threading.Lock()
        self._file_lock = threading.Lock()

    def add(self, line: OpenLine, text: str, prefix: str) -> str:
        """`text` was written to the stream of that line; returns what the terminal is to show of it now."""
        with self._lock:
            ended, shown = line.add(text, prefix)
            self._keep(ended)
        if self._pending_characters > _PENDING_LIMIT_CHARACTERS:
            self.write()
        return shown

    def line(self, name: str, terminal: IO[str]) -> OpenLine:
        """The open line of the stream of that name."""
        return self._lines.get(name) or self._lines.setdefault(name, OpenLine(terminal))

    def end(self) -> list[tuple[str, OpenLine, str]]:
        """Lines without an end are lines now; returns what the terminal is to show of them, by stream."""
        with self._lock:
            lines, self._lines = self._lines, {}
            ends = []
            for name, line in lines.items():
                ended, shown = line.end(self.prefix)
                self._keep(ended)
                ends.append((name, line, shown))
        return ends

    def write(self) -> None:
        """The lines are in the file.

        Raises:
            OSError: they could not be written, and are gone.
        """
        with self._file_lock:
            with self._lock:
                pending, self._pending, self._pending_characters = self._pending, [], 0
            if pending:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("a", encoding="utf-8", errors="backslashreplace", newline="") as file:
                    file.writelines(pending)

    def _keep(self, lines: list[str]) -> None:
        for line in lines:
            kept = log_line(line)
            self._pending.append(kept)
            self._pending_characters += len(kept)


class RunOutput:
    """What all attempts of one run print.

    A thread writes the logs; it starts with the first line that is printed.

    Attributes:
        running: How many attempts run now.
    """

    def __init__(self, spec: LocalRunSpec) -> None:
        self.running = 0
        self._spec = spec
        self._lock = threading.Lock()
        self._unwritten: dict[AttemptOutput, None] = {}
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self._has_warned = False
        self._begun: dict[str, OpenLine] = {}
        self._terminal_lock = threading.RLock()

    def write(self, attempt: Attempt, name: str, text: str, terminal: IO[str]) -> None:
        """`text` was written to the stream of that name inside `attempt`."""
        if self._is_over.is_set():
            terminal.write(text)
            return
        attempt = attempt.around or attempt
        output = attempt.output or self._begin(attempt)
        line = output.line(name, terminal)
        try:
            output.has_company = output.has_company or not self._is_alone(attempt)
            shown = output.add(line, text, output.prefix if output.has_company else "")
        except OSError as error:
            self._warn(error)
            shown = text
        with self._lock:
            self._unwritten[output] = None
        self._show(name, line, shown)

    def flush(self, attempt: Attempt, name: str, terminal: IO[str]) -> None:
        """The stream of that name was flushed inside `attempt`."""
        output = (attempt.around or attempt).output
        if output is not None:
            line = output.line(name, terminal)
            self._show(name, line, line.flush(output.prefix))
        terminal.flush()

    def end(self, output: AttemptOutput) -> None:
        """The attempt that prints there is over."""
        ends = output.end()
        with self._lock:
            self._unwritten[output] = None
        for name, line, shown in ends:
            self._show(name, line, shown)

    def write_logs(self) -> None:
        """What was printed until now is in the files."""
        with self._lock:
            unwritten, self._unwritten = self._unwritten, {}
        for output in unwritten:
            try:
                output.write()
            except OSError as error:
                self._warn(error)

    def close(self) -> None:
        """The run is over; what is left of it prints to the terminal only."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()
        self.write_logs()

    @property
    def is_used(self) -> bool:
        """Whether anything was printed yet."""
        return self._thread is not None

    def _begin(self, attempt: Attempt) -> AttemptOutput:
        record = attempt.record
        path = log_path(self._spec.home, self._spec.name, record.name, attempt.attempt_no)
        with self._lock:
            if attempt.output is None:
                prefix = f"[{attempt.task.short_name} {record.name[:_SHORT_NAME_CHARACTERS]}] "
                attempt.output = AttemptOutput(path, prefix)
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_until_over, name="flyte-logs", daemon=True)
                self._thread.start()
        return attempt.output

    def _show(self, name: str, line: OpenLine, text: str) -> None:
        if not text:
            return
        with self._terminal_lock:
            begun = self._begun.pop(name, None)
            if begun is not None and begun is not line:
                begun.is_cut = True
                text = f"\n{text}"
            if not text.endswith("\n"):
                self._begun[name] = line
            line.terminal.write(text)

    def _write_until_over(self) -> None:
        while not self._is_over.wait(WRITE_EVERY_S):
            self.write_logs()

    def _is_alone(self, attempt: Attempt) -> bool:
        """Whether no other attempt runs but those that this one was called from, which wait for it."""
        waiting, caller = 0, attempt.caller
        while caller is not None:
            waiting, caller = waiting + 1, caller.caller
        return self.running <= waiting + 1

    def _warn(self, error: OSError) -> None:
        if not self._has_warned:
            self._has_warned = True
            system_logger.warning("what the run prints is not in its logs: %s", error)
