"""Faults that the GPU driver reported while a task was running."""

from __future__ import annotations

from typing import TypedDict, Unpack

from flyte.errors._base import BaseRuntimeError, ErrorKind, RuntimeSystemError, RuntimeUserError

GPU_FAULT_CODES = (
    "GpuXidError",
    "GpuFallenOffBus",
    "GpuEccUncorrectable",
    "GpuRowRemapPending",
    "GpuNvlinkError",
    "GpuGspError",
)


class GPUFaultFields(TypedDict, total=False):
    """The keyword arguments that describe a fault."""

    fault_kind: str | None
    fault_code: int | None
    fault_name: str | None
    severity: str | None
    gpu_uuid: str | None
    gpu_index: int | None
    node: str | None
    pci_bus_id: str | None
    process: str | None


class GPUFaultError(BaseRuntimeError):
    """A GPU reported a fault; the attributes say which fault, on which device."""

    def __init__(
        self,
        code: str,
        kind: ErrorKind,
        message: str,
        worker: str | None = None,
        *,
        fault_kind: str | None = None,
        fault_code: int | None = None,
        fault_name: str | None = None,
        severity: str | None = None,
        gpu_uuid: str | None = None,
        gpu_index: int | None = None,
        node: str | None = None,
        pci_bus_id: str | None = None,
        process: str | None = None,
    ) -> None:
        # Not super(): in the two subclasses the next class is one whose constructor fixes the kind.
        BaseRuntimeError.__init__(self, code, kind, message, worker)
        self.fault_kind = fault_kind
        self.fault_code = fault_code
        self.fault_name = fault_name
        self.severity = severity
        self.gpu_uuid = gpu_uuid
        self.gpu_index = gpu_index
        self.node = node
        self.pci_bus_id = pci_bus_id
        self.process = process

    @property
    def xid(self) -> int | None:
        """The NVIDIA Xid number; None for faults of another kind."""
        return self.fault_code if self.fault_kind == "xid" else None

    @property
    def sxid(self) -> int | None:
        """The NVSwitch SXid number; None for faults of another kind."""
        return self.fault_code if self.fault_kind == "sxid" else None


class GPUFaultSystemError(GPUFaultError, RuntimeSystemError):
    """The hardware failed; another machine may succeed."""

    def __init__(self, code: str, message: str, worker: str | None = None, **fault: Unpack[GPUFaultFields]) -> None:
        GPUFaultError.__init__(self, code, "system", message, worker, **fault)


class GPUFaultUserError(GPUFaultError, RuntimeUserError):
    """The program did something the GPU refuses, such as an illegal memory access."""

    def __init__(self, code: str, message: str, worker: str | None = None, **fault: Unpack[GPUFaultFields]) -> None:
        GPUFaultError.__init__(self, code, "user", message, worker, **fault)
