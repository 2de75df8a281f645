"""Fewer full garbage collections while runs go on.

A fan-out of a hundred thousand actions is a million live objects that wait for one another, none of them garbage. Each
full collection visits them all, and they come often while their number grows: half the cost of such an action was that.
Young objects are collected as before, and full collections still happen, so that cycles in user code are freed.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

OLDEST_THRESHOLD = 1_000
"""Full collections come after so many of the middle generation, in place of Python's 10."""

_lock = threading.Lock()
_users = 0
_before: tuple[int, int, int] | None = None


@contextmanager
def fewer_full_collections() -> Iterator[None]:
    """Within the block the oldest generation is collected less often; afterwards as before. Blocks may overlap."""
    global _users, _before
    with _lock:
        _users += 1
        if _users == 1:
            _before = gc.get_threshold()
            young, middle, oldest = _before
            # 0 means that the interpreter decides by itself.
            if 0 < oldest < OLDEST_THRESHOLD:
                gc.set_threshold(young, middle, OLDEST_THRESHOLD)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and _before is not None:
                gc.set_threshold(*_before)
