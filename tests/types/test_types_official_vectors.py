"""Literal types and literals equal, byte for byte, those that the official release 2.12.1 makes.

`official_vectors.json` holds what it made of `CASES`: by case, the literal type and the literal of each value.
"""

import dataclasses
import datetime as dt
import enum
import json
import typing
from decimal import Decimal
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Callable,
    ClassVar,
    Dict,
    FrozenSet,
    List,
    Literal,
    NamedTuple,
    NotRequired,
    Optional,
    Sequence,
    Set,
    Tuple,
    TypedDict,
    Union,
)

import pytest
from flyteidl2.core import literals_pb2
from flyteidl2.core.types_pb2 import LiteralType
from google.protobuf.struct_pb2 import Struct, Value
from pydantic import BaseModel, Field

from flyte.types._choice import converter_for

UTC = dt.UTC


class Color(enum.Enum):
    RED = "red"
    GREEN = "green"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Point(NamedTuple):
    x: int
    y: float = 1.5


class Row(TypedDict):
    a: int
    b: str


class Sparse(TypedDict):
    a: int
    b: NotRequired[str]


class Nested(TypedDict):
    rows: List[Sparse]
    point: Point
    color: Color


class Colored(NamedTuple):
    color: Color
    point: Point


@dataclasses.dataclass
class Inner:
    k: int
    t: dt.datetime


@dataclasses.dataclass
class Config:
    shared: ClassVar[int] = 3
    depth: int
    rate: float
    name: str = "x"
    limit: Optional[int] = None
    sizes: List[int] = dataclasses.field(default_factory=list)
    weights: Dict[str, float] = dataclasses.field(default_factory=dict)
    color: Color = Color.RED
    inner: Optional[Inner] = None


@dataclasses.dataclass
class Tree:
    value: int
    children: List["Tree"] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Everything:
    data: bytes
    wait: dt.timedelta
    day: dt.date
    when: dt.datetime
    pair: Tuple[int, str]
    many: Tuple[int, ...]
    choice: Literal["x", "y"]
    either: Union[int, str]
    point: Point
    row: Sparse
    level: Level
    by_number: Dict[int, str]
    by_color: Dict[Color, int]
    amount: Decimal
    path: Path
    anything: Any
    bag: dict  # type: ignore[type-arg]  # as users write it


class Model(BaseModel):
    a: int
    b: str = "q"
    color: Color = Color.RED
    t: Optional[dt.datetime] = None


class Outer(BaseModel):
    model: Model
    models: List[Model] = []
    level: Level = Level.LOW
    by_color: Dict[Color, List[Color]] = {}
    either: Union[Color, int] = Color.RED
    pair: Tuple[Color, int] = (Color.RED, 1)
    inner: Optional[Inner] = None
    wait: dt.timedelta = dt.timedelta(seconds=1)
    ratio: float = Field(default=1.0, description="of what")


EVERYTHING = Everything(
    data=b"\x00\xff",
    wait=dt.timedelta(seconds=1.5),
    day=dt.date(2024, 1, 2),
    when=dt.datetime(2024, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))),
    pair=(1, "a"),
    many=(1, 2, 3),
    choice="x",
    either="a",
    point=Point(1, 2.0),
    row={"a": 1},
    level=Level.HIGH,
    by_number={1: "a"},
    by_color={Color.RED: 1},
    amount=Decimal("1.50"),
    path=Path("/x/y"),
    anything=[1, "a", None],
    bag={"a": {"b": [1, 2]}},
)

