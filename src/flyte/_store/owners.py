"""Which process this is, and whether another one still lives."""

from __future__ import annotations

import os
import socket
import time
from functools import cache
from pathlib import Path

from flyte._store.records import Owner

_BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


@cache
def _boot_id() -> str:
    try:
        return _BOOT_ID_FILE.read_text(encoding="ascii").strip()
    except OSError:
        import psutil

        return str(int(psutil.boot_time()))


def _started_us(pid: int) -> int | None:
    import psutil

    try:
        return round(psutil.Process(pid).create_time() * 1_000_000)
    except psutil.Error:
        return None


@cache
def _owner_of(pid: int) -> Owner:
    return Owner(host=socket.gethostname(), boot_id=_boot_id(), pid=pid, started_us=_started_us(pid) or 0)


def this_process() -> Owner:
    """The owner that runs started here have; right in a forked child too."""
    return _owner_of(os.getpid())


def is_alive(owner: Owner, lease_until_us: int) -> bool:
    """Whether the process of `owner` still runs. Of another host all that is known is its lease."""
    if owner.host != socket.gethostname():
        return lease_until_us > time.time_ns() // 1000
    return owner.boot_id == _boot_id() and _started_us(owner.pid) == owner.started_us
