"""Resources and accelerators."""

from __future__ import annotations

import pickle
from typing import Any, get_args

import pytest

import flyte
from flyte._authoring.accelerators import Accelerators
from flyte._authoring.devices import Device


@pytest.mark.parametrize(
    "amounts",
    [
        {},
        {"cpu": 0},
        {"cpu": 1.5},
        {"cpu": "500m"},
        {"cpu": (1, "2500m")},
        {"memory": "512Mi"},
        {"memory": "1e3"},
        {"memory": ("1G", "1Gi")},
        {"gpu": 2},
        {"gpu": "A100:4"},
        {"disk": "10Gi"},
        {"shm": "auto"},
        {"shm": ".5Gi"},
    ],
)
def test_amounts_are_kept_as_given(amounts: dict[str, Any]) -> None:
    resources = flyte.Resources(**amounts)
    assert {name: getattr(resources, name) for name in amounts} == amounts
    assert resources == flyte.Resources(**amounts)
    assert hash(resources) == hash(flyte.Resources(**amounts))
    assert pickle.loads(pickle.dumps(resources)) == resources


@pytest.mark.parametrize(
    ("amounts", "message"),
    [
        ({"cpu": -1}, "cpu must be greater than or equal to 0, got -1"),
        ({"cpu": "-1"}, "cpu must be greater than or equal to 0, got '-1'"),
        ({"cpu": "abc"}, "cpu must be a number of cores such as '2', '0.5' or '500m', got 'abc'"),
        ({"cpu": "2Gi"}, "'Gi' is not a unit here"),
        ({"cpu": True}, "cpu must be a number of cores or a string such as '500m', got True (bool)"),
        ({"cpu": float("nan")}, "got nan (float)"),
        ({"cpu": (1, 2, 3)}, "cpu as a tuple must have exactly two elements"),
        ({"cpu": (2, 1)}, "cpu=(2, 1): the request 2 is above the limit 1"),
        ({"memory": ("2Gi", "2G")}, "the request '2Gi' is above the limit '2G'"),
        ({"memory": 1}, "memory must be a string with a unit such as '512Mi', '1Gi' or '2G', got 1 (int)"),
        ({"memory": "1GB"}, "got '1GB': 'GB' is not a unit here. Did you mean 'G' or 'Gi'?"),
        ({"memory": "512m"}, "got '512m': 'm' is not a unit here. Did you mean 'M' or 'Mi'?"),
        ({"disk": "plenty"}, "disk must be a quantity such as '512Mi', '1Gi' or '2G', got 'plenty'"),
        ({"shm": "1e3Gi"}, "'Gi' is not a unit here"),
        ({"gpu": -1}, "gpu must be greater than or equal to 0, got -1"),
        ({"gpu": True}, "gpu must be a count, an accelerator string"),
        ({"gpu": 1.5}, "got 1.5 (float)"),
        ({"gpu": "T4"}, "of T4 a task can have 1, 2, 3, 4, 5, 6, 7, 8: write for example 'T4:1'"),
        ({"gpu": "A100:9"}, "of A100 a task can have 1, 2"),
        ({"gpu": "H10:1"}, "expected 'model:count', for example 'A100:1'. Did you mean 'H100:1'?"),
    ],
)
def test_an_impossible_amount_is_refused_with_its_value(amounts: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as refusal:
        flyte.Resources(**amounts)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("gpu", "device"),
    [
        (None, None),
        (0, None),
        (2, Device(2, "GPU")),
        ("A100:4", Device(4, "GPU", "A100")),
        ("T4 shared:1", Device(1, "GPU", "T4 shared")),
        ("Trn1:16", Device(16, "NEURON", "Trn1")),
        ("MI100:1", Device(1, "AMD_GPU", "MI100")),
        ("Gaudi1:1", Device(1, "HABANA_GAUDI", "Gaudi1")),
        ("AppleSilicon", Device(1, "APPLE_SILICON", "AppleSilicon")),
        (flyte.TPU("V5E", "2x2"), Device(1, "TPU", "V5E", "2x2")),
    ],
)
def test_the_short_forms_of_accelerators_name_devices(gpu: Any, device: Device | None) -> None:
    assert flyte.Resources(gpu=gpu).get_device() == device


def test_every_accelerator_string_names_a_device() -> None:
    devices = [flyte.Resources(gpu=accelerator).get_device() for accelerator in get_args(Accelerators)]
    assert len(devices) == 154
    assert None not in devices


@pytest.mark.parametrize(("shm", "size"), [(None, None), ("auto", ""), ("1Gi", "1Gi")])
def test_shared_memory_auto_is_an_empty_size(shm: str | None, size: str | None) -> None:
    assert flyte.Resources(shm=shm).get_shared_memory() == size


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (flyte.GPU("A100", 2, "1g.5gb"), Device(2, "GPU", "A100", "1g.5gb")),
        (flyte.TPU("V5P", "2x2x1"), Device(1, "TPU", "V5P", "2x2x1")),
        (flyte.Neuron("Inf2"), Device(1, "NEURON", "Inf2")),
        (flyte.AMD_GPU("MI300X"), Device(1, "AMD_GPU", "MI300X")),
        (flyte.HABANA_GAUDI("Gaudi1"), Device(1, "HABANA_GAUDI", "Gaudi1")),
        (flyte.APPLE_SILICON(), Device(1, "APPLE_SILICON", "AppleSilicon")),
    ],
)
def test_each_kind_of_accelerator_makes_a_device_of_its_class(made: Device, expected: Device) -> None:
    assert made == expected
    assert hash(made) == hash(expected)
    assert pickle.loads(pickle.dumps(made)) == made


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (flyte.GPU, ("T4", 0), "GPU quantity must be at least 1, got 0"),
        (flyte.GPU, ("H10", 1), "GPU 'H10' is unknown; known are 'A2', 'A10'"),
        (flyte.GPU, ("A100", 1, "1g.10gb"), "A100 has no partition '1g.10gb'; it has 1g.5gb, 2g.10gb"),
        (flyte.GPU, ("T4 shared", 1, "1g.5gb"), "a shared GPU takes no partition, got '1g.5gb'"),
        (flyte.TPU, ("V5P", "1x1"), "V5P has no partition '1x1'"),
        (flyte.Neuron, ("Trn3",), "Did you mean 'Trn2"),
        (Device, (1, "GPUS"), "device class 'GPUS' does not exist"),
    ],
)
def test_an_unknown_accelerator_is_refused_with_the_known_ones(make: Any, arguments: Any, message: str) -> None:
    with pytest.raises(ValueError) as refusal:
        make(*arguments)
    assert message in str(refusal.value)


def test_an_outdated_accelerator_name_is_taken_for_its_successor() -> None:
    outdated: Any = "A100 80G"
    with pytest.deprecated_call():
        assert flyte.GPU(outdated, 1) == flyte.GPU("A100_80G", 1)
    with pytest.deprecated_call():
        assert flyte.Resources(gpu=outdated + ":2").get_device() == flyte.GPU("A100_80G", 2)
