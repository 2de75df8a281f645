"""Random values of random nested types come back equal; random bytes are refused, never worse."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import math
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, TypedDict, Union

import pytest
from flyteidl2.core.literals_pb2 import Literal
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from flyte.types import TypeTransformerFailedError
from flyte.types._choice import converter_for

UTC = dt.UTC


class Color(enum.Enum):
    RED = "red"
    GREEN = "green"


class Point(NamedTuple):
    x: int
    y: float


class Row(TypedDict):
    a: int
    b: Optional[str]


@dataclasses.dataclass
class Inner:
    k: int
    f: float
    s: str
    e: Color
    day: dt.date
    wait: dt.timedelta
    data: bytes
    many: Tuple[int, ...]


@dataclasses.dataclass
class Config:
    inner: Inner
    inners: List[Inner]
    maybe: Optional[Inner]
    by_name: Dict[str, Inner]
    by_number: Dict[int, str]
    point: Point
    either: Union[int, str]


class Model(BaseModel):
    a: int
    f: float
    e: Color
    maybe: Optional[str]
    day: dt.date
    models: List[Model] = []


integers = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False)
texts = st.text(st.characters(codec="utf-8"), max_size=8)
moments = st.datetimes(timezones=st.just(UTC))
days = st.dates()
waits = st.timedeltas()
colors = st.sampled_from(Color)
# Seconds in a float hold microseconds only up to about 285 years.
short_waits = st.integers(-(2**40), 2**40).map(lambda microseconds: dt.timedelta(microseconds=microseconds))

inners = st.builds(
    Inner,
    k=integers,
    f=floats,
    s=texts,
    e=colors,
    day=days,
    wait=short_waits,
    data=st.binary(max_size=8),
    many=st.lists(integers, max_size=3).map(tuple),
)
points = st.builds(Point, integers, floats)
configs = st.builds(
    Config,
    inner=inners,
    inners=st.lists(inners, max_size=2),
    maybe=st.none() | inners,
    by_name=st.dictionaries(texts, inners, max_size=2),
    by_number=st.dictionaries(integers, texts, max_size=2),
    point=points,
    either=integers | texts,
)
models = st.recursive(
    st.builds(Model, a=integers, f=floats, e=colors, maybe=st.none() | texts, day=days),
    lambda children: st.builds(
        Model, a=integers, f=floats, e=colors, maybe=st.none(), day=days, models=st.lists(children, max_size=2)
    ),
    max_leaves=4,
)
rows = st.fixed_dictionaries({"a": integers, "b": st.none() | texts})
plain = st.recursive(
    st.none() | st.booleans() | integers | floats | texts | st.binary(max_size=4),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts | integers, children, max_size=3),
    max_leaves=10,
)

LEAVES: List[Tuple[Any, st.SearchStrategy[Any]]] = [
    (int, integers),
    (float, floats),
    (str, texts),
    (bool, st.booleans()),
    (type(None), st.none()),
    (dt.datetime, moments),
    (dt.date, days),
    (dt.timedelta, waits),
    (Color, colors),
    (Config, configs),
    (Model, models),
    (Point, points),
    (Row, rows),
    (dict, st.dictionaries(texts, plain, max_size=3)),
    (Tuple[int, Color, Optional[str]], st.tuples(integers, colors, st.none() | texts)),
]


def list_of(inner: Tuple[Any, st.SearchStrategy[Any]]) -> Tuple[Any, st.SearchStrategy[Any]]:
    item: Any = inner[0]
    return List[item], st.lists(inner[1], max_size=3)


def dict_of(inner: Tuple[Any, st.SearchStrategy[Any]]) -> Tuple[Any, st.SearchStrategy[Any]]:
    item: Any = inner[0]
    return Dict[str, item], st.dictionaries(texts, inner[1], max_size=3)


def optional_of(inner: Tuple[Any, st.SearchStrategy[Any]]) -> Tuple[Any, st.SearchStrategy[Any]]:
    return Optional[inner[0]], st.none() | inner[1]


TYPES = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: inner.map(list_of) | inner.map(dict_of) | inner.map(optional_of),
    max_leaves=3,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_value_comes_back_equal_through_its_bytes(data: st.DataObject) -> None:
    annotation, values = data.draw(TYPES)
    value = data.draw(values)
    converter = converter_for(annotation)
    wire = converter.encode(value).SerializeToString(deterministic=True)
    back = converter.decode(Literal.FromString(wire))
    assert back == value
    assert converter.encode(back).SerializeToString(deterministic=True) == wire
    converter.check(value)


@settings(max_examples=300, deadline=None)
@given(st.one_of([values.map(lambda value: (value,)) for _, values in LEAVES]), st.sampled_from(LEAVES))
def test_value_of_one_type_is_taken_for_another_only_if_it_can_be_read_back(
    value: Tuple[Any], leaf: Tuple[Any, Any]
) -> None:
    converter = converter_for(leaf[0])
    try:
        literal = converter.encode(value[0])
    except TypeTransformerFailedError:
        return
    back = converter.decode(literal)
    assert converter.decode(converter.encode(back)) == back


def is_same_float(one: Any, other: Any) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


@given(st.floats())
def test_every_float_survives(value: float) -> None:
    converter = converter_for(float)
    assert is_same_float(converter.decode(converter.encode(value)), value)


ANNOTATIONS = [leaf[0] for leaf in LEAVES] + [List[int], Dict[str, Config], Optional[Model], Union[int, List[str], Row]]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(ANNOTATIONS))
def test_random_literal_is_read_or_refused(wire: bytes, annotation: Any) -> None:
    try:
        literal = Literal.FromString(wire)
    except DecodeError:
        return
    read_or_refuse(annotation, literal)


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=60) | plain.map(lambda value: converter_for(dict).encode({"v": value}).scalar.binary.value[3:])
)
@pytest.mark.parametrize("annotation", ANNOTATIONS, ids=str)
def test_random_document_is_read_or_refused(annotation: Any, document: bytes) -> None:
    literal = Literal()
    literal.scalar.binary.tag = "msgpack"
    literal.scalar.binary.value = document
    read_or_refuse(annotation, literal)


def read_or_refuse(annotation: Any, literal: Literal) -> None:
    try:
        converter_for(annotation).decode(literal)
    except TypeTransformerFailedError:
        return


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_flipped_byte_in_a_literal_is_read_or_refused(data: st.DataObject) -> None:
    annotation, values = data.draw(st.sampled_from(LEAVES))
    wire = bytearray(converter_for(annotation).encode(data.draw(values)).SerializeToString(deterministic=True))
    position = data.draw(st.integers(0, len(wire) - 1))
    wire[position] = data.draw(st.integers(0, 255))
    try:
        literal = Literal.FromString(bytes(wire))
    except DecodeError:
        return
    read_or_refuse(annotation, literal)
