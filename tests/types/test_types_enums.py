"""Enums travel by name, the enums of `Literal` by value; what cannot be an enum is refused whole."""

from __future__ import annotations

import enum
from typing import Any, List, Literal, Optional

import pytest

from flyte.models.signatures import literal_enum
from flyte.types import TypeTransformerFailedError
from flyte.types._choice import converter_for


class Color(enum.Enum):
    RED = "red"
    GREEN = "green"
    CRIMSON = "red"  # noqa: PIE796 (an alias)


class Level(enum.IntEnum):
    LOW = 1


class Shape(enum.StrEnum):
    ROUND = "o"


class Number(enum.Enum):
    ONE = 1


class Mixed(enum.Enum):
    A = "a"
    B = 2


class Bits(enum.IntFlag):
    A = 1


class Empty(enum.Enum):
    pass


def failure(annotation: Any, value: Any) -> TypeTransformerFailedError:
    with pytest.raises(TypeTransformerFailedError) as caught:
        converter_for(annotation).encode(value)
    return caught.value


@pytest.mark.parametrize(
    ("annotation", "value", "name"),
    [
        (Color, Color.RED, "RED"),
        (Color, "GREEN", "GREEN"),
        (Color, Color.CRIMSON, "RED"),
        (Color, "CRIMSON", "RED"),
        (Level, Level.LOW, "LOW"),
        (Level, "LOW", "LOW"),
        (Shape, Shape.ROUND, "ROUND"),
    ],
)
def test_enum_travels_by_the_name_of_its_member(annotation: Any, value: Any, name: str) -> None:
    converter = converter_for(annotation)
    literal = converter.encode(value)
    assert literal.scalar.primitive.string_value == name
    assert converter.decode(literal) is annotation[name]


def test_value_of_a_member_is_refused_with_the_names() -> None:
    error = failure(Color, "red")
    assert error.reason == "Value red is not valid value, expected - ['RED', 'GREEN']"
    assert error.fix == "Pass the member, `Color('red')`, or its name, 'RED'."


def test_unknown_name_is_refused_with_the_near_one() -> None:
    assert failure(Color, "REDD").reason == f"Value REDD is not in Enum {Color}; did you mean 'RED'?"
    assert failure(Color, "xx").reason == f"Value xx is not in Enum {Color}; it has 'RED', 'GREEN', 'CRIMSON'"


@pytest.mark.parametrize("value", [1, None, Level.LOW, Shape.ROUND])
def test_what_is_neither_a_member_nor_a_name_is_refused(value: Any) -> None:
    assert "is not in Enum" in failure(Color, value).reason


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (Number, r"Only string-valued enums and IntEnum are supported, got Number with int values \(Number.ONE = 1\)"),
        (Mixed, r"got Mixed with int values \(Mixed.B = 2\)"),
        (Bits, "Bits is a Flag enum"),
        (Empty, "Empty has no members"),
        (List[Number], "Number.ONE = 1"),
    ],
)
def test_enum_that_cannot_travel_is_refused_as_a_type(annotation: Any, message: str) -> None:
    with pytest.raises(TypeTransformerFailedError, match=message):
        converter_for(annotation)


def test_literal_of_an_interface_travels_as_the_text_itself() -> None:
    converter = converter_for(literal_enum(("sgd", "adam")))
    assert list(converter.literal_type.enum_type.values) == ["sgd", "adam"]
    literal = converter.encode("adam")
    assert literal.scalar.primitive.string_value == "adam"
    back = converter.decode(literal)
    assert (type(back), back) == (str, "adam")


def test_member_of_the_enum_of_a_literal_passes_for_its_text() -> None:
    sgd = next(iter(literal_enum(("sgd", "adam"))))
    converter = converter_for(type(sgd))
    assert converter.decode(converter.encode(sgd)) == "sgd"


def test_wrong_text_for_a_literal_is_refused_with_the_near_one() -> None:
    error = failure(literal_enum(("sgd", "adam")), "adamw")
    assert error.reason == "Value 'adamw' is not one of ['sgd', 'adam']; did you mean 'adam'?"
    assert "is not one of ['sgd', 'adam']" in failure(literal_enum(("sgd", "adam")), 3).reason


@pytest.mark.parametrize("value", ["a", 1, None])
def test_literal_of_any_values_inside_a_type_is_checked(value: Any) -> None:
    converter = converter_for(List[Literal["a", 1, None]])
    assert converter.decode(converter.encode([value])) == [value]
    assert failure(List[Literal["a", 1]], ["a", True]).path == "[1]"
    assert failure(Optional[Literal["a"]], "b")
