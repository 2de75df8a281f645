"""Whether processes of tasks are still there."""

from __future__ import annotations

import time

import psutil


def runs(pid: int) -> bool:
    """Whether a process goes on."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def are_gone(pids: list[int], within_s: float = 5) -> bool:
    """Whether they have ended; one that was killed may take a moment to."""
    deadline = time.monotonic() + within_s
    while any(map(runs, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
