"""The public names of `flyte.types`, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import flyte.types


def test_public_names_are_these() -> None:
    assert flyte.types.__all__ == [
        "FlytePickle",
        "Renderable",
        "TypeEngine",
        "TypeTransformer",
        "TypeTransformerFailedError",
        "guess_interface",
        "literal_string_repr",
    ]
    assert sorted(flyte.types.__all__) == flyte.types.__all__ == dir(flyte.types)


@pytest.mark.parametrize("name", flyte.types.__all__)
def test_public_name_is_there(name: str) -> None:
    assert getattr(flyte.types, name).__name__ == name


def test_other_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'flyte.types' has no attribute 'TypeEngin'"):
        flyte.types.TypeEngin


def loaded_by(code: str) -> str:
    heavy = ["google.protobuf", "pydantic", "mashumaro", "msgpack", "cloudpickle", "importlib.metadata"]
    script = f"{code}\nimport sys; print([name for name in {heavy} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def test_import_loads_nothing_heavy() -> None:
    assert loaded_by("import flyte.types") == "[]"


def test_converting_simple_types_loads_protobuf_alone() -> None:
    code = (
        "from flyte.types._choice import converter_for; from typing import Optional; import enum\n"
        "class Color(enum.Enum): RED = 'red'\n"
        "for each in (int, list[str], dict[str, float], Optional[bool], Color): converter_for(each).literal_type"
    )
    assert loaded_by(code) == "['google.protobuf']"
