"""What a run does, shown while it does it: a tree of its tasks in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyte.cli._moments import show_count, show_duration
from flyte.cli._streams import Lines, LineStream, WatchedInput, in_place_of
from flyte.cli._terminal import console, is_terminal, note
from flyte.models import ActionPhase

if TYPE_CHECKING:
    from rich.text import Text

    from flyte._controller.progress import RunProgress, TaskProgress

FRAME_S = 0.125
LINE_S = 10.0
"""Time between two lines where the output is no terminal."""

_START_POLL_S = 0.02
_FAILED = (ActionPhase.FAILED, ActionPhase.TIMED_OUT)
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


@dataclass(frozen=True, slots=True)
class Counts:
    """Actions by how they stand."""

    succeeded: int = 0
    running: int = 0
    failed: int = 0
    aborted: int = 0

    @property
    def total(self) -> int:
        """All that have started."""
        return self.succeeded + self.running + self.failed + self.aborted

    def __str__(self) -> str:
        parts = [f"{self.succeeded:,} succeeded"]
        parts += [f"{self.running:,} running"] if self.running else []
        parts += [f"{self.failed:,} failed"] if self.failed else []
        parts += [f"{self.aborted:,} aborted"] if self.aborted else []
        return ", ".join(parts)


def counts_of(started: int, ended: Counter[ActionPhase]) -> Counts:
    """The counts of a number of actions, of which those in `ended` are over."""
    # The engine goes on counting while this reads.
    phases = dict(ended)
    failed = sum(phases.get(phase, 0) for phase in _FAILED)
    aborted = phases.get(ActionPhase.ABORTED, 0)
    succeeded = sum(phases.values()) - failed - aborted
    return Counts(succeeded, max(started - sum(phases.values()), 0), failed, aborted)


def tree(root: TaskProgress) -> Iterator[tuple[str, TaskProgress]]:
    """Every node with the lines that lead to it, parents first."""
    stack = [("", "", root)]
    while stack:
        branch, stem, node = stack.pop()
        yield branch, node
        children = list(node.children.values())
        for child in reversed(children):
            is_last = child is children[-1]
            stack.append((stem + ("└─ " if is_last else "├─ "), stem + ("   " if is_last else "│  "), child))


def total_counts(progress: RunProgress) -> Counts:
    """The counts of all actions of the run."""
    started, ended = 0, Counter[ActionPhase]()
    for _, node in tree(progress.root):
        started += node.started
        ended.update(dict(node.ended))
    return counts_of(started, ended)


@contextmanager
def shown(progress: RunProgress, title: str, *, enabled: bool) -> Iterator[None]:
    """The run is shown on stderr for as long as the block lasts."""
    if not enabled:
        yield
    elif is_terminal(sys.stderr):
        with LiveTree(progress, title):
            yield
    else:
        with _lines(progress, title):
            yield


@contextmanager
def _lines(progress: RunProgress, title: str) -> Iterator[None]:
    is_over = threading.Event()
    began = time.monotonic()

    def watch() -> None:
        while not progress.run_name and not is_over.wait(_START_POLL_S):
            pass
        if progress.run_name:
            note(f"Run {progress.run_name}: {title}")
        while not is_over.wait(LINE_S):
            note(f"Run {progress.run_name}: {total_counts(progress)} after {show_duration(time.monotonic() - began)}")

    watcher = threading.Thread(target=watch, name="flyte-progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()


class LiveTree:
    """A tree of the run's tasks at the end of the terminal, drawn anew several times a second.

    What tasks print appears above it. The tree stays when it ends. It ends early when
    something is read from the terminal, as a debugger does.
    """

    def __init__(self, progress: RunProgress, title: str) -> None:
        self._progress = progress
        self._title = title
        self._began = time.monotonic()
        self._ends = threading.Event()
        self._lock = threading.Lock()
        self._cleanup = ExitStack()
        self._printed = Lines()
        self._drawer = threading.Thread(target=self._draw_until_over, name="flyte-live", daemon=True)

    def __enter__(self) -> LiveTree:
        from rich.live import Live

        real = {"stdout": sys.stdout, "stderr": sys.stderr}
        self._console = console(sys.stderr)
        self._streams = {
            name: LineStream(stream, self._printed) for name, stream in real.items() if is_terminal(stream)
        }
        self._live = Live(
            get_renderable=self._frame,
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._stdin = WatchedInput(sys.stdin, self.stop)
        self._cleanup.enter_context(in_place_of({**self._streams, "stdin": self._stdin}))
        self._live.start()
        self._drawer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """The last frame is drawn, and the terminal is as it was. Safe to call twice and from any thread."""
        self._ends.set()
        with self._lock:
            if not self._live.is_started:
                return
            self._cleanup.close()
            for stream in self._streams.values():
                stream.finish_line()
            self._printed.release()
            with suppress(Exception):
                self._draw()
                self._live.stop()

    def _draw_until_over(self) -> None:
        while not self._ends.wait(FRAME_S):
            with self._lock:
                if self._ends.is_set():
                    return
                try:
                    self._draw()
                except Exception:
                    # A terminal that went away must not take the run with it.
                    return

    def _draw(self) -> None:
        from rich.text import Text

        if lines := self._printed.take():
            text = Text.from_ansi("\n".join(lines), no_wrap=True, overflow="ignore")
            self._console.print(text, crop=False, soft_wrap=True)
        self._live.refresh()

    def _frame(self) -> Text:
        from rich.text import Text

        width, height = self._console.size
        elapsed_s = time.monotonic() - self._began
        progress = self._progress
        lines = [self._headline(elapsed_s), *self._tasks(max(height - 5 - len(progress.failures), 3))]
        for failure in list(progress.failures):
            message = " ".join(failure.message.split())
            lines.append(Text(f"✗ {failure.task_name} ({failure.action_name}) {failure.code}: {message}", "red"))
        hidden = progress.failure_count - len(progress.failures)
        if hidden > 0:
            lines.append(Text(f"✗ and {hidden:,} more failures", "red"))
        for line in lines:
            line.truncate(width - 1, overflow="ellipsis")
        return Text("\n").join(lines)

    def _headline(self, elapsed_s: float) -> Text:
        from rich.text import Text

        is_over = self._ends.is_set()
        mark = "■" if is_over else _SPINNER[int(elapsed_s / FRAME_S) % len(_SPINNER)]
        name = self._progress.run_name or "starting"
        counts = total_counts(self._progress)
        return Text.assemble(
            (f"{mark} ", "cyan"),
            (name, "bold"),
            f"  {self._title}  {show_duration(elapsed_s)}  {show_count(counts.total, 'action')}",
        )

    def _tasks(self, limit: int) -> list[Text]:
        from rich.text import Text

        rows: list[Text] = []
        nodes = tree(self._progress.root) if self._progress.root.task_name else iter(())
        for branch, node in nodes:
            if len(rows) == limit:
                rows.append(Text(f"… and {1 + sum(1 for _ in nodes):,} more", "dim"))
                break
            rows.append(_row(branch, node))
        return rows


def _row(branch: str, node: TaskProgress) -> Text:
    from rich.text import Text

    counts = counts_of(node.started, node.ended)
    row = Text.assemble((branch, "dim"), node.task_name)
    for number, mark, style in (
        (counts.succeeded, "✓", "green"),
        (counts.running, "●", "cyan"),
        (counts.failed, "✗", "red"),
        (counts.aborted, "⊘", "yellow"),
    ):
        if number:
            row.append(f"  {mark} {number:,}", style)
    return row
