"""Accelerators that a task can ask for."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal, Union, get_args

from flyte._authoring.expectations import expect, near_name
from flyte.models.rich_repr import RichRepr

DeviceClass = Literal["GPU", "TPU", "NEURON", "AMD_GPU", "HABANA_GAUDI", "APPLE_SILICON"]

# fmt: off
GPUType = Literal[
    "A2", "A10", "A10G", "A100", "A100_80G", "B200", "H100", "H200", "L4", "L40s", "T4", "V100",
    "RTX_PRO_4500", "RTX_PRO_6000", "GB10", "T4 shared", "L4 shared", "A10G shared", "A10 shared", "L40S shared",
]
GPUQuantity = Literal[1, 2, 3, 4, 5, 6, 7, 8]
NeuronType = Literal["Inf1", "Inf2", "Trn1", "Trn1n", "Trn2", "Trn2u"]
AMDGPUType = Literal["MI100", "MI210", "MI250", "MI250X", "MI300A", "MI300X", "MI325X", "MI350X", "MI355X"]
HabanaGaudiType = Literal["Gaudi1"]
TPUType = Literal["V5E", "V5P", "V6E"]

A100Part = Literal["1g.5gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb"]
A100_80GPart = Literal["1g.10gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"]
H100Part = Literal["1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"]
H200Part = Literal["1g.18gb", "1g.35gb", "2g.35gb", "3g.71gb", "4g.71gb", "7g.141gb"]
RTXPro6000Part = Literal["1g.24gb", "2g.48gb", "4g.96gb"]
GPUPartition = Union[A100Part, A100_80GPart, H100Part, H200Part, RTXPro6000Part]

FlatTopology = Literal["1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16"]
V5PTopology = Literal[
    "2x2x1", "2x2x2", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8", "8x8x16", "8x16x16", "16x16x16", "16x16x24",
]
TPUPartition = Union[FlatTopology, V5PTopology]
# fmt: on

PARTITIONS: dict[str, tuple[str, ...]] = {
    "A100": get_args(A100Part),
    "A100_80G": get_args(A100_80GPart),
    "H100": get_args(H100Part),
    "H200": get_args(H200Part),
    "RTX_PRO_6000": get_args(RTXPro6000Part),
    "V5E": get_args(FlatTopology),
    "V5P": get_args(V5PTopology),
    "V6E": get_args(FlatTopology),
}
"""Parts by device, for the devices whose parts are known; a device that is not here takes any."""

APPLE_SILICON_DEVICE = "AppleSilicon"

DEVICES: dict[DeviceClass, tuple[str, ...]] = {
    "GPU": get_args(GPUType),
    "TPU": get_args(TPUType),
    "NEURON": get_args(NeuronType),
    "AMD_GPU": get_args(AMDGPUType),
    "HABANA_GAUDI": get_args(HabanaGaudiType),
    "APPLE_SILICON": (APPLE_SILICON_DEVICE,),
}

_DEPRECATED = {"A100 80G": "A100_80G", "RTX PRO 6000": "RTX_PRO_6000"}
_SHARED = " shared"


@dataclass(frozen=True, repr=False)
class Device(RichRepr):
    """A request for accelerators of one kind.

    Attributes:
        quantity: How many, at least 1.
        device_class: The family, which decides how a cluster schedules it.
        device: The model; None takes any of the family.
        partition: A part of one device (`1g.5gb`), or the topology of several (`2x2`).

    Raises:
        ValueError: the quantity is below 1, or there is no such family.
        TypeError: the quantity is not a whole number.
    """

    quantity: int
    device_class: DeviceClass
    device: str | None = None
    partition: str | None = None

    def __post_init__(self) -> None:
        is_int = isinstance(self.quantity, int) and not isinstance(self.quantity, bool)
        expect(is_int, "the quantity of a device", "an int", self.quantity)
        if self.device_class not in DEVICES:
            raise ValueError(
                f"device class {self.device_class!r} does not exist; there are {', '.join(DEVICES)}."
                f"{near_name(self.device_class, DEVICES)}"
            )
        if self.quantity < 1:
            raise ValueError(f"{self.device_class} quantity must be at least 1, got {self.quantity}")


def GPU(device: GPUType, quantity: GPUQuantity, partition: GPUPartition | None = None) -> Device:
    """Nvidia GPUs.

    Raises:
        ValueError: the device is unknown, is shared and yet asked for in parts, or has no such part.
    """
    return _device("GPU", device, quantity, partition)


def TPU(device: TPUType, partition: TPUPartition | None = None) -> Device:
    """One Google TPU slice, of the topology that `partition` says.

    Raises:
        ValueError: the device is unknown or has no such topology.
    """
    return _device("TPU", device, 1, partition)


def Neuron(device: NeuronType) -> Device:
    """One AWS Inferentia or Trainium device.

    Raises:
        ValueError: the device is unknown.
    """
    return _device("NEURON", device)


def AMD_GPU(device: AMDGPUType) -> Device:
    """One AMD GPU.

    Raises:
        ValueError: the device is unknown.
    """
    return _device("AMD_GPU", device)


def HABANA_GAUDI(device: HabanaGaudiType) -> Device:
    """One Gaudi device.

    Raises:
        ValueError: the device is unknown.
    """
    return _device("HABANA_GAUDI", device)


def APPLE_SILICON() -> Device:
    """The GPU of the Mac that the control plane runs on."""
    return _device("APPLE_SILICON", APPLE_SILICON_DEVICE)


def current_spelling(device: str) -> str:
    """`device`, or the name that replaced it; an outdated name is a `DeprecationWarning`."""
    if (current := _DEPRECATED.get(device)) is None:
        return device
    warnings.warn(f"accelerator {device!r} is now spelled {current!r}", DeprecationWarning, stacklevel=4)
    return current


def _device(device_class: DeviceClass, device: str, quantity: int = 1, partition: str | None = None) -> Device:
    device = current_spelling(device)
    known = DEVICES[device_class]
    if device not in known:
        raise ValueError(
            f"{device_class} {device!r} is unknown; known are {', '.join(map(repr, known))}.{near_name(device, known)}"
        )
    if partition is not None:
        _check_partition(device, partition)
    return Device(quantity, device_class, device, partition)


def _check_partition(device: str, partition: str) -> None:
    if device.endswith(_SHARED):
        raise ValueError(
            f"a shared GPU takes no partition, got {partition!r} for {device!r}; "
            f"ask for {device.removesuffix(_SHARED)!r} to use a part of one"
        )
    parts = PARTITIONS.get(device)
    if parts is not None and partition not in parts:
        raise ValueError(
            f"{device} has no partition {partition!r}; it has {', '.join(parts)}.{near_name(partition, parts)}"
        )
