"""JSON schemas of task inputs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, make_dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Annotated, Any, Dict, List, Literal, Optional

import pytest
from pydantic import BaseModel

from flyte.models import NativeInterface


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int
    y: float = 0.0


class Model(BaseModel):
    points: List[Point]


class Opaque:
    pass


def property_schema(annotation: Any) -> Any:
    return NativeInterface.from_types({"v": annotation}, {}).json_schema["properties"]["v"]


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (int, {"type": "integer"}),
        (str, {"type": "string"}),
        (bool, {"type": "boolean"}),
        (float, {"type": "number", "format": "float"}),
        (List[int], {"type": "array", "items": {"type": "integer"}}),
        (list[float], {"type": "array", "items": {"type": "number", "format": "float"}}),
        (Dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (dict, {"type": "object"}),
        (Optional[int], {"type": "integer"}),
        (str | None, {"type": "string"}),
        (int | str, {"oneOf": [{"type": "integer"}, {"type": "string"}]}),
        (Annotated[int, {"un": "hashable"}], {"type": "integer"}),
        (Color, {"type": "string", "enum": ["RED", "BLUE"]}),
        (datetime, {"type": "string", "format": "date-time"}),
        (timedelta, {"type": "string", "format": "duration"}),
        (Any, {}),
        (Opaque, {}),
        (Callable[[], int], {}),
        (List[Opaque], {"type": "array", "items": {}}),
    ],
    ids=str,
)
def test_schema_of_a_type(annotation: Any, schema: Dict[str, Any]) -> None:
    assert property_schema(annotation) == schema


def test_inputs_without_a_default_are_required() -> None:
    def func(a: int, b: str = "x", c: Literal["p", "q"] = "p", d=None) -> None: ...  # type: ignore[no-untyped-def]

    assert NativeInterface.from_callable(func).json_schema == {
        "type": "object",
        "properties": {
            "a": {"type": "integer"},
            "b": {"type": "string"},
            "c": {"type": "string", "enum": ["p", "q"]},
            "d": {"type": "string"},
        },
        "required": ["a"],
    }


def test_no_inputs_make_an_empty_object() -> None:
    assert NativeInterface({}, {}).json_schema == {"type": "object", "properties": {}, "required": []}


def test_classes_are_described_once_at_the_top() -> None:
    schema = NativeInterface.from_types({"p": Point, "ps": List[Point], "m": Model}, {}).json_schema
    assert schema["properties"]["p"] == {"$ref": "#/$defs/Point"}
    assert schema["properties"]["ps"] == {"type": "array", "items": {"$ref": "#/$defs/Point"}}
    assert schema["$defs"]["Point"]["required"] == ["x"]
    assert schema["$defs"]["Model"]["properties"]["points"]["items"] == {"$ref": "#/$defs/Point"}
    json.dumps(schema)


def test_two_classes_of_one_name_keep_their_own_descriptions() -> None:
    other = make_dataclass("Point", [("lat", float)])
    schema = NativeInterface.from_types({"p": Point, "q": other}, {}).json_schema
    fields = [
        set(schema["$defs"][schema["properties"][name]["$ref"].removeprefix("#/$defs/")]["properties"])
        for name in ("p", "q")
    ]
    assert fields == [{"x", "y"}, {"lat"}]
