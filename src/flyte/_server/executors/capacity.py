"""How much there is of this machine, and how much of its memory an attempt may use."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import psutil

from flyte._authoring.quantities import parse_bytes
from flyte._server.executors.containers import TaskProcess
from flyte._server.executors.orders import Capacity
from flyte._server.executors.refused import UnrunnableError

_CGROUP = Path("/sys/fs/cgroup")


def machine_capacity(cgroup: Path = _CGROUP) -> Capacity:
    """What this machine has, or less where this process is in a container with less.

    Args:
        cgroup: Where the system tells the limits of this container, in the form of the second version.
    """
    millis = _usable_processors() * 1000
    memory = int(psutil.virtual_memory().total)
    with suppress(OSError, ValueError):
        quota, period = (cgroup / "cpu.max").read_text("ascii").split()
        millis = min(millis, int(quota) * 1000 // int(period))
    with suppress(OSError, ValueError):
        memory = min(memory, int((cgroup / "memory.max").read_text("ascii")))
    return Capacity(max(millis, 1), memory, _gpu_count())


def memory_limit(process: TaskProcess) -> int | None:
    """How many bytes all of an attempt may use; None where the task sets no limit."""
    text = process.limits.get("memory")
    if text is None:
        return None
    try:
        return int(parse_bytes("memory", text)) or None
    except ValueError as error:
        raise UnrunnableError("InvalidResources", f"the limit of the task's {error}.") from None


def _usable_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gpu_count() -> int:
    """Graphics processors that the system has a device for."""
    with suppress(OSError):
        return sum(1 for each in Path("/dev").iterdir() if each.name.removeprefix("nvidia").isdecimal())
    return 0
