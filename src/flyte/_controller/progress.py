"""How far a run is: counts per task, for whoever draws them while it goes on.

Counts are kept per path of tasks, not per action, so that a run of a hundred thousand actions is as cheap to show as
one of ten.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from flyte.models import ActionPhase

FAILURES_KEPT = 5


@dataclass(slots=True, eq=False)
class TaskProgress:
    """The actions of one task below one path of parent tasks.

    Attributes:
        cache: How many of them were told what by the cache: hits and misses, none of the others.
    """

    task_name: str
    children: dict[str, TaskProgress] = field(default_factory=dict)
    started: int = 0
    ended: Counter[ActionPhase] = field(default_factory=Counter)
    cache: Counter[int] = field(default_factory=Counter)

    @property
    def running(self) -> int:
        """Actions that have started and not ended."""
        return self.started - sum(self.ended.values())

    def child(self, task_name: str) -> TaskProgress:
        """The node of a task called from this one."""
        node = self.children.get(task_name)
        if node is None:
            node = self.children[task_name] = TaskProgress(task_name)
        return node

    def replayed(self) -> None:
        """Counts an action whose outcome was in the record."""
        self.started += 1
        self.ended[ActionPhase.SUCCEEDED] += 1


@dataclass(frozen=True, slots=True)
class ActionFailure:
    """One failed action, as it is shown while the run goes on."""

    action_name: str
    task_name: str
    code: str
    message: str


@dataclass(slots=True, eq=False)
class RunProgress:
    """What a run has done so far. The engine writes it on its thread; reading from another needs no lock."""

    run_name: str = ""
    root: TaskProgress = field(default_factory=lambda: TaskProgress(""))
    failures: list[ActionFailure] = field(default_factory=list)
    failure_count: int = 0

    def failed(self, failure: ActionFailure) -> None:
        """Counts a failure and keeps the first `FAILURES_KEPT` of them."""
        self.failure_count += 1
        if len(self.failures) < FAILURES_KEPT:
            self.failures.append(failure)
