"""Which process this is, and whether another one still lives."""

from __future__ import annotations

import os
import socket
import time
from functools import cache
from pathlib import Path

from flyte._store.records import LET_GO, Owner

_BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")
_STAT_FILE = Path("/proc/self/stat")


@cache
def _boot_id() -> str:
    try:
        return _BOOT_ID_FILE.read_text(encoding="ascii").strip()
    except OSError:
        import psutil

        return str(int(psutil.boot_time()))


def _started_us(pid: int) -> int | None:
    """When the process started; None when there is none, or only what is left of it for its parent to collect."""
    return _started_since_boot_us(pid) if _STAT_FILE.exists() else _started_since_1970_us(pid)


def _started_since_boot_us(pid: int) -> int | None:
    # Counted from the boot: a time of day would move whenever the clock is set, and a living owner would seem gone.
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name of the program, in parentheses, may hold anything; what follows it is numbered from the state on.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19]) * 1_000_000 // os.sysconf("SC_CLK_TCK")


def _started_since_1970_us(pid: int) -> int | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else round(process.create_time() * 1_000_000)
    except psutil.Error:
        return None


@cache
def _owner_of(pid: int) -> Owner:
    return Owner(host=socket.gethostname(), boot_id=_boot_id(), pid=pid, started_us=_started_us(pid) or 0)


def this_process() -> Owner:
    """The owner that runs started here have; right in a forked child too."""
    return _owner_of(os.getpid())


def is_alive(owner: Owner, lease_until_us: int) -> bool:
    """Whether the process of `owner` still runs and has not let go. Of another host all that is known is its lease.

    A stopped process (`SIGSTOP`, a laptop asleep) lives: it will go on where it was.
    """
    if lease_until_us == LET_GO:
        return False
    if owner.host != socket.gethostname():
        return lease_until_us > time.time_ns() // 1000
    return owner.boot_id == _boot_id() and _started_us(owner.pid) == owner.started_us
