from __future__ import annotations

import datetime
import decimal
import enum
import json
import math
import pathlib
import string
import typing
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Dict, List, Literal, NamedTuple, NewType, Optional, TypedDict, Union

import pytest
from pydantic import BaseModel

from flyte.cli._inputs import expected_form, input_error, parse_input
from flyte.cli._json_values import Mismatch
from flyte.models import NativeInterface


class Color(enum.Enum):
    RED = "red"
    GREEN = "green"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Point:
    x: float
    y: int = 3
    wait: datetime.timedelta = datetime.timedelta(seconds=1)
    color: Color = Color.RED

    def __post_init__(self) -> None:
        if self.y < 0:
            raise ArithmeticError("y is negative")


@dataclass
class Line:
    points: list[Point]
    names: dict[str, Point] = field(default_factory=dict)


class Model(BaseModel):
    a: int = 1
    b: str = "x"


class Pair(NamedTuple):
    a: int
    b: str = "z"


class Movie(TypedDict):
    title: str
    year: typing.NotRequired[int]


UserId = NewType("UserId", int)


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("5", int, 5),
        ("-3", int, -3),
        ("1", float, 1.0),
        ("1e3", float, 1000.0),
        ("", str, ""),
        ("None", str, "None"),
        ("true", bool, True),
        ("2024-01-02T03:04:05Z", datetime.datetime, datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)),
        ("2024-01-02", datetime.date, datetime.date(2024, 1, 2)),
        ("1h", datetime.timedelta, datetime.timedelta(hours=1)),
        ("13:30", datetime.time, datetime.time(13, 30)),
        ("/tmp/x", pathlib.Path, pathlib.Path("/tmp/x")),
        ("1.10", decimal.Decimal, decimal.Decimal("1.10")),
        ("12345678123456781234567812345678", uuid.UUID, uuid.UUID("12345678123456781234567812345678")),
        ("RED", Color, Color.RED),
        ("HIGH", Level, Level.HIGH),
        ("a", Literal["a", "B", 3], "a"),
        ("3", Literal["a", "B", 3], 3),
        ("7", UserId, 7),
        ("7", Annotated[int, "meta"], 7),
        ("[1, 2]", list[int], [1, 2]),
        ('["1", 2]', List[int], [1, 2]),
        ("[1, 2]", Sequence[float], [1.0, 2.0]),
        ("[1, 2, 2]", set[int], {1, 2}),
        ('[1, "x"]', tuple[int, str], (1, "x")),
        ('{"item_0": 1, "item_1": "x"}', tuple[int, str], (1, "x")),
        ("[1, 2]", tuple[int, ...], (1, 2)),
        ("[1, null]", list, [1, None]),
        ('{"1": 2}', Dict[int, int], {1: 2}),
        ('{"a": [1]}', dict, {"a": [1]}),
        ('{"a": 1}', Mapping[str, float], {"a": 1.0}),
        ('{"x": 1}', Point, Point(1.0)),
        (
            '{"x": "1", "wait": "90s", "color": "GREEN"}',
            Point,
            Point(1, 3, datetime.timedelta(seconds=90), Color.GREEN),
        ),
        ('{"x": 1, "wait": 2.5, "color": "red"}', Point, Point(1, 3, datetime.timedelta(seconds=2.5))),
        ('{"points": [{"x": 1}]}', Line, Line([Point(1.0)])),
        ('{"b": "k"}', Model, Model(b="k")),
        ('{"a": 1}', Pair, Pair(1)),
        ('[1, "q"]', Pair, Pair(1, "q")),
        ('{"title": "M"}', Movie, {"title": "M"}),
        ("5", Optional[int], 5),
        ("None", Optional[str], "None"),
        ("5", Union[str, int], 5),
        ("x", Union[str, int], "x"),
        ("1", Union[bool, float], 1.0),
        ("true", Union[bool, float], True),
        ("[5, 'a']".replace("'", '"'), list[int | str], [5, "a"]),
        ('["5"]', list[int | str], ["5"]),
        ("[1, null]", list[Optional[float]], [1.0, None]),
        ('["2024-01-02"]', list[datetime.date | str], [datetime.date(2024, 1, 2)]),
        ('{"a": 1}', Union[int, dict[str, int]], {"a": 1}),
        ("math:pi", Any, math.pi),
        ("hello", Any, "hello"),
        ("localhost:http", Any, "localhost:http"),
        ("math:pi", object, math.pi),
    ],
)
def test_text_becomes_the_value_its_annotation_asks_for(text: str, annotation: Any, value: Any) -> None:
    read = parse_input(text, annotation)
    assert (read, type(read)) == (value, type(value))


def test_nan_is_a_float() -> None:
    assert math.isnan(parse_input("nan", float))


