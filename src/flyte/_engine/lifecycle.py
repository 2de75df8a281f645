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

_DONE = (ActionPhase.SUCCEEDED, ActionPhase.RECOVERED)

SUCCESSORS: dict[ActionPhase, frozenset[ActionPhase]] = {
    ActionPhase.QUEUED: frozenset(ActionPhase) - {ActionPhase.PAUSED},
    ActionPhase.WAITING_FOR_RESOURCES: frozenset(ActionPhase) - {ActionPhase.PAUSED, ActionPhase.RECOVERED},
    ActionPhase.INITIALIZING: frozenset(ActionPhase) - {ActionPhase.PAUSED, ActionPhase.RECOVERED},
    ActionPhase.RUNNING: frozenset(ActionPhase) - {ActionPhase.RECOVERED},
    ActionPhase.PAUSED: frozenset(ActionPhase) - {ActionPhase.RECOVERED},
    **{phase: frozenset() for phase in ActionPhase if phase not in _OPEN},
}
"""The phases that may follow each phase. A retry goes back to QUEUED; nothing follows a terminal phase."""


def may_record(recorded: ActionPhase, recorded_attempt_no: int, attempt_no: int) -> bool:
    """Whether a record in phase `recorded` gives way to one of attempt `attempt_no`; the store refuses what may not.

    A success stays for good. What ended otherwise gives way to a later attempt, and what is open to any but an earlier
    one: an attempt that was given up may go on unseen, and must not speak for the one that follows it.
    """
    if recorded in _DONE:
        return False
    return attempt_no > recorded_attempt_no or (attempt_no == recorded_attempt_no and recorded in _OPEN)


def may_follow(current: ActionPhase, following: ActionPhase) -> bool:
    """Whether an action in `current` may be recorded as `following`."""
    return following in SUCCESSORS[current]
