"""How much there is of this machine, and how much of it a task asks for."""

from __future__ import annotations

import os
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import psutil
from flyteidl2.task.task_definition_pb2 import TaskSpec

from flyte._authoring.quantities import parse_bytes, parse_cores
from flyte._server.executors.containers import TaskProcess, process_of
from flyte._server.executors.orders import Capacity
from flyte._server.executors.refused import UnrunnableError
from flyte._server.refusals import InvalidRequestError

DEFAULT_CPU_MILLIS = 100
"""Of a task that asks for no processor: ten of them wait for their input and output on one."""

DEFAULT_MEMORY_BYTES = 64 << 20
"""Of a task that asks for no memory: about what a forked process with small data has for itself."""

_LARGEST = 2**62
"""More of anything is in no machine; a number such as `1e999999999` must not be written out to learn that."""

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


def requested(spec: TaskSpec) -> Capacity:
    """What one attempt at a task takes of the capacity: its requests, else its limits, else a little.

    Raises:
        InvalidRequestError: a quantity cannot be understood, or is negative: that would make the machine larger.
    """
    try:
        process = process_of(spec)
    except UnrunnableError:
        return Capacity(0, 0)
    cores = _quantity(process, "cpu")
    memory = _quantity(process, "memory")
    gpus = _quantity(process, "gpu")
    return Capacity(
        DEFAULT_CPU_MILLIS if cores is None else int((cores * 1000).to_integral_value(rounding="ROUND_CEILING")),
        DEFAULT_MEMORY_BYTES if memory is None else int(memory),
        0 if gpus is None else int(gpus),
    )


def memory_limit(process: TaskProcess) -> int | None:
    """How many bytes all of an attempt may use; None where the task sets no limit."""
    text = process.limits.get("memory")
    if text is None:
        return None
    try:
        return int(parse_bytes("memory", text)) or None
    except ValueError as error:
        raise UnrunnableError("InvalidResources", f"the limit of the task's {error}.") from None


def _quantity(process: TaskProcess, name: str) -> Decimal | None:
    text = process.requests.get(name) or process.limits.get(name)
    if not text:
        return None
    try:
        found = (parse_bytes if name == "memory" else parse_cores)(name, text)
        if found > _LARGEST:
            raise ValueError(f"{name} is {text[:60]!r}, more than any machine has")
    except (ValueError, ArithmeticError) as error:
        raise InvalidRequestError(f"the task's resources: {str(error) or f'{name} is {text[:60]!r}'}.") from None
    return found


def _usable_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gpu_count() -> int:
    """Graphics processors that the system has a device for."""
    with suppress(OSError):
        return sum(1 for each in Path("/dev").iterdir() if each.name.removeprefix("nvidia").isdecimal())
    return 0
