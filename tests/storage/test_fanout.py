"""Many jobs on as many threads as pay."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest

from flyte.storage._fanout import run_all


class Gauge:
    """Counts how many of its jobs run at one time."""

    def __init__(self) -> None:
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()
        self._never = threading.Event()

    def waits(self, number: int, seconds: float = 0.01) -> int:
        """A job whose time does not depend on the others, as of a store far away."""
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        self._never.wait(seconds)
        with self._lock:
            self._now -= 1
        return number


def test_results_are_in_the_order_of_the_jobs_and_no_thread_stays() -> None:
    before = threading.active_count()
    jobs: list[Callable[[], int]] = [partial(pow, number, 2) for number in range(5_000)]
    assert run_all(jobs, 32) == [number**2 for number in range(5_000)]
    assert run_all(jobs[:1], 32) == [0]
    assert run_all([], 32) == []
    assert threading.active_count() == before


def test_jobs_that_wait_run_at_the_same_time_up_to_the_limit() -> None:
    gauge = Gauge()
    run_all([partial(gauge.waits, number) for number in range(3_000)], 32)
    assert gauge.most == 32


def test_no_thread_is_added_where_more_of_them_get_no_more_done() -> None:
    gauge = Gauge()
    server = threading.Lock()

    def served(number: int) -> int:
        with server:
            gauge.waits(number, 0.001)
        return number

    waiting = Gauge()

    def job(number: int) -> int:
        with waiting._lock:
            waiting._now += 1
            waiting.most = max(waiting.most, waiting._now)
        try:
            return served(number)
        finally:
            with waiting._lock:
                waiting._now -= 1

    run_all([partial(job, number) for number in range(1_500)], 64)
    assert waiting.most <= 16


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