CASES: Dict[str, Tuple[Any, List[Any]]] = {
    "int": (int, [0, 3, -1, 2**63 - 1, -(2**63)]),
    "float": (float, [0.0, 1.5, -2.0, float("inf")]),
    "str": (str, ["", "a", "é"]),
    "bool": (bool, [True, False]),
    "none": (type(None), [None]),
    "datetime": (dt.datetime, [dt.datetime(2024, 1, 2, tzinfo=UTC), dt.datetime(1960, 1, 2, 3, 4, 5, 678)]),
    "date": (dt.date, [dt.date(2024, 1, 1), dt.datetime(2024, 1, 2, 3, 4)]),
    "timedelta": (dt.timedelta, [dt.timedelta(0), dt.timedelta(seconds=90), dt.timedelta(microseconds=-999_995)]),
    "list of int": (List[int], [[], [1, 2]]),
    "list of lists": (list[list[str]], [[["a"], []]]),
    "dict of int": (Dict[str, int], [{}, {"b": 1, "a": 2}]),
    "dict of lists": (dict[str, list[float]], [{"a": [1.5]}]),
    "untyped dict": (dict, [{}, {"b": 1, "a": (1, 2), 3: b"x", "n": None}]),
    "typing.Dict": (Dict, [{"b": 1}]),
    "dict by number": (Dict[int, str], [{1: "a", -7: "b"}]),
    "dict of dataclasses by number": (Dict[int, Inner], [{1: Inner(1, dt.datetime(2024, 1, 1))}]),
    "list of dicts": (List[dict], [[{"a": 1}]]),  # type: ignore[type-arg]
    "tuple": (tuple[int, str], [(1, "a")]),
    "typing.Tuple": (Tuple[int, str], [(1, "a")]),
    "tuple of one": (Tuple[int], [(1,)]),
    "tuple of enum and dict": (Tuple[Color, Optional[int], Dict[str, Color]], [(Color.RED, None, {"a": Color.GREEN})]),
    "tuple of records": (
        Tuple[Inner, Model, Point],
        [(Inner(1, dt.datetime(2024, 1, 1)), Model(a=1), Point(1, 2.0))],
    ),
    "tuple of noted int": (Tuple[Annotated[int, Field(ge=3, description="d")], str], [(3, "a")]),
    "NamedTuple": (Point, [Point(1, 2.0), (1, 2.0), Point(1, 1)]),
    "NamedTuple of enum": (Colored, [Colored(Color.GREEN, Point(1, 2.0))]),
    "TypedDict": (Row, [{"a": 1, "b": "x"}]),
    "TypedDict with absent key": (Sparse, [{"a": 1}, {"a": 1, "b": "z"}]),
    "TypedDict in TypedDict": (Nested, [{"rows": [{"a": 1}], "point": Point(1, 2.0), "color": Color.RED}]),
    "Optional": (Optional[int], [5, None]),
    "union": (Union[int, str, None], [5, "a", None]),
    "union in other order": (Union[str, int], [5, "a"]),
    "union of lists": (Union[List[int], List[str]], [[1], ["a"]]),
    "union of int and float": (Union[int, float], [1, 1.5]),
    "union of int and bool": (Union[int, bool], [1, True]),
    "Optional list of Optional": (Optional[List[Optional[int]]], [[1, None], None]),
    "Optional enum": (Optional[Color], [Color.RED, "RED"]),
    "Optional dataclass": (Optional[Inner], [Inner(1, dt.datetime(2024, 1, 1)), None]),
    "Optional tuple": (Optional[Tuple[int, str]], [(1, "a"), [1, "a"]]),
    "Optional NamedTuple": (Optional[Point], [Point(1, 2.0), (1, 2.0)]),
    "Optional TypedDict": (Optional[Row], [{"a": 1, "b": "x"}]),
    "Optional untyped dict": (Optional[dict], [{"a": 1}]),
    "union of dataclass and model": (
        Union[Inner, Model],
        [Inner(1, dt.datetime(2024, 1, 1)), Model(a=1), {"a": 1}, {"k": 1, "t": "2024-01-01T00:00:00"}],
    ),
    "union of enum and str": (Union[Color, str], [Color.RED, "RED", "x"]),
    "union of date and datetime": (Union[dt.date, dt.datetime], [dt.date(2024, 1, 1), dt.datetime(2024, 1, 1)]),
    "union of TypedDict and dict": (Union[Row, dict], [{"a": 1, "b": "x"}]),
    "union with anything": (Union[int, Any], [1, "x"]),
    "enum": (Color, [Color.RED, "GREEN"]),
    "IntEnum": (Level, [Level.HIGH, "LOW"]),
    "dataclass": (
        Config,
        [
            Config(1, 2.0),
            Config(1, 2),
            Config(1, 2.0, limit=4, sizes=[1], weights={"a": 1}, inner=Inner(1, dt.datetime(2024, 1, 1))),
            {"depth": 1, "rate": 2.0},
        ],
    ),
    "dataclass of everything": (Everything, [EVERYTHING]),
    "dataclass of itself": (Tree, [Tree(1, [Tree(2)])]),
    "list of dataclasses": (List[Config], [[Config(1, 2.0)]]),
    "model": (Model, [Model(a=1), Model(a=1, color=Color.GREEN, t=dt.datetime(2024, 1, 1, tzinfo=UTC)), {"a": "1"}]),
    "model of models": (Outer, [Outer(model=Model(a=1), models=[Model(a=2)], by_color={Color.RED: [Color.GREEN]})]),
    "Struct": (Struct, [Struct(fields={"a": Value(number_value=1)})]),
    "noted int": (Annotated[int, Field(description="d", ge=3)], [3]),
    "noted dataclass": (Annotated[Inner, Field(description="d")], [Inner(1, dt.datetime(2024, 1, 1))]),
    "annotated list": (Annotated[List[int], "rows"], [[1]]),
    "bytes": (bytes, [b"abc"]),
    "set": (Set[int], [{3, 1, 2}]),
    "frozenset": (FrozenSet[str], [frozenset({"a"})]),
    "list without type": (list, [[1, "a"]]),
    "tuple of any length": (Tuple[int, ...], [(1, 2)]),
    "Any": (Any, [1, {"a": 1}]),
    "object": (object, [1]),
    "nested Literal": (List[Literal["a", "b"]], [["a"]]),
    "callable": (Callable[[int], int], [len]),
    "sequence": (Sequence[int], [[1]]),
    "dict of anything": (Dict[str, Any], [{"a": 1}]),
}


