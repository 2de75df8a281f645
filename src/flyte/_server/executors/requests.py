"""What an attempt asks of the machine."""

from __future__ import annotations

from decimal import Decimal

from flyteidl2.task.task_definition_pb2 import TaskSpec

from flyte._authoring.quantities import parse_bytes, parse_cores
from flyte._server.executors.containers import TaskProcess, process_of
from flyte._server.executors.orders import Capacity
from flyte._server.executors.refused import UnrunnableError
from flyte._server.refusals import InvalidRequestError

DEFAULT_CPU_MILLIS = 500
"""Of a task that asks for nothing: two of them a processor, since most wait for something some of the time."""

_LARGEST = 2**62
"""More of anything is in no machine; a number such as `1e999999999` must not be written out to learn that."""


def requested(spec: TaskSpec) -> Capacity:
    """What one attempt takes: its requests, or where there are none its limits, or next to nothing.

    Raises:
        InvalidRequestError: a quantity cannot be understood, or is negative: that would make the machine larger.
    """
    try:
        process = process_of(spec)
    except UnrunnableError:
        # Running the attempt tells of it.
        return Capacity(DEFAULT_CPU_MILLIS, 0)
    cores = _quantity(process, "cpu")
    return Capacity(
        cpu_millis=DEFAULT_CPU_MILLIS if cores is None else round(cores * 1000),
        memory_bytes=round(_quantity(process, "memory") or 0),
        gpus=round(_quantity(process, "gpu") or 0),
    )


def _quantity(process: TaskProcess, name: str) -> Decimal | None:
    text = process.requests.get(name) or process.limits.get(name)
    if not text:
        return None
    try:
        found = (parse_bytes if name == "memory" else parse_cores)(name, text)
        if found > _LARGEST:
            raise ValueError(f"{name} is {text!r}, more than any machine has")
    except (ValueError, ArithmeticError) as error:
        raise InvalidRequestError(f"the task's resources: {str(error) or f'{name} is {text!r}'}.") from None
    return found
