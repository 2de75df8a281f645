"""How much one peer may ask for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flyte._server.refusals import TooBusyError

_PEERS_KEPT = 10_000


class RequestRate:
    """So many requests a second of each peer, after a burst of as many as come in two seconds."""

    def __init__(self, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._burst = max(1.0, 2 * per_s)
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def admits(self, peer: str) -> bool:
        """Whether a request of that peer, which comes now, is one of those it may make."""
        now = self._clock()
        left, since = self._left.get(peer, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._per_s)
        is_admitted = left >= 1
        if len(self._left) >= _PEERS_KEPT and peer not in self._left:
            self._forget(now)
        self._left[peer] = (left - 1 if is_admitted else left, now)
        return is_admitted

    def _forget(self, now: float) -> None:
        # Those that could make a whole burst again are like those that were never seen.
        full_after_s = self._burst / self._per_s
        self._left = {peer: each for peer, each in self._left.items() if now - each[1] < full_after_s}


class StreamCount:
    """So many open streams of each peer."""

    def __init__(self, per_peer: int) -> None:
        self._per_peer = per_peer
        self._open: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """How many there are."""
        return self._open.total()

    @contextmanager
    def one_more(self, peer: str) -> Iterator[None]:
        """A stream of that peer is open until the block ends.

        Raises:
            TooBusyError: it has as many as it may have.
        """
        if self._open[peer] >= self._per_peer:
            raise TooBusyError(f"{peer} has {self._per_peer} open streams, which is as many as it may: close some.")
        self._open[peer] += 1
        try:
            yield
        finally:
            self._open[peer] -= 1
            if not self._open[peer]:
                del self._open[peer]