VECTORS = json.loads((Path(__file__).parent / "official_vectors.json").read_text("utf-8"))

official = pytest.mark.parametrize(
    ("annotation", "values", "vector"),
    [pytest.param(annotation, values, VECTORS[name], id=name) for name, (annotation, values) in CASES.items()],
)


@official
def test_literal_type_and_literals_are_those_of_the_official_release(
    annotation: Any, values: List[Any], vector: Dict[str, Any]
) -> None:
    converter = converter_for(annotation)
    assert converter.literal_type == LiteralType.FromString(bytes.fromhex(vector["literal_type"]))
    for value, expected in zip(values, vector["literals"], strict=True):
        literal = converter.encode(value)
        assert literal == literals_pb2.Literal.FromString(bytes.fromhex(expected))
        assert literal.SerializeToString(deterministic=True).hex() == expected


@official
def test_literals_of_the_official_release_are_read_as_the_values_they_were_made_from(
    annotation: Any, values: List[Any], vector: Dict[str, Any]
) -> None:
    converter = converter_for(annotation)
    for value, wire in zip(values, vector["literals"], strict=True):
        read = converter.decode(literals_pb2.Literal.FromString(bytes.fromhex(wire)))
        # A value may be given in other ways (a member's name, a dict of fields, a datetime for a date...).
        assert read == converter.decode(converter.encode(value))
        if type(value) is type(read) and not isinstance(value, dt.datetime | tuple | dict):
            assert read == value


def test_every_vector_has_its_case() -> None:
    assert VECTORS.keys() == CASES.keys()
    assert typing.get_type_hints(Everything).keys() == vars(EVERYTHING).keys()
