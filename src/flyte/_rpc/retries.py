"""When a call is made again, and how long one waits before that."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

FIRST_S = 0.5
LONGEST_S = 4.0
QUICK_S = 0.2
PATIENCE_S = 60.0
"""How long a wait bears a control plane that does not answer: long enough for it to be started again."""

_PATIENCE: ContextVar[float] = ContextVar("flyte_rpc_patience", default=0.0)


@contextmanager
def patient(seconds: float = PATIENCE_S) -> Iterator[None]:
    """Calls inside are made again for so long, whatever the number of retries, while nobody answers."""
    token = _PATIENCE.set(seconds)
    try:
        yield
    finally:
        _PATIENCE.reset(token)


def patience_s() -> float:
    """How long calls made here go on without an answer; 0 leaves it to the number of retries."""
    return _PATIENCE.get()


def delay_s(retry_no: int) -> float:
    """How long to wait before retry `retry_no`, from 0: doubling, and by chance less, so that not all come at once."""
    longest = min(LONGEST_S, FIRST_S * 2.0 ** min(retry_no, 10))
    return float(longest * random.SystemRandom().uniform(0.5, 1.0))
