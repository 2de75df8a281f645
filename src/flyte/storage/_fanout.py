"""Many small blocking jobs on a few threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import TypeVar

R = TypeVar("R")


def run_all(jobs: Sequence[Callable[[], R]], at_once: int) -> list[R]:
    """The results of all jobs, in their order; after the first failure no further job starts.

    Raises:
        Exception: what the first job raised that failed.
    """
    if len(jobs) <= 1 or at_once <= 1:
        return [job() for job in jobs]
    with ThreadPoolExecutor(min(at_once, len(jobs)), "flyte-io") as pool:
        futures: list[Future[R]] = [pool.submit(copy_context().run, job) for job in jobs]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for each in done:
                each.result()
            return [each.result() for each in futures]
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
