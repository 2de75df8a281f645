"""What a run does, shown while it does it: a tree of its tasks in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from flyte.cli._moments import show_duration
from flyte.cli._progress_text import Frame, draw, total_counts
from flyte.cli._streams import Lines, LineStream, WatchedInput, in_place_of
from flyte.cli._terminal import console, is_terminal, note

if TYPE_CHECKING:
    from rich.text import Text

    from flyte._controller.progress import RunProgress

FRAME_S = 0.125
LINE_S = 10.0
"""Time between two lines where the output is no terminal."""

_START_POLL_S = 0.02


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

    What tasks print appears above it. The tree stays when it ends. It ends early when something is read from the
    terminal, as a debugger does.
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
        self._stdin = WatchedInput(sys.stdin, self.stop)
        self._live = Live(
            get_renderable=self._frame,
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
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
        width, height = self._console.size
        elapsed_s = time.monotonic() - self._began
        return draw(self._progress, Frame(self._title, elapsed_s, width, height, is_last=self._ends.is_set()))
