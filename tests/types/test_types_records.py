"""Dataclasses, models, tuples, NamedTuples and TypedDicts: nested in one another, and checked when written."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import os
import subprocess
import sys
from pathlib import Path
from typing import (
    Any,
    Dict,
    Generic,
    List,
    Literal,
    NamedTuple,
    NotRequired,
    Optional,
    Required,
    Set,
    Tuple,
    TypedDict,
    TypeVar,
    Union,
)

import pytest
from google.protobuf.json_format import MessageToDict
from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator

from flyte.types import TypeTransformerFailedError
from flyte.types._choice import converter_for

T = TypeVar("T")


class Color(enum.Enum):
    RED = "red"
    GREEN = "green"


class Point(NamedTuple):
    x: int
    y: float = 1.5


class Row(TypedDict):
    a: int
    b: NotRequired[str]


class Partial(TypedDict, total=False):
    key: Required[int]
    note: Optional[str]
    json: int


@dataclasses.dataclass
class Inner:
    k: int
    tags: List[str] = dataclasses.field(default_factory=list)


class Model(BaseModel):
    a: int
    color: Color = Color.RED
    inner: Optional[Inner] = None


@dataclasses.dataclass
class Config:
    depth: int
    rate: float = 0.1
    name: str = "x"
    flag: bool = False
    day: Optional[dt.date] = None
    color: Color = Color.RED
    kind: Literal["a", "b"] = "a"
    inner: Optional[Inner] = None
    inners: List[Inner] = dataclasses.field(default_factory=list)
    by_name: Dict[str, Inner] = dataclasses.field(default_factory=dict)
    pair: Tuple[int, str] = (1, "a")
    point: Point = dataclasses.field(default_factory=lambda: Point(1))
    path: Path = Path("/")
    model: Optional[Model] = None
    names: Set[str] = dataclasses.field(default_factory=set)


@dataclasses.dataclass
class Either:
    x: Union[List[int], List[str]]


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    a: int = 1


@dataclasses.dataclass
class Box(Generic[T]):
    v: T


class Plain:
    pass


def round_trip(annotation: Any, value: Any) -> Any:
    converter = converter_for(annotation)
    return converter.decode(converter.encode(value))


def failure(annotation: Any, value: Any) -> TypeTransformerFailedError:
    with pytest.raises(TypeTransformerFailedError) as caught:
        converter_for(annotation).encode(value)
    return caught.value


FULL = Config(
    depth=1,
    day=dt.date(2024, 1, 2),
    inner=Inner(1, ["t"]),
    inners=[Inner(2)],
    by_name={"n": Inner(3)},
    model=Model(a=1, color=Color.GREEN, inner=Inner(4)),
    names={"p", "q"},
)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Config, FULL),
        (Frozen, Frozen(3)),
        (Box[int], Box(3)),
        (List[Optional[Config]], [FULL, None]),
        (Dict[str, Tuple[Inner, Model]], {"a": (Inner(1), Model(a=2, inner=Inner(3)))}),
        (Tuple[Point, Row, Dict[str, Color], Optional[int]], (Point(1, 2.0), {"a": 1}, {"c": Color.RED}, None)),
        (Tuple[Tuple[int, str], List[Row]], ((1, "a"), [{"a": 1, "b": "x"}])),
        (Tuple[float, bytes], (1.5, b"text")),
        (Row, {"a": 1}),
        (Partial, {"key": 1}),
        (Partial, {"key": 1, "note": None, "json": 3}),
    ],
)
def test_nested_record_comes_back_equal(annotation: Any, value: Any) -> None:
    assert round_trip(annotation, value) == value


def test_schema_of_a_dataclass_has_the_schema_of_its_models() -> None:
    holder = dataclasses.make_dataclass("Holder", [("model", Model), ("models", List[Model])])
    properties = MessageToDict(converter_for(holder).literal_type.metadata)["properties"]
    assert properties["model"]["title"] == properties["models"]["items"]["title"] == "Model"
    assert properties["model"]["$defs"]["Color"]["enum"] == ["RED", "GREEN"]
    assert round_trip(holder, holder(Model(a=1), [Model(a=2)])).models == [Model(a=2)]


def test_dataclass_without_a_schema_travels_all_the_same() -> None:
    holder = dataclasses.make_dataclass("Holder", [("model", Optional[Model], None)])
    assert "properties" not in converter_for(holder).literal_type.metadata.fields
    assert round_trip(holder, holder(Model(a=1))) == holder(Model(a=1))


def test_not_a_number_survives_in_every_record() -> None:
    nan = float("nan")
    values = [
        round_trip(Tuple[float], (nan,))[0],
        round_trip(Point, Point(1, nan)).y,
        round_trip(Config, Config(1, rate=nan)).rate,
    ]
    assert [str(value) for value in values] == ["nan"] * 3


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        (Config("x"), ".depth", "Expected value of type <class 'int'> but got 'x' of type <class 'str'>"),  # type: ignore[arg-type]
        (Config(2.5), ".depth", "Expected value of type <class 'int'> but got '2.5'"),  # type: ignore[arg-type]
        (Config(None), ".depth", "Expected value of type <class 'int'> but got 'None'"),  # type: ignore[arg-type]
        (Config(1, rate="1"), ".rate", "Expected value of type <class 'float'>"),  # type: ignore[arg-type]
        (Config(1, name=None), ".name", "Expected value of type <class 'str'>"),  # type: ignore[arg-type]
        (Config(1, flag=1), ".flag", "Expected value of type <class 'bool'>"),  # type: ignore[arg-type]
        (Config(1, day=dt.datetime(2024, 1, 1)), ".day", "Expected value of type <class 'datetime.date'>"),
        (Config(1, color="RED"), ".color", "Expected value of type <enum 'Color'>"),  # type: ignore[arg-type]
        (Config(1, kind="c"), ".kind", "Value 'c' is not one of ['a', 'b']"),  # type: ignore[arg-type]
        (Config(1, inner=Point(1)), ".inner", "Expected value of type "),  # type: ignore[arg-type]
        (Config(1, inners=[Inner(1), Inner("x")]), ".inners[1].k", "Expected value of type <class 'int'>"),  # type: ignore[arg-type]
        (Config(1, by_name={"n": Inner(1, [2])}), ".by_name['n'].tags[0]", "Expected value of type <class 'str'>"),  # type: ignore[list-item]
        (Config(1, pair=(1,)), ".pair", "tuple[int, str] has 2 items, got 1: (1,)"),  # type: ignore[arg-type]
        (Config(1, pair=(1, 2)), ".pair[1]", "Expected value of type <class 'str'>"),  # type: ignore[arg-type]
        (Config(1, point=Point("x")), ".point.x", "Expected value of type <class 'int'>"),  # type: ignore[arg-type]
        (Config(1, path="/"), ".path", "Expected value of type <class 'pathlib.Path'>"),  # type: ignore[arg-type]
        (Config(2**64), "['depth']", "Cannot convert `18446744073709551616`"),
    ],
)
def test_wrong_field_of_a_dataclass_fails_when_written_with_its_path(value: Config, path: str, reason: str) -> None:
    error = failure(Config, value)
    assert error.path == path
    assert error.reason.startswith(reason)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (Config(1, rate=2), Config(1, rate=2.0)),
        (Config(True), Config(1)),
        (Config(3.0), Config(3)),  # type: ignore[arg-type]
        (Config(1, pair=[1, "a"]), Config(1)),  # type: ignore[arg-type]
        (Config(1, point=(1, 1.5)), Config(1)),  # type: ignore[arg-type]
    ],
)
def test_field_that_loses_nothing_is_taken_although_its_class_differs(given: Config, read: Config) -> None:
    assert round_trip(Config, given) == read


def test_field_that_would_come_back_as_something_else_is_refused() -> None:
    assert round_trip(Either, Either(["a"])) == Either(["a"])
    assert round_trip(Either, Either([5])) == Either([5])
    assert "would be read back as {'x': [5]}" in failure(Either, Either(["5"])).reason


def test_attribute_that_was_deleted_is_named() -> None:
    value = Config(1)
    del value.depth
    assert "has no field 'depth'" in failure(Config, value).reason


def test_dict_is_taken_for_a_dataclass_in_plain_or_in_python_values() -> None:
    assert round_trip(Config, {"depth": 1, "day": "2024-01-02"}) == Config(1, day=dt.date(2024, 1, 2))
    assert round_trip(Config, {"depth": 1, "day": dt.date(2024, 1, 2)}) == Config(1, day=dt.date(2024, 1, 2))
    assert "missing the following keys from the dataclass fields: ['depth']" in failure(Config, {}).reason
    assert "extra keys that are not in dataclass fields: ['deptth']" in failure(Config, {"deptth": 1}).reason
    assert failure(Config, {"depth": "x"}).path == ".depth"


@pytest.mark.parametrize("value", [None, "x", [1], Inner(1), Config])
def test_what_is_not_an_instance_is_refused(value: Any) -> None:
    assert failure(Config, value).reason.startswith("Expected value of type <class")
    assert failure(Model, value).reason.startswith("Expected value of type <class")


def test_instance_of_a_subclass_is_cut_to_the_declared_record() -> None:
    sub = dataclasses.make_dataclass("Sub", [("more", int, 3)], bases=(Inner,))
    assert round_trip(Inner, sub(1)) == Inner(1)

    class SubModel(Model):
        more: int = 3

    assert round_trip(Model, SubModel(a=1)) == Model(a=1)


def test_post_init_that_fails_is_reported_and_not_raised_bare() -> None:
    @dataclasses.dataclass
    class Picky:
        a: Any = 1

        def __post_init__(self) -> None:
            if self.a is None:
                raise ZeroDivisionError("no a")

    literal = converter_for(Picky).encode(Picky())
    literal.scalar.binary.value = b"\x81\xa1a\xc0"
    with pytest.raises(TypeTransformerFailedError, match="no a"):
        converter_for(Picky).decode(literal)
    assert "no a" in failure(Picky, {"a": None}).reason


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (dataclasses.make_dataclass("D", [("p", Plain)]), "D cannot travel: field 'p' has type .*Plain"),
        (dataclasses.make_dataclass("D", [("o", object)]), "field 'o' has type object"),
        (dataclasses.make_dataclass("D", [("n", "Nowhere")]), "Nowhere"),
        (Dict[int, Plain], "an item has type .*Plain"),
        (Tuple[Plain, int], "cannot travel: Unable to generate pydantic-core schema"),
    ],
)
def test_record_with_a_field_that_can_never_travel_is_refused_as_a_type(annotation: Any, message: str) -> None:
    with pytest.raises(TypeTransformerFailedError, match=message):
        converter_for(annotation)


def test_sets_are_written_in_one_order_whatever_the_hash_seed() -> None:
    code = (
        "from dataclasses import dataclass; from typing import Optional, Set, Tuple; from pydantic import BaseModel\n"
        "from flyte.types._choice import converter_for\n"
        "class M(BaseModel): s: Set[str]\n"
        "@dataclass\n"
        "class C: s: Set[str]; m: M; t: Tuple[Optional[Set[str]], ...]\n"
        "s = {'a', 'b', 'c', 'd', 'e'}\n"
        "print(converter_for(C).encode(C(s, M(s=s), (s, None))).SerializeToString().hex())\n"
    )
    written = {
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in "123"
    }
    assert len(written) == 1


@pytest.mark.parametrize(
    ("annotation", "value", "path", "reason"),
    [
        (Tuple[int, str], (1, 2), "[1]", "Input should be a valid string, got 2 of type int"),
        (Tuple[int, str], (1,), "", "Tuple length 1 doesn't match expected length 2: (1,)"),
        (Tuple[int, str], "ab", "", "Expected value of type <class 'tuple'> but got 'ab'"),
        (Tuple[List[Inner], int], ([Inner("x")], 1), "[0][0].k", "Input should be a valid integer"),  # type: ignore[arg-type]
        (Point, Point("x"), ".x", "Input should be a valid integer"),  # type: ignore[arg-type]
        (Point, {"x": 1, "y": 2.0}, "", "Expected value of type <class"),
        (Point, (1, 2.0, 3), "", "tests.types.test_types_records.Point has 2 fields (x, y), got 3: (1, 2.0, 3)"),
        (Row, {}, "['a']", "Field required: a is missing in {}"),
        (Row, {"a": "q"}, "['a']", "Input should be a valid integer"),
        (Row, {"a": 1, "b": 2}, "['b']", "Input should be a valid string, got 2 of type int"),
        (Row, [1], "", "Expected value of type <class"),
        (Model, {"a": "x"}, ".a", "Failed to coerce dict into <class"),
        (Tuple[bytes, int], (b"\xff", 1), "", "Cannot convert tuple[bytes, int] to plain data"),
    ],
)
def test_wrong_item_of_a_tuple_or_dict_is_named(annotation: Any, value: Any, path: str, reason: str) -> None:
    error = failure(annotation, value)
    assert error.path == path
    assert error.reason.startswith(reason)


def test_model_changed_after_its_making_is_checked_when_written() -> None:
    model = Model(a=1)
    model.a = "x"  # type: ignore[assignment]
    assert failure(Model, model).path == ".a"
    model.a = "5"  # type: ignore[assignment]
    assert round_trip(Model, model) == Model(a=5)


def test_plain_tuple_passes_for_a_named_tuple_and_comes_back_as_one() -> None:
    back = round_trip(Point, (1, 2.0))
    assert (type(back), back) == (Point, Point(1, 2.0))


def test_untyped_named_tuple_keeps_its_fields() -> None:
    pair = collections.namedtuple("pair", "left right")
    back = round_trip(pair, pair(1, "x"))
    assert (type(back), back) == (pair, pair(1, "x"))


def test_absent_key_and_key_with_none_are_told_apart() -> None:
    assert round_trip(Partial, {"key": 1}) == {"key": 1}
    assert round_trip(Partial, {"key": 1, "note": None}) == {"key": 1, "note": None}


class Aliased(BaseModel):
    value: int = Field(alias="theValue")


class EnumValues(BaseModel):
    model_config = ConfigDict(use_enum_values=True)
    color: Color = Color.RED


class Serialized(BaseModel):
    color: Color

    @field_serializer("color")
    def write(self, color: Color) -> str:
        return f"<{color.value}>"

    @field_validator("color", mode="before")
    @classmethod
    def read(cls, text: Any) -> Any:
        return text.strip("<>") if isinstance(text, str) else text


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    when: dt.datetime
    color: Color
    pair: Tuple[int, str]


class Everywhere(BaseModel):
    by_color: Dict[Color, List[Optional[Color]]]
    colors: Set[Color]
    either: Union[Color, int]
    pair: Tuple[Color, int]
    anything: Any = None


class Node(BaseModel):
    color: Color
    children: List[Node] = []


@pytest.mark.parametrize(
    "model",
    [
        Aliased(theValue=3),
        EnumValues(color="green"),
        Serialized(color=Color.GREEN),
        Strict(when=dt.datetime(2024, 1, 1), color=Color.RED, pair=(1, "a")),
        Everywhere(
            by_color={Color.RED: [Color.GREEN, None]}, colors={Color.RED}, either=Color.RED, pair=(Color.GREEN, 1)
        ),
        Node(color=Color.RED, children=[Node(color=Color.GREEN)]),
    ],
    ids=lambda model: type(model).__name__,
)
def test_model_comes_back_equal_whatever_its_configuration(model: BaseModel) -> None:
    assert round_trip(type(model), model) == model


class Opaque:
    pass


class Arbitrary(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    opaque: Opaque


class OddDefault(BaseModel):
    data: bytes = b"\xff"
    more: int = 1


def test_model_without_a_json_schema_is_refused_as_a_type() -> None:
    with pytest.raises(TypeTransformerFailedError, match="Arbitrary cannot travel: Cannot generate a JsonSchema"):
        _ = converter_for(Arbitrary).literal_type


def test_default_without_a_json_form_is_left_out_of_the_schema_without_a_warning() -> None:
    properties = MessageToDict(converter_for(OddDefault).literal_type.metadata)["properties"]
    assert "default" not in properties["data"]
    assert properties["more"]["default"] == 1


def test_enums_of_a_model_are_read_by_name_and_by_value() -> None:
    converter = converter_for(Model)
    literal = converter.encode(Model(a=1))
    for text in (b"\xa5GREEN", b"\xa5green"):
        literal.scalar.binary.value = b"\x82\xa1a\x01\xa5color" + text
        assert converter.decode(literal) == Model(a=1, color=Color.GREEN)


def test_validator_that_breaks_is_reported_and_not_raised_bare() -> None:
    class Fragile(BaseModel):
        a: int = 0

        @field_validator("a")
        @classmethod
        def fail(cls, a: int) -> int:
            if a:
                raise RuntimeError("broken")
            return a

    literal = converter_for(Fragile).encode(Fragile())
    literal.scalar.binary.value = b"\x81\xa1a\x01"
    with pytest.raises(TypeTransformerFailedError, match="RuntimeError: broken"):
        converter_for(Fragile).decode(literal)
    assert "RuntimeError: broken" in failure(Fragile, {"a": 1}).reason
