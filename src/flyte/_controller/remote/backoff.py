"""How long to wait before the control plane is asked once more."""

from __future__ import annotations

import random

FIRST_S = 0.05
LONGEST_S = 5.0
BUSY_FIRST_S = 0.5
BUSY_LONGEST_S = 10.0


def delay_s(tries: int) -> float:
    """After so many tries (from 1) that nobody has answered: short at first, so that a restart costs little."""
    return _spread(min(FIRST_S * 2.0 ** min(tries - 1, 10), LONGEST_S))


def busy_delay_s(tries: int) -> float:
    """After so many tries (from 1) that were too many for it."""
    return _spread(min(BUSY_FIRST_S * 2.0 ** min(tries - 1, 10), BUSY_LONGEST_S))


def _spread(delay: float) -> float:
    # Those that lost the same server do not all come back in one moment.
    return delay * random.uniform(0.75, 1.25)
