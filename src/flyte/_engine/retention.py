"""Which runs are old enough to be deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retention:
    """How long runs are kept. None sets no bound.

    Attributes:
        max_age_us: Runs that ended longer ago than this are not kept.
        max_runs: Only so many of the newest runs are kept.
    """

    max_age_us: int | None = None
    max_runs: int | None = None

    @property
    def keeps_all(self) -> bool:
        """Whether there is no bound."""
        return self.max_age_us is None and self.max_runs is None


@dataclass(frozen=True, slots=True)
class RunAge:
    """A run as retention sees it; `ended_us` is None while it is open."""

    run_id: int
    ended_us: int | None


def too_many_or_too_old(runs: Sequence[RunAge], retention: Retention, now_us: int) -> list[int]:
    """The ids of the runs that break a bound; an open run never does, though it counts as one of the newest.

    Args:
        runs: All of them, newest first.
    """
    oldest_us = None if retention.max_age_us is None else now_us - retention.max_age_us
    max_runs = len(runs) if retention.max_runs is None else retention.max_runs
    return [
        run.run_id
        for place, run in enumerate(runs)
        if run.ended_us is not None and (place >= max_runs or (oldest_us is not None and run.ended_us < oldest_us))
    ]


def older_than_all_bounds(runs: Sequence[RunAge], retention: Retention, now_us: int) -> list[int]:
    """The ids of the runs that break every bound there is: what one asks for who names several."""
    bounds = [
        bound
        for bound in (Retention(max_age_us=retention.max_age_us), Retention(max_runs=retention.max_runs))
        if not bound.keeps_all
    ]
    broken = [set(too_many_or_too_old(runs, bound, now_us)) for bound in bounds]
    return [run.run_id for run in runs if broken and all(run.run_id in each for each in broken)]
