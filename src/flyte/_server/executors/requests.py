"""What an attempt asks of the machine."""

from __future__ import annotations

from flyteidl2.core.tasks_pb2 import Resources
from flyteidl2.task.task_definition_pb2 import TaskSpec

from flyte._server.executors.orders import Capacity

DEFAULT_CPU_MILLIS = 500
"""Of a task that asks for nothing: two of them a processor, since most wait for something some of the time."""

_UNITS = {
    **{unit: 1000**power for power, unit in enumerate(("", "k", "M", "G", "T", "P"))},
    **{unit: 1024**power for power, unit in enumerate(("", "Ki", "Mi", "Gi", "Ti", "Pi"))},
}


def requested(spec: TaskSpec) -> Capacity:
    """What one attempt takes: its requests, or where there are none its limits, or next to nothing."""
    resources = spec.task_template.container.resources
    asked = {entry.name: entry.value for entry in (*resources.limits, *resources.requests)}
    cpu = asked.get(Resources.ResourceName.CPU)
    return Capacity(
        cpu_millis=DEFAULT_CPU_MILLIS if cpu is None else round(_quantity(cpu) * 1000),
        memory_bytes=round(_quantity(asked.get(Resources.ResourceName.MEMORY, "0"))),
        gpus=round(_quantity(asked.get(Resources.ResourceName.GPU, "0"))),
    )


def _quantity(text: str) -> float:
    """A quantity as Kubernetes writes it."""
    number = text.rstrip("kMGTPimu")
    unit = text[len(number) :]
    return float(number) * (0.001 if unit == "m" else _UNITS[unit])
