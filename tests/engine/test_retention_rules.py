from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flyte._engine.retention import Retention, RunAge, older_than_all_bounds, too_many_or_too_old

NOW = 1_000
HISTORIES = st.lists(st.none() | st.integers(0, NOW), max_size=8).map(
    lambda ends: [RunAge(run_id, ended) for run_id, ended in zip(range(len(ends), 0, -1), ends)]
)
BOUNDS = st.builds(Retention, st.none() | st.integers(0, NOW), st.none() | st.integers(0, 8))


@given(HISTORIES, BOUNDS)
def test_what_is_kept_is_open_or_young_enough_and_one_of_the_newest(runs: list[RunAge], bounds: Retention) -> None:
    deleted = set(too_many_or_too_old(runs, bounds, NOW))
    for place, run in enumerate(runs):
        is_old = bounds.max_age_us is not None and run.ended_us is not None and NOW - run.ended_us > bounds.max_age_us
        is_far = bounds.max_runs is not None and place >= bounds.max_runs
        assert (run.run_id in deleted) == (run.ended_us is not None and (is_old or is_far))


@given(HISTORIES, BOUNDS)
def test_several_bounds_that_are_asked_for_must_all_be_broken(runs: list[RunAge], bounds: Retention) -> None:
    by_age = too_many_or_too_old(runs, Retention(bounds.max_age_us), NOW)
    by_count = too_many_or_too_old(runs, Retention(None, bounds.max_runs), NOW)
    chosen = older_than_all_bounds(runs, bounds, NOW)
    if bounds.keeps_all:
        assert chosen == []
    elif bounds.max_age_us is None or bounds.max_runs is None:
        assert chosen == (by_count if bounds.max_age_us is None else by_age)
    else:
        assert chosen == [run_id for run_id in by_age if run_id in by_count]
