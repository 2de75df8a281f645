"""How long an action may take."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from functools import cached_property
from typing import Union

from flyte._authoring.expectations import expect

Bound = Union[timedelta, int, None]


@dataclass(frozen=True)
class Timeout:
    """Time limits of an action, each in whole seconds or as a `timedelta`; 0 and None are no limit.

    Attributes:
        max_runtime: Of one attempt, from the moment it runs.
        max_queued_time: Of one attempt, until it runs; what it waits for before the first attempt counts too.
        deadline: Of the action as a whole: all attempts, with the waits between them.

    Raises:
        TypeError: a limit is of another type.
        ValueError: a limit is negative.
    """

    max_runtime: Bound = None
    max_queued_time: Bound = None
    deadline: Bound = None

    def __post_init__(self) -> None:
        for each in fields(self):
            _check_bound(f"Timeout.{each.name}", getattr(self, each.name))

    @cached_property
    def max_runtime_s(self) -> float | None:
        """`max_runtime` in seconds; None for no limit."""
        return _seconds(self.max_runtime)

    @cached_property
    def max_queued_time_s(self) -> float | None:
        """`max_queued_time` in seconds; None for no limit."""
        return _seconds(self.max_queued_time)

    @cached_property
    def deadline_s(self) -> float | None:
        """`deadline` in seconds; None for no limit."""
        return _seconds(self.deadline)


TimeoutType = Union[Timeout, int, timedelta]
"""What `timeout=` accepts; a bare duration limits the run time of each attempt."""


def timeout_of(timeout: TimeoutType | None) -> Timeout:
    """The limits that `timeout=` means.

    Raises:
        TypeError: it is neither a `Timeout` nor a duration.
        ValueError: it is negative.
    """
    if isinstance(timeout, Timeout):
        return timeout
    _check_bound("timeout", timeout)
    return Timeout(max_runtime=timeout or None)


def _check_bound(what: str, bound: object) -> None:
    is_duration = bound is None or (isinstance(bound, int | timedelta) and not isinstance(bound, bool))
    expect(is_duration, what, "whole seconds (int), a timedelta or None", bound)
    seconds = bound.total_seconds() if isinstance(bound, timedelta) else bound
    if isinstance(seconds, int | float) and seconds < 0:
        raise ValueError(f"{what} must not be negative, got {bound!r}")


def _seconds(bound: Bound) -> float | None:
    seconds = bound.total_seconds() if isinstance(bound, timedelta) else bound
    return float(seconds) if seconds else None
