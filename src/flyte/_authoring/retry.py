"""How often, and how soon, a failed action is tried again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Optional, Union

from flyte._authoring.expectations import expect


@dataclass(frozen=True)
class Backoff:
    """The wait before a retry: `base * factor**n` for the n-th, counted from 0, and never longer than `cap`.

    Raises:
        ValueError: a duration is negative, the factor is below 1 or not finite, or it is above 1 without a cap.
        TypeError: a duration is not a `timedelta`.
    """

    base: timedelta
    factor: float = 1.0
    cap: Optional[timedelta] = None

    def __post_init__(self) -> None:
        expect(isinstance(self.base, timedelta), "Backoff.base", "a timedelta", self.base)
        expect(self.cap is None or isinstance(self.cap, timedelta), "Backoff.cap", "a timedelta or None", self.cap)
        is_number = isinstance(self.factor, int | float) and not isinstance(self.factor, bool)
        expect(is_number, "Backoff.factor", "a number", self.factor)
        if self.base < timedelta():
            raise ValueError(f"Backoff.base must be >= 0, got {self.base}")
        if not math.isfinite(self.factor) or self.factor < 1:
            raise ValueError(f"Backoff.factor must be a finite number >= 1.0, got {self.factor}")
        if self.cap is None and self.factor > 1:
            raise ValueError(
                f"Backoff.cap is required when factor > 1.0, got factor={self.factor}: the wait would grow for ever"
            )
        if self.cap is not None and self.cap < timedelta():
            raise ValueError(f"Backoff.cap must be >= 0, got {self.cap}")

    def compute_delay(self, n: int) -> timedelta:
        """The wait before retry `n`, counted from 0.

        Raises:
            ValueError: `n` is negative.
        """
        if n < 0:
            raise ValueError(f"the number of a retry must be >= 0, got {n}")
        longest = timedelta.max if self.cap is None else self.cap
        try:
            return min(self.base * self.factor**n, longest)
        except OverflowError:
            return longest


@dataclass(frozen=True)
class RetryStrategy:
    """How many times an action is tried again after its first attempt, and how long it waits before each.

    Raises:
        ValueError: the count is not a whole number from 0 up.
        TypeError: the backoff is not a `Backoff`.
    """

    count: int
    backoff: Optional[Backoff] = None

    def __post_init__(self) -> None:
        if not isinstance(self.count, int) or isinstance(self.count, bool):
            raise ValueError(f"RetryStrategy.count must be an int (a retry count), got {self.count!r}")
        if self.count < 0:
            raise ValueError(f"RetryStrategy.count must be greater than or equal to 0, got {self.count}")
        is_backoff = self.backoff is None or isinstance(self.backoff, Backoff)
        expect(is_backoff, "RetryStrategy.backoff", "a flyte.Backoff or None", self.backoff)


def retry_strategy(retries: Union[int, RetryStrategy]) -> RetryStrategy:
    """The strategy that `retries=` means.

    Raises:
        ValueError: it is neither a count nor a strategy.
    """
    if isinstance(retries, RetryStrategy):
        return retries
    if not isinstance(retries, int) or isinstance(retries, bool):
        raise ValueError(f"retries must be an int (a retry count) or a flyte.RetryStrategy, got {retries!r}")
    if retries < 0:
        raise ValueError(f"retries must be greater than or equal to 0, got {retries}")
    return RetryStrategy(retries)
