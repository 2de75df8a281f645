"""What a call does when its name already stands in the record of the run."""

from __future__ import annotations

from dataclasses import dataclass

from flyte.models import ActionPhase

_DONE = frozenset({ActionPhase.SUCCEEDED, ActionPhase.RECOVERED})


@dataclass(frozen=True, slots=True)
class Reuse:
    """Hand out the recorded outputs; nothing runs and nothing is written."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Run it as attempt `attempt_no` of the recorded action."""

    attempt_no: int


def on_recorded(phase: ActionPhase, attempt_no: int) -> Reuse | TryAgain:
    """What follows when a call meets its own record: of an earlier attempt of its parent, or of a run that is resumed.

    Args:
        phase: Where the recorded action is. One that is still open was left behind by a process that is gone.
        attempt_no: Its last attempt.
    """
    return Reuse() if phase in _DONE else TryAgain(attempt_no + 1)
