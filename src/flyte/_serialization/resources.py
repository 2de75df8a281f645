"""What a task needs of a machine."""

from __future__ import annotations

from typing import Any

from flyteidl2.core.tasks_pb2 import ExtendedResources, GPUAccelerator, SharedMemory
from flyteidl2.core.tasks_pb2 import Resources as ResourcesMessage

from flyte._authoring.devices import Device, DeviceClass
from flyte._authoring.resources import Resources

_Entry = ResourcesMessage.ResourceEntry

_APPLE_SILICON = 5
"""A device class that the oldest `flyteidl2` taken has no name for."""

_CLASSES: dict[DeviceClass, int] = {
    "GPU": GPUAccelerator.NVIDIA_GPU,
    "TPU": GPUAccelerator.GOOGLE_TPU,
    "NEURON": GPUAccelerator.AMAZON_NEURON,
    "AMD_GPU": GPUAccelerator.AMD_GPU,
    "HABANA_GAUDI": GPUAccelerator.HABANA_GAUDI,
    "APPLE_SILICON": _APPLE_SILICON,
}

_NODE_LABELS = {
    "A10": "nvidia-a10",
    "A100": "nvidia-tesla-a100",
    "A100_80G": "nvidia-a100-80gb",
    "A10G": "nvidia-a10g",
    "H100": "nvidia-tesla-h100",
    "L4": "nvidia-l4",
    "L40s": "nvidia-l40s",
    "RTX_PRO_4500": "nvidia-rtx-pro-4500",
    "RTX_PRO_6000": "nvidia-rtx-pro-6000",
    "T4": "nvidia-tesla-t4",
    "V100": "nvidia-tesla-v100",
    "V5E": "tpu-v5-lite-podslice",
    "V5P": "tpu-v5p-slice",
    "V6E": "tpu-v6e-slice",
}
"""What clusters label the machines with; a device that is not here goes by its own name."""

_SHARED_MEMORY_PATH = "/dev/shm"
_SHARED_MEMORY_NAME = "flyte-shm"


def resources_of(resources: Resources | None) -> ResourcesMessage | None:
    """Requests and limits; None when nothing is asked for. Only a pair has a limit."""
    if resources is None:
        return None
    requests, limits = [], []
    for name, amount in ((ResourcesMessage.CPU, resources.cpu), (ResourcesMessage.MEMORY, resources.memory)):
        if amount is None:
            continue
        request, limit = amount if isinstance(amount, tuple) else (amount, None)
        requests.append(_Entry(name=name, value=str(request)))
        if limit is not None:
            limits.append(_Entry(name=name, value=str(limit)))
    if (device := resources.get_device()) is not None:
        requests.append(_Entry(name=ResourcesMessage.GPU, value=str(device.quantity)))
    if resources.disk is not None:
        requests.append(_Entry(name=ResourcesMessage.EPHEMERAL_STORAGE, value=resources.disk))
    return ResourcesMessage(requests=requests, limits=limits) if requests or limits else None


def extended_resources_of(resources: Resources | None) -> ExtendedResources | None:
    """The kind of accelerator and the shared memory; None when neither matters."""
    if resources is None:
        return None
    device = resources.get_device()
    accelerator = None if device is None or _is_any_gpu(device) else _accelerator(device)
    shared_memory = _shared_memory(resources.get_shared_memory())
    if accelerator is None and shared_memory is None:
        return None
    return ExtendedResources(gpu_accelerator=accelerator, shared_memory=shared_memory)


def _is_any_gpu(device: Device) -> bool:
    return device.device_class == "GPU" and device.device is None


def _accelerator(device: Device) -> GPUAccelerator:
    model = device.device or ""
    return GPUAccelerator(
        device=_NODE_LABELS.get(model, model),
        device_class=_CLASSES[device.device_class],
        partition_size=device.partition,
    )


def _shared_memory(size: str | None) -> Any:
    if size is None:
        return None
    return SharedMemory(mount_path=_SHARED_MEMORY_PATH, mount_name=_SHARED_MEMORY_NAME, size_limit=size)