@pytest.mark.parametrize(
    ("text", "annotation", "reason"),
    [
        ("1.5", int, "'1.5' is no whole number"),
        ("abc", float, "'abc' is no number"),
        ("soon", datetime.datetime, "no point in time"),
        ("1y", datetime.timedelta, "unit 'y'"),
        ("red", Color, "did you mean RED?"),
        ("GREN", Color, "did you mean GREEN?"),
        ("b", Literal["a", "B"], "did you mean B?"),
        ("a,b", list[str], "neither JSON"),
        ('[1, "x"]', list[int], "at [1]: 'x' is no whole number"),
        ("[1.5]", list[int], "at [0]: 1.5 is no int"),
        ("[true]", list[int], "at [0]: True is no int"),
        ("[5]", list[str], "at [0]: 5 is no str"),
        ('{"a": 1}', list[int], "is no list[int]"),
        ("[1]", dict[str, int], "is no dict[str, int]"),
        ("[1]", tuple[int, str], "no list of 2 items"),
        ("{}", Point, "needs 'x'"),
        ('{"x": 1, "colour": "RED"}', Point, "no field 'colour'; did you mean color?"),
        ('{"x": 1, "y": -1}', Point, "y is negative"),
        ('{"points": [{"x": 1}, {"x": "q"}]}', Line, "at points[1].x: 'q' is no number"),
        ('{"points": [], "names": {"k": {}}}', Line, "at names['k']: Point needs 'x'"),
        ('{"a": "k"}', Model, "at a: Input should be a valid integer"),
        ('{"year": 1}', Movie, "needs 'title'"),
        ("[1, 2, 3]", Pair, "no object of Pair"),
        ("None", Optional[int], "no whole number"),
        ("x", Union[int, float], "none of its types takes it"),
        ("hello", bytes, "no reference"),
        ("math:pi", bytes, "is no bytes"),
        ("math:pie", Any, "did you mean pi?"),
        ("no.such.module:x", bytes, "cannot be imported"),
        ("missing.json", list[int], "missing.json cannot be read"),
    ],
)
def test_what_does_not_fit_says_why_and_where(text: str, annotation: Any, reason: str) -> None:
    with pytest.raises(Mismatch) as caught:
        parse_input(text, annotation)
    assert reason in str(caught.value)


def test_a_literal_of_strings_is_chosen_and_passed_as_itself() -> None:
    def task(mode: Literal["fast", "Exact"] = "fast") -> None: ...

    annotation, _ = NativeInterface.from_callable(task).inputs["mode"]
    assert [parse_input(text, annotation) for text in ("fast", "Exact")] == ["fast", "Exact"]
    with pytest.raises(Mismatch):
        parse_input("FAST", annotation)


def test_a_json_object_fills_in_over_a_dataclass_or_model_default() -> None:
    assert parse_input('{"y": 5}', Point, Point(0.5)) == Point(0.5, 5)
    assert parse_input('{"b": "k"}', Optional[Model], Model(a=9)) == Model(a=9, b="k")


@pytest.mark.parametrize("name", ["values.json", "values.yaml", "values.yml"])
def test_json_types_are_read_from_a_file(tmp_path: pathlib.Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(json.dumps({"points": [{"x": 1}]}))
    assert parse_input(str(path), Line) == Line([Point(1.0)])


def test_a_file_that_holds_something_else_is_named(tmp_path: pathlib.Path) -> None:
    for name in ("bad.json", "bad.yaml"):
        (tmp_path / name).write_text("{: [")
        with pytest.raises(Mismatch, match=name):
            parse_input(str(tmp_path / name), dict)


def test_an_object_is_imported_by_reference() -> None:
    assert parse_input("string:Template", type) is string.Template
    assert parse_input("string:Template.delimiter", Any) == "$"


@pytest.mark.parametrize(
    ("annotation", "example"),
    [
        (int, "--x 5"),
        (Color, "--x RED"),
        (datetime.timedelta, "--x 1h30m"),
        (list[str], """--x '["text"]'"""),
        (Point, """--x '{"x": 0.5}'"""),
        (dict[str, Point], """--x '{"key": {"x": 0.5}}'"""),
        (bytes, "--x package.module:name"),
    ],
)
def test_an_error_names_option_value_form_and_an_example(annotation: Any, example: str) -> None:
    message = input_error("--x", "what", annotation, Mismatch("'what' is wrong"))
    assert message.startswith("--x: 'what' is wrong. Expected ")
    assert message.endswith(f"for example {example}")


@pytest.mark.parametrize("annotation", [int, Color, datetime.timedelta, list[str], Point, dict[str, Point], Pair, Line])
def test_the_example_of_an_error_is_accepted(annotation: Any) -> None:
    message = input_error("--x", "?", annotation, Mismatch(""))
    parse_input(message.partition("for example --x ")[2].strip("'"), annotation)


def test_the_form_of_a_record_lists_its_fields() -> None:
    assert "{x: float, y?: int, wait?: timedelta, color?: RED|GREEN}" in expected_form(list[Point])
