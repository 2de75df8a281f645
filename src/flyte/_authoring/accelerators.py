"""Accelerators as strings, `model:count`, the short form of `Resources(gpu=...)`."""

from __future__ import annotations

from typing import Literal, get_args

from flyte._authoring.devices import DEVICES, Device, current_spelling
from flyte._authoring.expectations import near_name

# A type checker needs each one spelled out.
# fmt: off
Accelerators = Literal[
    "A2:1",
    "A10:1", "A10:2", "A10:3", "A10:4", "A10:5", "A10:6", "A10:7", "A10:8",
    "A10G:1", "A10G:2", "A10G:3", "A10G:4", "A10G:5", "A10G:6", "A10G:7", "A10G:8",
    "A100:1", "A100:2", "A100:3", "A100:4", "A100:5", "A100:6", "A100:7", "A100:8",
    "A100_80G:1", "A100_80G:2", "A100_80G:3", "A100_80G:4", "A100_80G:5", "A100_80G:6", "A100_80G:7", "A100_80G:8",
    "B200:1", "B200:2", "B200:3", "B200:4", "B200:5", "B200:6", "B200:7", "B200:8",
    "H100:1", "H100:2", "H100:3", "H100:4", "H100:5", "H100:6", "H100:7", "H100:8",
    "H200:1", "H200:2", "H200:3", "H200:4", "H200:5", "H200:6", "H200:7", "H200:8",
    "L4:1", "L4:2", "L4:3", "L4:4", "L4:5", "L4:6", "L4:7", "L4:8",
    "L40s:1", "L40s:2", "L40s:3", "L40s:4", "L40s:5", "L40s:6", "L40s:7", "L40s:8",
    "V100:1", "V100:2", "V100:3", "V100:4", "V100:5", "V100:6", "V100:7", "V100:8",
    "RTX_PRO_4500:1", "RTX_PRO_6000:1", "RTX_PRO_6000:2", "GB10:1",
    "T4:1", "T4:2", "T4:3", "T4:4", "T4:5", "T4:6", "T4:7", "T4:8",
    "T4 shared:1", "L4 shared:1", "A10G shared:1", "A10 shared:1", "L40S shared:1",
    "Trn1:1", "Trn1:4", "Trn1:8", "Trn1:16", "Trn1n:1", "Trn1n:4", "Trn1n:8", "Trn1n:16",
    "Trn2:1", "Trn2:4", "Trn2:8", "Trn2:16", "Trn2u:1", "Trn2u:4", "Trn2u:8", "Trn2u:16",
    "Inf1:1", "Inf1:2", "Inf1:3", "Inf1:4", "Inf1:5", "Inf1:6", "Inf1:7", "Inf1:8",
    "Inf1:9", "Inf1:10", "Inf1:11", "Inf1:12", "Inf1:13", "Inf1:14", "Inf1:15", "Inf1:16",
    "Inf2:1", "Inf2:2", "Inf2:3", "Inf2:4", "Inf2:5", "Inf2:6", "Inf2:7", "Inf2:8",
    "Inf2:9", "Inf2:10", "Inf2:11", "Inf2:12",
    "MI100:1", "MI210:1", "MI250:1", "MI250X:1", "MI300A:1", "MI300X:1", "MI325X:1", "MI350X:1", "MI355X:1",
    "Gaudi1:1",
    "AppleSilicon", "AppleSilicon:1",
]
# fmt: on

_KNOWN: frozenset[str] = frozenset(get_args(Accelerators))
_CLASS_OF = {device: device_class for device_class, devices in DEVICES.items() for device in devices}


def device_from_string(accelerator: str) -> Device:
    """The device that `model:count` asks for.

    Raises:
        ValueError: no such model, or it does not come in that number.
    """
    model, _, count = accelerator.partition(":")
    model = current_spelling(model)
    if (f"{model}:{count}" if count else model) in _KNOWN:
        return Device(int(count or 1), _CLASS_OF[model], model)
    counts = [known.partition(":")[2] for known in get_args(Accelerators) if known.startswith(f"{model}:")]
    if counts:
        expected = f"of {model} a task can have {', '.join(counts)}: write for example '{model}:{counts[0]}'."
    else:
        expected = f"expected 'model:count', for example 'A100:1'.{near_name(accelerator, get_args(Accelerators))}"
    raise ValueError(f"gpu={accelerator!r} is no accelerator; {expected}")
