"""What a task needs of a machine."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, Optional, Tuple, Union

from flyte._authoring.accelerators import Accelerators, device_from_string
from flyte._authoring.devices import Device
from flyte._authoring.quantities import parse_bytes, parse_cores

CPU = Union[int, float, str]


@dataclass(frozen=True)
class Resources:
    """What one action needs of the machine it runs on. Nothing is reserved for what is left out.

    Attributes:
        cpu: Cores, as a number or a Kubernetes quantity (`500m`), or a pair of request and limit.
        memory: Bytes as a Kubernetes quantity (`512Mi`, `2G`), or a pair of request and limit.
        gpu: Accelerators: a count of any GPU, `model:count`, or a `Device` made by `GPU(...)` and its kind.
        disk: Scratch space, as a quantity.
        shm: Shared memory, as a quantity; `auto` takes as much as the machine allows.

    Raises:
        ValueError: a value is not of these forms, is negative, or a request is above its limit.
    """

    cpu: Union[CPU, Tuple[CPU, CPU], None] = None
    memory: Union[str, Tuple[str, str], None] = None
    gpu: Union[Accelerators, int, Device, None] = None
    disk: Optional[str] = None
    shm: Union[str, Literal["auto"], None] = None

    def __post_init__(self) -> None:
        _check_amount("cpu", self.cpu, _cores)
        _check_amount("memory", self.memory, _bytes)
        if self.disk is not None:
            _bytes("disk", self.disk)
        if self.shm is not None and self.shm != "auto":
            _bytes("shm", self.shm)
        self.get_device()

    def get_device(self) -> Optional[Device]:
        """The accelerators asked for, in the long form; None when there are none."""
        gpu: object = self.gpu
        match gpu:
            case None | Device():
                return gpu
            case str():
                return device_from_string(gpu)
            case int() if not isinstance(gpu, bool):
                if gpu < 0:
                    raise ValueError(f"gpu must be greater than or equal to 0, got {gpu}")
                return Device(gpu, "GPU") if gpu else None
        raise ValueError(
            f"gpu must be a count, an accelerator string such as 'A100:4' or a Device such as flyte.GPU('A100', 4), "
            f"got {_typed(gpu)}"
        )

    def get_shared_memory(self) -> Optional[str]:
        """The size of the shared memory; empty for `auto`, None when it was not asked for."""
        return "" if self.shm == "auto" else self.shm


def _check_amount(what: str, amount: Any, parse: Callable[[str, Any], Decimal]) -> None:
    if not isinstance(amount, tuple):
        if amount is not None:
            parse(what, amount)
        return
    if len(amount) != 2:
        raise ValueError(f"{what} as a tuple must have exactly two elements, the request and the limit, got {amount!r}")
    request, limit = parse(f"the request of {what}", amount[0]), parse(f"the limit of {what}", amount[1])
    if request > limit:
        raise ValueError(f"{what}={amount!r}: the request {amount[0]!r} is above the limit {amount[1]!r}")


def _cores(what: str, cpu: Any) -> Decimal:
    if isinstance(cpu, str):
        return parse_cores(what, cpu)
    if isinstance(cpu, bool) or not isinstance(cpu, int | float) or not math.isfinite(cpu):
        raise ValueError(f"{what} must be a number of cores or a string such as '500m', got {_typed(cpu)}")
    if cpu < 0:
        raise ValueError(f"{what} must be greater than or equal to 0, got {cpu}")
    return Decimal(cpu)


def _bytes(what: str, quantity: Any) -> Decimal:
    if not isinstance(quantity, str):
        raise ValueError(f"{what} must be a string with a unit such as '512Mi', '1Gi' or '2G', got {_typed(quantity)}")
    return parse_bytes(what, quantity)


def _typed(value: object) -> str:
    return f"{value!r} ({type(value).__name__})"
