"""What a literal of another kind is read as, and what is refused."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, TypedDict

import pytest
from flyteidl2.core.literals_pb2 import Literal
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel

from flyte.types import TypeTransformerFailedError
from flyte.types._choice import converter_for


class Color(enum.Enum):
    RED = "red"


class Point(NamedTuple):
    x: int


class Row(TypedDict):
    a: int


@dataclasses.dataclass
class Record:
    a: int
    f: float = 0.5


class Model(BaseModel):
    a: int


def literal(annotation: Any, value: Any) -> Literal:
    return converter_for(annotation).encode(value)


def document(value: Any) -> Literal:
    """A msgpack document that holds any value."""
    made = literal(dict, {"v": value})
    made.scalar.binary.value = made.scalar.binary.value.removeprefix(b"\x81\xa1v")
    return made


def struct(**fields: Any) -> Literal:
    made = Literal()
    made.scalar.generic.update(fields)
    return made


ANNOTATIONS = [
    int,
    float,
    str,
    bool,
    type(None),
    dt.datetime,
    dt.date,
    dt.timedelta,
    List[int],
    Dict[str, int],
    dict,
    Dict[int, str],
    Optional[int],
    Color,
    Record,
    Model,
    Tuple[int, str],
    Point,
    Row,
    Struct,
    set,
]

LITERALS = {
    "integer": literal(int, 3),
    "float": literal(float, 3.7),
    "text": literal(str, "x"),
    "boolean": literal(bool, True),
    "none": literal(type(None), None),
    "datetime": literal(dt.datetime, dt.datetime(2024, 1, 2)),
    "duration": literal(dt.timedelta, dt.timedelta(1)),
    "list": literal(List[int], [1]),
    "map": literal(Dict[str, int], {"zz": 1}),
    "document": literal(dict, {"zz": "q"}),
    "union": literal(Optional[str], "x"),
    "pickle": literal(set, {1}),
    "nothing": Literal(),
}

READABLE = {
    (int, "integer"),
    (float, "integer"),
    (float, "float"),
    (str, "text"),
    (bool, "boolean"),
    (type(None), "none"),
    (dt.datetime, "datetime"),
    (dt.date, "datetime"),
    (dt.timedelta, "duration"),
    (List[int], "list"),
    (Dict[str, int], "map"),
    (dict, "document"),
    (Optional[int], "integer"),
    (Optional[int], "none"),
    (set, "pickle"),
}


@pytest.mark.parametrize("kind", LITERALS)
@pytest.mark.parametrize("annotation", ANNOTATIONS, ids=str)
def test_literal_of_another_kind_is_refused_and_never_read_as_something(annotation: Any, kind: str) -> None:
    converter = converter_for(annotation)
    if (annotation, kind) in READABLE:
        converter.decode(LITERALS[kind])
    else:
        with pytest.raises(TypeTransformerFailedError):
            converter.decode(LITERALS[kind])


def test_whole_float_is_read_as_an_int_and_another_is_refused() -> None:
    assert converter_for(int).decode(literal(float, 3.0)) == 3
    with pytest.raises(TypeTransformerFailedError, match="Cannot convert 3.7 to int without changing it"):
        converter_for(int).decode(literal(float, 3.7))


def test_int_is_read_as_a_float() -> None:
    back = converter_for(float).decode(literal(int, 3))
    assert (type(back), back) == (float, 3.0)


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (int, 3, 3),
        (int, 3.0, 3),
        (float, 3, 3.0),
        (str, "a", "a"),
        (bool, True, True),
        (type(None), None, None),
        (dt.datetime, "2024-01-02T00:00:00", dt.datetime(2024, 1, 2, tzinfo=dt.UTC)),
        (dt.date, "2024-01-02", dt.date(2024, 1, 2)),
        (dt.timedelta, 1.5, dt.timedelta(seconds=1.5)),
        (List[List[float]], [[1, 2.5]], [[1.0, 2.5]]),
        (Dict[str, int], {"a": 1}, {"a": 1}),
        (Color, "RED", Color.RED),
        (Color, "red", Color.RED),
    ],
)
def test_field_picked_out_of_a_record_is_read(annotation: Any, value: Any, expected: Any) -> None:
    back = converter_for(annotation).decode(document(value))
    assert (type(back), back) == (type(expected), expected)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, 3.5),
        (int, True),
        (int, "3"),
        (float, "x"),
        (str, 1),
        (bool, 1),
        (type(None), 0),
        (dt.datetime, "soon"),
        (dt.date, 3),
        (dt.timedelta, "x"),
        (List[int], {"a": 1}),
        (List[int], [1, "x"]),
        (List[Optional[int]], [1]),
        (Dict[str, int], [1]),
        (dict, [1]),
        (Color, "blue"),
        (Color, [1]),
    ],
)
def test_field_that_does_not_fit_is_refused(annotation: Any, value: Any) -> None:
    with pytest.raises(TypeTransformerFailedError):
        converter_for(annotation).decode(document(value))


@pytest.mark.parametrize(
    ("annotation", "expected"), [(Record, Record(3)), (Model, Model(a=3)), (Row, {"a": 3}), (dict, {"a": 3.0})]
)
def test_record_written_as_a_struct_is_read(annotation: Any, expected: Any) -> None:
    assert converter_for(annotation).decode(struct(a=3)) == expected


@pytest.mark.parametrize("annotation", [int, List[int], dict, Record, Model, Tuple[int, str], Color])
def test_document_with_another_tag_is_refused_with_the_tag(annotation: Any) -> None:
    made = document({"a": 1})
    made.scalar.binary.tag = "zz"
    with pytest.raises(TypeTransformerFailedError, match="Unsupported binary format `zz`"):
        converter_for(annotation).decode(made)


@pytest.mark.parametrize("wire", [b"\xc1", b"", b"\x81\xa1a", b"\x01\x02", b"\x81\x90\x01"])
def test_broken_document_is_refused(wire: bytes) -> None:
    made = document({"a": 1})
    made.scalar.binary.value = wire
    with pytest.raises(TypeTransformerFailedError, match="they are not a msgpack document"):
        converter_for(dict).decode(made)


def test_document_of_a_record_names_the_field_that_does_not_fit() -> None:
    with pytest.raises(TypeTransformerFailedError) as caught:
        converter_for(Record).decode(document({"a": "x"}))
    assert caught.value.path == ".a"
    with pytest.raises(TypeTransformerFailedError, match="is missing"):
        converter_for(Record).decode(document({"f": 1.0}))


def test_moment_that_python_cannot_express_is_refused() -> None:
    made = Literal()
    made.scalar.primitive.datetime.seconds = 2**60
    for annotation in (dt.datetime, dt.date):
        with pytest.raises(TypeTransformerFailedError):
            converter_for(annotation).decode(made)
    made.scalar.primitive.duration.seconds = 2**60
    with pytest.raises(TypeTransformerFailedError):
        converter_for(dt.timedelta).decode(made)


def test_messages_that_are_not_objects_in_json_are_refused() -> None:
    converter = converter_for(Timestamp)
    with pytest.raises(TypeTransformerFailedError, match="Failed to convert to generic protobuf struct"):
        converter.encode(Timestamp(seconds=1))
    with pytest.raises(TypeTransformerFailedError, match="Cannot read a "):
        converter.decode(struct(a=1))
    with pytest.raises(TypeTransformerFailedError, match="Expected value of type"):
        converter_for(Struct).encode({"a": 1})


def test_message_comes_back_equal() -> None:
    converter = converter_for(Literal)
    assert converter.decode(converter.encode(LITERALS["map"])) == LITERALS["map"]
