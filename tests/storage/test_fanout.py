"""Many jobs on as many threads as pay."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from flyte.storage._fanout import run_all


class Gauge:
    """Counts how many are inside at one time."""

    def __init__(self) -> None:
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    @contextmanager
    def inside(self) -> Iterator[None]:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1


def wait(seconds: float) -> None:
    """What takes its time however many do it, as a store far away does."""
    threading.Event().wait(seconds)


def test_results_are_in_the_order_of_the_jobs_and_no_thread_stays() -> None:
    before = threading.active_count()
    jobs: list[Callable[[], int]] = [partial(pow, number, 2) for number in range(5_000)]
    assert run_all(jobs, 32) == [number**2 for number in range(5_000)]
    assert run_all(jobs[:1], 32) == [0]
    assert run_all([], 32) == []
    assert threading.active_count() == before


def test_jobs_that_wait_run_at_the_same_time_up_to_the_limit() -> None:
    gauge = Gauge()

    def job() -> None:
        with gauge.inside():
            wait(0.01)

    run_all([job] * 3_000, 32)
    assert gauge.most == 32


def test_no_thread_is_added_where_more_of_them_get_no_more_done() -> None:
    gauge = Gauge()
    server = threading.Lock()

    def job() -> None:
        with gauge.inside(), server:
            wait(0.001)

    run_all([job] * 1_500, 64)
    assert gauge.most <= 16


def test_after_a_failure_no_job_starts_and_those_under_way_are_waited_for() -> None:
    started: list[int] = []
    ended: list[int] = []

    def job(number: int) -> None:
        started.append(number)
        if number == 100:
            raise LookupError(number)
        ended.append(number)

    before = threading.active_count()
    with pytest.raises(LookupError, match="100"):
        run_all([partial(job, number) for number in range(100_000)], 16)
    assert len(started) < 90_000
    assert len(ended) == len(started) - 1
    assert threading.active_count() == before
