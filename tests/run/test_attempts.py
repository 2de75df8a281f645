from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

import flyte
from flyte._store.reader import StoreReader
from flyte._store.records import StoredAttempt
from flyte.errors import DeadlineExceededError, RuntimeUserError
from flyte.models import ActionPhase

env = flyte.TaskEnvironment(name="at")
AT_ONCE = flyte.Backoff(base=timedelta(0))


def attempts(home: Path, run_name: str, task_name: str) -> list[StoredAttempt]:
    """The attempts at the only action of a task."""
    with StoreReader(home) as reader:
        (action,) = (each for each in reader.list_actions(reader.load_run(run_name)) if each.task_name == task_name)
        return reader.list_attempts(action)


@env.task(retries=flyte.RetryStrategy(count=2, backoff=AT_ONCE))
async def stumbles(until: int) -> int:
    attempt_no = flyte.ctx().attempt_number
    if attempt_no < until:
        raise ConnectionError(f"attempt {attempt_no}")
    return attempt_no


@env.task(retries=flyte.RetryStrategy(count=1, backoff=AT_ONCE))
async def tries_its_child_again() -> int:
    return await stumbles(until=3)


def test_each_attempt_keeps_its_own_phase_times_and_error(flyte_home: Path) -> None:
    flyte.with_runcontext(name="r").run(stumbles, until=2)
    kept = attempts(flyte_home, "r", "at.stumbles")
    assert [each.attempt_no for each in kept] == [1, 2, 3]
    assert [each.phase.value for each in kept] == ["failed", "failed", "succeeded"]
    assert [each.error and each.error.message for each in kept] == ["attempt 0", "attempt 1", None]
    moments = [moment for each in kept for moment in (each.started_at, each.ended_at)]
    assert None not in moments
    assert moments == sorted(moments)  # type: ignore[type-var]


def test_the_last_failed_attempt_is_what_the_action_says(flyte_home: Path) -> None:
    with pytest.raises(RuntimeUserError, match="attempt 2"):
        flyte.with_runcontext(name="r").run(stumbles, until=9)
    kept = attempts(flyte_home, "r", "at.stumbles")
    assert [each.error and each.error.message for each in kept] == ["attempt 0", "attempt 1", "attempt 2"]


def test_attempts_of_a_child_that_its_parent_calls_again_stay(flyte_home: Path) -> None:
    assert flyte.with_runcontext(name="r").run(tries_its_child_again).outputs().o0 == 3
    kept = attempts(flyte_home, "r", "at.stumbles")
    assert [(each.attempt_no, each.phase.value) for each in kept] == [
        *((attempt_no, "failed") for attempt_no in (1, 2, 3)),
        (4, "succeeded"),
    ]


def test_an_attempt_that_ran_when_the_run_ended_is_kept_by_the_resume(flyte_home: Path) -> None:
    with pytest.raises(RuntimeUserError):
        flyte.with_runcontext(name="r").run(stumbles, until=3)
    flyte.resume("r")
    assert [each.phase.value for each in attempts(flyte_home, "r", "at.stumbles")] == [*["failed"] * 3, "succeeded"]


def test_a_deadline_that_passes_between_attempts_ends_one_that_never_started(flyte_home: Path) -> None:
    later = flyte.RetryStrategy(count=1, backoff=flyte.Backoff(base=timedelta(hours=1)))
    task = stumbles.override(retries=later, timeout=flyte.Timeout(deadline=timedelta(seconds=0.05)))
    with pytest.raises(DeadlineExceededError):
        flyte.with_runcontext(name="r").run(task, until=1)
    first, last = attempts(flyte_home, "r", "at.stumbles")
    assert (first.phase, last.phase) == (ActionPhase.FAILED, ActionPhase.TIMED_OUT)
    assert last.started_at is None
