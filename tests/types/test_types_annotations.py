"""Less common annotations: aliases, NewType, generics, fields with options; and how types and literals read."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import inspect
import logging
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import (
    Annotated,
    Any,
    Counter,
    Deque,
    Dict,
    FrozenSet,
    Generic,
    List,
    Literal,
    Mapping,
    NewType,
    Optional,
    Sequence,
    Set,
    Tuple,
    TypedDict,
    TypeVar,
    Union,
)

import pytest
import typing_extensions
from flyteidl2.core import literals_pb2
from flyteidl2.core.types_pb2 import LiteralType, SimpleType
from mashumaro import DataClassDictMixin, field_options
from mashumaro.config import BaseConfig

from flyte.models.signatures import literal_enum
from flyte.types import TypeTransformer, TypeTransformerFailedError, literal_string_repr
from flyte.types._annotations import classes_in
from flyte.types._choice import converter_for
from flyte.types._failure import literal_text, type_text
from flyte.types._transformers import TransformerConverter

T = TypeVar("T")
Rows = typing_extensions.TypeAliasType("Rows", List[int])
Json = typing_extensions.TypeAliasType("Json", "Union[Dict[str, Json], List[int], int]")
UserId = NewType("UserId", int)


class Tree(TypedDict):
    children: List[Tree]


class Keyed(TypedDict):
    key: int


@dataclasses.dataclass
class Wide:
    user: UserId
    noted: Annotated[int, "n"]
    clock: dt.time
    uid: uuid.UUID
    amount: Decimal
    queue: Deque[int]
    sequence: Sequence[int]
    mapping: Mapping[str, int]
    counts: Counter[str]
    frozen: FrozenSet[int]
    groups: List[Tuple[int, FrozenSet[str]]]
    keyed: Keyed
    bare_set: set  # type: ignore[type-arg]
    buffer: bytearray
    given: dataclasses.InitVar[int] = 0


WIDE = Wide(
    user=UserId(1),
    noted=2,
    clock=dt.time(1, 2),
    uid=uuid.UUID(int=1),
    amount=Decimal("1.50"),
    queue=collections.deque([1]),
    sequence=[1, 2],
    mapping={"a": 1},
    counts=collections.Counter("aab"),
    frozen=frozenset({2, 1}),
    groups=[(1, frozenset({"b", "a"}))],
    keyed={"key": 1},
    bare_set={1, 2},
    buffer=bytearray(b"x"),
)


@dataclasses.dataclass
class Renamed(DataClassDictMixin):
    value: int

    class Config(BaseConfig):
        aliases = {"value": "theValue"}
        serialize_by_alias = True


@dataclasses.dataclass
class Shifted:
    value: int = dataclasses.field(metadata=field_options(serialize=lambda v: v + 1, deserialize=lambda v: v - 1))


class Box(Generic[T]):
    pass


class BoxTransformer(TypeTransformer[Box[Any]]):
    def __init__(self) -> None:
        super().__init__("box", Box)

    def get_literal_type(self, t: type[Box[Any]]) -> LiteralType:
        return LiteralType(simple=SimpleType.NONE)

    async def to_literal(
        self, python_val: Box[Any], python_type: type[Box[Any]], expected: LiteralType
    ) -> literals_pb2.Literal:
        return literals_pb2.Literal()

    async def to_python_value(self, lv: literals_pb2.Literal, expected_python_type: type[Box[Any]]) -> Box[Any]:
        return Box()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def round_trip(annotation: Any, value: Any) -> Any:
    converter = converter_for(annotation)
    return converter.decode(converter.encode(value))


def test_alias_is_what_it_stands_for() -> None:
    assert converter_for(Rows).literal_type == converter_for(List[int]).literal_type
    assert round_trip(Optional[Rows], [1]) == [1]


def test_alias_that_contains_itself_is_pickled_inside() -> None:
    assert round_trip(List[Json], [1, [2]]) == [1, [2]]


def test_dataclass_of_every_kind_of_field_comes_back_equal() -> None:
    assert round_trip(Wide, WIDE) == WIDE


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("user", "x", ".user"),
        ("clock", "01:02", ".clock"),
        ("queue", "ab", ".queue"),
        ("sequence", [1, "x"], ".sequence[1]"),
        ("mapping", [1], ".mapping"),
        ("mapping", {"a": "x"}, ".mapping['a']"),
        ("groups", [(1, frozenset({2}))], ".groups[0][1][0]"),
        ("keyed", 3, ".keyed"),
        ("keyed", {}, ".keyed"),
        ("keyed", {"key": "x"}, ".keyed['key']"),
        ("bare_set", 3, ".bare_set"),
        ("buffer", "x", ".buffer"),
    ],
)
def test_wrong_field_is_found_whatever_its_kind(field: str, value: Any, path: str) -> None:
    wrong = dataclasses.replace(WIDE, given=0, **{field: value})
    with pytest.raises(TypeTransformerFailedError) as caught:
        converter_for(Wide).encode(wrong)
    assert caught.value.path == path


def test_options_of_mashumaro_are_kept() -> None:
    assert round_trip(Renamed, Renamed(3)) == Renamed(3)
    assert converter_for(Renamed).encode(Renamed(3)).scalar.binary.value == b"\x81\xa8theValue\x03"
    assert round_trip(Shifted, Shifted(3)) == Shifted(3)
    assert converter_for(Shifted).encode(Shifted(3)).scalar.binary.value == b"\x81\xa5value\x04"


@pytest.mark.parametrize("annotation", [Tree, Tuple[Tree, int]])
def test_typed_dict_that_contains_itself_is_refused_as_a_type(annotation: Any) -> None:
    with pytest.raises(TypeTransformerFailedError, match="Tree cannot travel: it contains itself"):
        converter_for(annotation)


def test_registered_generic_class_is_asserted_by_its_class() -> None:
    converter = TransformerConverter(BoxTransformer(), Box[int])
    converter.check(Box())
    with pytest.raises(TypeTransformerFailedError):
        converter.check(3)
    with pytest.raises(ValueError, match="box does not guess a Python type"):
        converter.transformer.guess_python_type(LiteralType())


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "int"),
        (None, "None"),
        (Optional[List[int]], "list[int] | None"),
        (Union[int, str], "int | str"),
        (Dict[str, Any], "dict[str, Any]"),
        (Tuple[int, ...], "tuple[int, ...]"),
        (Annotated[int, "x"], "int"),
        (dt.datetime, "datetime.datetime"),
        (Set[Keyed], f"set[{__name__}.Keyed]"),
        (Literal["a"], "Literal['a']"),
        (literal_enum(("a", "b")), "Literal['a', 'b']"),
        (inspect.Parameter.empty, "anything"),
    ],
)
def test_type_reads_as_people_write_it(annotation: Any, text: str) -> None:
    assert type_text(annotation) == text


def test_classes_are_found_inside_records() -> None:
    found = set(classes_in(Dict[str, List[Wide]]))
    assert {dict, str, list, Wide, uuid.UUID, Keyed, collections.deque} <= found


def literal_with(field: str, **values: Any) -> literals_pb2.Literal:
    literal = literals_pb2.Literal()
    message = getattr(literal.scalar, field)
    message.SetInParent()
    for name, value in values.items():
        setattr(message, name, value)
    return literal


OFFLOADED = literals_pb2.Literal()
OFFLOADED.offloaded_metadata.uri = "s3://b/k"
BARE_PRIMITIVE = literal_with("primitive")
BARE_SCALAR = literals_pb2.Literal(scalar=literals_pb2.Scalar())


@pytest.mark.parametrize(
    ("literal", "text"),
    [
        (converter_for(float).encode(1.5), "float 1.5"),
        (converter_for(List[int]).encode([1, 2]), "collection of 2"),
        (converter_for(Dict[str, int]).encode({"a": 1}), "map of 1"),
        (converter_for(Optional[int]).encode(5), "union of integer 5"),
        (converter_for(dt.timedelta).encode(dt.timedelta(seconds=9)), "duration of 9 s"),
        (literal_with("blob", uri="s3://b/k"), "blob s3://b/k"),
        (literal_with("schema", uri="s3://b/k"), "schema"),
        (OFFLOADED, "offloaded_metadata"),
        (BARE_PRIMITIVE, "without a value"),
        (BARE_SCALAR, "without a value"),
        (literals_pb2.Literal(), "without a value"),
    ],
)
def test_literal_reads_on_one_line(literal: literals_pb2.Literal, text: str) -> None:
    assert literal_text(literal) == text


@pytest.mark.parametrize(
    ("literal", "plain"),
    [
        (literal_with("schema", uri="s3://b/s"), "s3://b/s"),
        (literal_with("structured_dataset", uri="s3://b/d"), "s3://b/d"),
        (literal_with("error", message="it broke"), "it broke"),
        (literal_with("generic"), {}),
        (OFFLOADED, "s3://b/k"),
    ],
)
def test_every_kind_of_literal_prints(literal: literals_pb2.Literal, plain: Any) -> None:
    assert literal_string_repr(literal) == plain


@pytest.mark.parametrize("literal", [BARE_PRIMITIVE, BARE_SCALAR])
def test_literal_that_holds_nothing_inside_does_not_print(literal: literals_pb2.Literal) -> None:
    with pytest.raises(ValueError, match="Unknown"):
        literal_string_repr(literal)


def test_enum_member_as_a_number_is_a_number() -> None:
    class Level(enum.IntEnum):
        LOW = 1

    assert round_trip(Dict[int, int], {Level.LOW: 2}) == {1: 2}
