"""What happens after an attempt failed: another one, or the end of the action."""

from __future__ import annotations

from dataclasses import dataclass

from flyte.errors import ErrorKind
from flyte.models import ActionPhase

DEFAULT_FIRST_DELAY_S = 0.5
"""Without a backoff, the wait before attempt n + 1 is `0.5 * 2 ** (n - 1)` seconds."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that grow by `factor` from `base_s` up to `cap_s` (None: no cap)."""

    base_s: float
    factor: float = 1.0
    cap_s: float | None = None

    def delay_s(self, failed_attempts: int) -> float:
        """The wait after so many failed attempts (from 1)."""
        try:
            delay = self.base_s * self.factor ** (failed_attempts - 1)
        except OverflowError:
            delay = float("inf")
        return delay if self.cap_s is None else min(delay, self.cap_s)


@dataclass(frozen=True, slots=True)
class AttemptRules:
    """How often an action is tried."""

    max_attempts: int = 1
    backoff: Backoff = Backoff(DEFAULT_FIRST_DELAY_S, factor=2.0)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt ended without outputs.

    Attributes:
        code: the class name of the user's exception, or a code of ours.
        kind: `user`, `system` or `unknown`.
        recoverable: whether another attempt could end differently.
        traceback: the user's frames as text, without ours.
    """

    code: str
    kind: ErrorKind
    message: str
    recoverable: bool = True
    timed_out: bool = False
    traceback: str | None = None
    worker: str | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Start attempt `attempt_no` after `delay_s`."""

    attempt_no: int
    delay_s: float


@dataclass(frozen=True, slots=True)
class Finish:
    """Record the action as `phase`; no attempt follows."""

    phase: ActionPhase
    failure: Failure


def after_failure(attempt_no: int, failure: Failure, rules: AttemptRules, first_attempt_no: int = 1) -> Retry | Finish:
    """What follows when attempt `attempt_no` ended in `failure`.

    Args:
        attempt_no: From 1, over the whole life of the action.
        failure: Why it ended.
        rules: How often the action is tried.
        first_attempt_no: Where counting starts: an action that is called again, by a later attempt of its parent or
            when its run is resumed, has its full number of tries again.
    """
    tries = attempt_no - first_attempt_no + 1
    if failure.recoverable and tries < rules.max_attempts:
        return Retry(attempt_no + 1, rules.backoff.delay_s(tries))
    return Finish(ActionPhase.TIMED_OUT if failure.timed_out else ActionPhase.FAILED, failure)
