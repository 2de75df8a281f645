"""Where an action may go from where it is."""

from __future__ import annotations

from flyte.models import ActionPhase

_OPEN = (
    ActionPhase.QUEUED,
    ActionPhase.WAITING_FOR_RESOURCES,
    ActionPhase.INITIALIZING,
    ActionPhase.RUNNING,
    ActionPhase.PAUSED,
)

SUCCESSORS: dict[ActionPhase, frozenset[ActionPhase]] = {
    ActionPhase.QUEUED: frozenset(ActionPhase) - {ActionPhase.PAUSED},
    ActionPhase.WAITING_FOR_RESOURCES: frozenset(ActionPhase) - {ActionPhase.PAUSED, ActionPhase.RECOVERED},
    ActionPhase.INITIALIZING: frozenset(ActionPhase) - {ActionPhase.PAUSED, ActionPhase.RECOVERED},
    ActionPhase.RUNNING: frozenset(ActionPhase) - {ActionPhase.RECOVERED},
    ActionPhase.PAUSED: frozenset(ActionPhase) - {ActionPhase.RECOVERED},
    **{phase: frozenset() for phase in ActionPhase if phase not in _OPEN},
}
"""The phases that may follow each phase. A retry goes back to QUEUED; nothing follows a terminal phase."""


def may_follow(current: ActionPhase, following: ActionPhase) -> bool:
    """Whether an action in `current` may be recorded as `following`."""
    return following in SUCCESSORS[current]
