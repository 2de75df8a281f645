"""Workers that stay warm between actions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Tuple, Union

from flyte._authoring.expectations import expect

MIN_TTL = timedelta(seconds=30)


@dataclass(frozen=True)
class ReusePolicy:
    """Keeps workers of an environment alive and runs several actions in each; a declaration for served runs.

    Attributes:
        replicas: How many workers, as a pair of least and most; one number stands for both.
        idle_ttl: How long the pool lives after its last action, at least 30 seconds.
        concurrency: Actions that one worker runs at the same time; more than 1 needs async tasks.
        scaledown_ttl: How long one worker is idle before it is stopped, at least 30 seconds.
        scope: Whether all runs share the workers, or each run has its own.

    Raises:
        ValueError: a number or a duration is out of its range.
        TypeError: a duration or the concurrency is of another type.
    """

    replicas: Union[int, Tuple[int, int]] = 2
    idle_ttl: Union[int, timedelta] = 30
    concurrency: int = 1
    scaledown_ttl: Union[int, timedelta] = 30
    scope: Literal["global", "run"] = "global"

    def __post_init__(self) -> None:
        object.__setattr__(self, "replicas", _replicas(self.replicas))
        object.__setattr__(self, "idle_ttl", _ttl("idle_ttl", self.idle_ttl))
        object.__setattr__(self, "scaledown_ttl", _ttl("scaledown_ttl", self.scaledown_ttl))
        expect(_is_int(self.concurrency), "ReusePolicy.concurrency", "an int", self.concurrency)
        if self.concurrency < 1:
            raise ValueError(f"ReusePolicy.concurrency must be at least 1, got {self.concurrency}")
        if self.scope not in ("global", "run"):
            raise ValueError(f'ReusePolicy.scope must be "global" or "run", got {self.scope!r}')

    @property
    def min_replicas(self) -> int:
        """Workers that are kept even when idle."""
        return _replicas(self.replicas)[0]

    @property
    def max_replicas(self) -> int:
        """Workers that there are at most."""
        return _replicas(self.replicas)[1]

    def get_scaledown_ttl(self) -> timedelta | None:
        """`scaledown_ttl` as a `timedelta`."""
        return _ttl("scaledown_ttl", self.scaledown_ttl)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _replicas(replicas: int | Tuple[int, int]) -> Tuple[int, int]:
    pair = replicas if isinstance(replicas, tuple) else (replicas, replicas)
    if len(pair) != 2 or not all(_is_int(count) for count in pair):
        raise ValueError(f"ReusePolicy.replicas must be an int or a tuple of two ints, got {replicas!r}")
    if pair[0] < 0 or pair[1] < 1 or pair[0] > pair[1]:
        raise ValueError(f"ReusePolicy.replicas must be 0 <= least <= most and most >= 1, got {replicas!r}")
    return pair


def _ttl(what: str, ttl: int | timedelta) -> timedelta:
    expect(_is_int(ttl) or isinstance(ttl, timedelta), f"ReusePolicy.{what}", "seconds (int) or a timedelta", ttl)
    duration = ttl if isinstance(ttl, timedelta) else timedelta(seconds=ttl)
    if duration < MIN_TTL:
        raise ValueError(
            f"ReusePolicy.{what} must be at least {MIN_TTL.seconds} seconds, got {duration.total_seconds():g}"
        )
    return duration
