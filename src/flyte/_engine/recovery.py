"""What a new run may take over from an earlier one."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from flyte.models import ActionPhase

_DONE = frozenset({ActionPhase.SUCCEEDED, ActionPhase.RECOVERED})


@dataclass(frozen=True, slots=True)
class SourceAction:
    """An action of the earlier run. `parent_name` is None for its root."""

    name: str
    parent_name: str | None
    task_name: str
    phase: ActionPhase


def recoverable(
    actions: Iterable[SourceAction], forced: Collection[str] = (), changed_tasks: Collection[str] = ()
) -> frozenset[str]:
    """The names of the actions whose recorded outcome a new run hands out instead of executing them.

    Those are the actions that succeeded, except the root, which always runs and meets the others; those that are
    forced to run again or whose task has changed; and those above one of these, for it would not be reached otherwise.

    Args:
        actions: All of the earlier run, in any order.
        forced: Names of actions that are to run again.
        changed_tasks: Names of tasks whose code is not what the earlier run called.
    """
    by_name = {action.name: action for action in actions}
    runs_again: set[str] = set()
    for action in by_name.values():
        if action.name in forced or action.task_name in changed_tasks:
            above: SourceAction | None = action
            while above is not None and above.name not in runs_again:
                runs_again.add(above.name)
                above = by_name.get(above.parent_name) if above.parent_name is not None else None
    return frozenset(
        action.name
        for action in by_name.values()
        if action.phase in _DONE and action.parent_name is not None and action.name not in runs_again
    )
