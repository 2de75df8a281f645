"""Many small blocking jobs on as many threads as pay."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Generic, TypeVar

R = TypeVar("R")

_FIRST_THREADS = 8
_LOOK_EVERY_S = 0.25
_WORTH_IT = 1.1
"""So many times as fast the jobs must get done when there are twice as many threads, or the additional ones end."""


def run_all(jobs: Sequence[Callable[[], R]], at_once: int) -> list[R]:
    """The results of all jobs, in their order; after the first failure no further job starts.

    It begins with a few threads and doubles them as long as that gets more done, up to `at_once`: a store far away
    answers more the more it is asked, one that is busy answers slower.

    Raises:
        Exception: what the first job raised that failed.
    """
    if len(jobs) <= 1 or at_once <= 1:
        return [job() for job in jobs]
    return _Crew(jobs, min(at_once, len(jobs))).run()


class _Crew(Generic[R]):
    def __init__(self, jobs: Sequence[Callable[[], R]], most: int) -> None:
        self._jobs = jobs
        self._most = most
        self._results: dict[int, R] = {}
        self._failure: BaseException | None = None
        self._begun = 0
        self._wanted = 0
        """Threads with a lower number go on."""
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._is_over = threading.Event()

    def run(self) -> list[R]:
        try:
            self._want(min(_FIRST_THREADS, self._most))
            self._grow_while_it_pays()
            self._is_over.wait()
        except BaseException:
            # Ctrl-C, say: what has begun is still waited for.
            self._begun = len(self._jobs)
            raise
        finally:
            for thread in self._threads:
                thread.join()
        if self._failure is not None:
            raise self._failure
        return [self._results[number] for number in range(len(self._jobs))]

    def _grow_while_it_pays(self) -> None:
        speed = self._speed()
        while self._wanted < self._most and not self._is_over.is_set():
            before = self._wanted
            self._want(min(2 * before, self._most))
            grown = self._speed()
            if grown < speed * _WORTH_IT:
                self._want(before)
                return
            speed = grown

    def _speed(self) -> float:
        """Jobs that get done in a second, seen over a moment."""
        began, done = time.monotonic(), len(self._results)
        self._is_over.wait(_LOOK_EVERY_S)
        return (len(self._results) - done) / (time.monotonic() - began)

    def _want(self, count: int) -> None:
        self._wanted = count
        for number in range(len(self._threads), count):
            thread = threading.Thread(target=copy_context().run, args=(self._work, number), name="flyte-io")
            self._threads.append(thread)
            thread.start()

    def _work(self, number: int) -> None:
        while number < self._wanted and (job_no := self._next()) is not None:
            try:
                self._results[job_no] = self._jobs[job_no]()
            except BaseException as error:
                with self._lock:
                    self._failure = self._failure or error
                    self._begun = len(self._jobs)
            if self._failure is not None or len(self._results) == len(self._jobs):
                self._is_over.set()

    def _next(self) -> int | None:
        with self._lock:
            if self._begun >= len(self._jobs):
                return None
            self._begun += 1
            return self._begun - 1
