"""Which variant takes a value, and which variant a literal is read by."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import pytest
from flyteidl2.core.literals_pb2 import Literal
from pydantic import BaseModel

from flyte.types import TypeTransformerFailedError
from flyte.types._choice import converter_for


class Point(NamedTuple):
    x: int
    y: float


@dataclasses.dataclass
class A:
    v: int


@dataclasses.dataclass
class B:
    v: int


@dataclasses.dataclass
class SubA(A):
    pass


class M(BaseModel):
    v: int


class Plain:
    pass


def tag(annotation: Any, value: Any) -> str:
    """The variant that takes a value."""
    name: str = converter_for(annotation).encode(value).scalar.union.type.structure.tag
    return name


def failure(annotation: Any, value: Any) -> TypeTransformerFailedError:
    with pytest.raises(TypeTransformerFailedError) as caught:
        converter_for(annotation).encode(value)
    return caught.value


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (Union[int, str], "x", "str"),
        (Union[int, bool], True, "bool"),
        (Union[float, int], 1, "int"),
        (Union[dt.date, dt.datetime], dt.datetime(2024, 1, 1), "datetime"),
        (Optional[dt.date], dt.datetime(2024, 1, 1), "date"),
        (Union[A, M], M(v=1), "Pydantic Transformer"),
        (Union[A, int], SubA(1), "Object-Dataclass-Transformer"),
        (Union[List[int], Any], [1], "Typed List"),
        (Union[List[int], Any], ["x"], "FlytePickle"),
        (Union[Tuple[int, int], List[int]], [1, 2], "Typed List"),
        (Union[Point, Tuple[int, float]], (1, 2.0), "Typed Tuple"),
        (Union[int, Plain], Plain(), "FlytePickle"),
        (Optional[int], None, "none"),
    ],
)
def test_class_of_the_value_chooses_the_variant(annotation: Any, value: Any, expected: str) -> None:
    assert tag(annotation, value) == expected


def test_two_dataclasses_of_one_shape_are_told_apart_by_class() -> None:
    converter = converter_for(Union[A, B])
    assert converter.decode(converter.encode(B(1))) == B(1)
    assert converter.decode(converter.encode(A(1))) == A(1)


def test_first_of_several_lists_that_takes_the_value_is_chosen() -> None:
    annotation = Union[List[int], List[str]]
    converter = converter_for(annotation)
    assert converter.encode(["x"]).scalar.union.type.collection_type.simple == 3
    assert converter.decode(converter.encode(["x"])) == ["x"]
    assert converter.encode([]).scalar.union.type.collection_type.simple == 1
    assert converter.decode(converter.encode([])) == []


@pytest.mark.parametrize(
    ("annotation", "value"),
    [(Optional[float], 1), (Union[float, str], 1), (Optional[int], True), (Union[int, str], None), (Optional[str], 1)],
)
def test_value_that_no_variant_takes_is_refused(annotation: Any, value: Any) -> None:
    assert failure(annotation, value).reason.startswith(f"Value {value} of type ")


def test_failure_inside_the_only_fitting_variant_keeps_its_path() -> None:
    error = failure(Optional[List[int]], [1, "x"])
    assert error.path == "[1]"
    assert error.reason == "Expected value of type <class 'int'> but got 'x' of type <class 'str'>"


def test_value_that_several_variants_take_is_refused_with_their_types() -> None:
    error = failure(Union[A, B], {"v": 1})
    assert "Ambiguous choice of variant for union type.\nPotential types: [" in error.reason
    assert f"{A.__module__}.A" in error.reason


def test_unions_in_another_order_have_their_own_literal_types() -> None:
    one, other = converter_for(Union[int, str]).literal_type, converter_for(Union[str, int]).literal_type
    assert [variant.simple for variant in one.union_type.variants] == [1, 3]
    assert [variant.simple for variant in other.union_type.variants] == [3, 1]


def test_check_accepts_what_encoding_accepts_and_nothing_else() -> None:
    converter = converter_for(Union[int, List[int], None])
    for good in (1, [1], None):
        converter.check(good)
    for bad in (1.5, ["x"], True):
        with pytest.raises(TypeTransformerFailedError):
            converter.check(bad)


@pytest.mark.parametrize(
    ("written", "value", "read"),
    [
        (Optional[int], 1, Union[str, int]),
        (Optional[int], None, Optional[str]),
        (Optional[List[int]], [1], Union[List[int], List[str]]),
        (Union[Dict[str, str], int], {"a": "b"}, Union[Dict[str, int], Dict[str, str]]),
        (Optional[A], A(1), Union[B, A]),
        (int, 3, Union[float, int]),
        (float, 3.5, Union[float, int]),
        (str, "x", Optional[str]),
        (type(None), None, Optional[int]),
    ],
)
def test_literal_of_one_union_or_type_is_read_by_the_same_variant_of_another(
    written: Any, value: Any, read: Any
) -> None:
    back = converter_for(read).decode(converter_for(written).encode(value))
    assert (type(back), back) == (type(value), value)


@pytest.mark.parametrize(
    ("written", "value", "read"),
    [(Optional[int], 1, Optional[float]), (Optional[int], 1, Optional[str]), (int, 1, Optional[str])],
)
def test_literal_of_a_variant_that_is_not_there_is_refused(written: Any, value: Any, read: Any) -> None:
    with pytest.raises(TypeTransformerFailedError, match=r"Cannot convert from .*integer 1 to "):
        converter_for(read).decode(converter_for(written).encode(value))


def test_dataclass_that_has_grown_a_field_still_reads_its_old_values() -> None:
    old = dataclasses.make_dataclass("Config", [("v", int)])
    new = dataclasses.make_dataclass("Config", [("v", int), ("w", int, 5)])
    other = dataclasses.make_dataclass("Other", [("v", int, 0)])
    literal = converter_for(Optional[old]).encode(old(1))
    assert converter_for(Union[other, new]).decode(literal) == new(1)


def test_literal_that_two_variants_read_is_refused() -> None:
    literal = Literal()
    literal.scalar.primitive.datetime.SetInParent()
    with pytest.raises(TypeTransformerFailedError, match=r"Both datetime.date and datetime.datetime"):
        converter_for(Union[dt.date, dt.datetime]).decode(literal)
