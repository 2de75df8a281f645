"""How far a run is, as lines: the tree of its tasks with counts, and its first failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyte._store.records import CacheStatus
from flyte.cli._moments import show_count, show_duration
from flyte.models import ActionPhase

if TYPE_CHECKING:
    from rich.text import Text

    from flyte._controller.progress import RunProgress, TaskProgress

_FAILED = (ActionPhase.FAILED, ActionPhase.TIMED_OUT)
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_TURNS_PER_S = 8
_SPARE_LINES = 5
"""Lines of the terminal that the tree leaves to what is above and below it."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Actions by how they stand, and how many got their result from the cache, or missed it."""

    succeeded: int = 0
    running: int = 0
    failed: int = 0
    aborted: int = 0
    hits: int = 0
    misses: int = 0

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


def counts_of(started: int, ended: Counter[ActionPhase], cache: Counter[int]) -> Counts:
    """The counts of a number of actions, of which those in `ended` are over."""
    # The engine goes on counting while this reads.
    phases = dict(ended)
    failed = sum(phases.get(phase, 0) for phase in _FAILED)
    aborted = phases.get(ActionPhase.ABORTED, 0)
    succeeded = sum(phases.values()) - failed - aborted
    running = max(started - sum(phases.values()), 0)
    return Counts(succeeded, running, failed, aborted, cache[CacheStatus.HIT], cache[CacheStatus.MISS])


def total_counts(progress: RunProgress) -> Counts:
    """The counts of all actions of the run."""
    started, ended, cache = 0, Counter[ActionPhase](), Counter[int]()
    for _, node in tree(progress.root):
        started += node.started
        ended.update(dict(node.ended))
        cache.update(dict(node.cache))
    return counts_of(started, ended, cache)


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


@dataclass(frozen=True, slots=True)
class Frame:
    """What a picture of the run depends on, besides its progress."""

    title: str
    elapsed_s: float
    width: int
    height: int
    is_last: bool = False


def draw(progress: RunProgress, frame: Frame) -> Text:
    """The run as it is now, in no more lines and columns than the terminal has."""
    from rich.text import Text

    failures = list(progress.failures)
    lines = [_headline(progress, frame), *_tasks(progress, max(frame.height - _SPARE_LINES - len(failures), 3))]
    for failure in failures:
        message = " ".join(failure.message.split())
        lines.append(Text(f"✗ {failure.task_name} ({failure.action_name}) {failure.code}: {message}", "red"))
    hidden = progress.failure_count - len(failures)
    if hidden > 0:
        lines.append(Text(f"✗ and {show_count(hidden, 'more failure')}", "red"))
    for line in lines:
        line.truncate(frame.width - 1, overflow="ellipsis")
    return Text("\n").join(lines)


def _headline(progress: RunProgress, frame: Frame) -> Text:
    from rich.text import Text

    mark = "■" if frame.is_last else _SPINNER[int(frame.elapsed_s * _TURNS_PER_S) % len(_SPINNER)]
    actions = show_count(total_counts(progress).total, "action")
    return Text.assemble(
        (f"{mark} ", "cyan"),
        (progress.run_name or "starting", "bold"),
        f"  {frame.title}  {show_duration(frame.elapsed_s)}  {actions}",
    )


def _tasks(progress: RunProgress, limit: int) -> list[Text]:
    from rich.text import Text

    rows: list[Text] = []
    nodes = tree(progress.root) if progress.root.task_name else iter(())
    for branch, node in nodes:
        if len(rows) == limit:
            rows.append(Text(f"… and {show_count(1 + sum(1 for _ in nodes), 'more task')}", "dim"))
            break
        rows.append(_row(branch, node))
    return rows


def _row(branch: str, node: TaskProgress) -> Text:
    from rich.text import Text

    counts = counts_of(node.started, node.ended, node.cache)
    row = Text.assemble((branch, "dim"), node.task_name)
    for number, mark, style in (
        (counts.succeeded, "✓", "green"),
        (counts.running, "●", "cyan"),
        (counts.failed, "✗", "red"),
        (counts.aborted, "⊘", "yellow"),
    ):
        if number:
            row.append(f"  {mark} {number:,}", style)
    told = [f"{number:,} {what}" for number, what in ((counts.hits, "hit"), (counts.misses, "missed")) if number]
    if told:
        row.append(f"  cache: {', '.join(told)}", "dim")
    return row
