"""Python types guessed from literal types, and the interfaces of tasks whose code is not here."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import inspect
import logging
import typing
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, TypedDict, Union

import pytest
from flyteidl2.core.interface_pb2 import Parameter, TypedInterface, Variable, VariableEntry
from flyteidl2.core.types_pb2 import LiteralType, SimpleType
from flyteidl2.task.common_pb2 import NamedParameter
from google.protobuf.struct_pb2 import Struct
from pydantic import BaseModel

from flyte.models import NativeInterface
from flyte.types import FlytePickle, TypeEngine, guess_interface
from flyte.types._choice import converter_for


class Color(enum.Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: float


class Row(TypedDict):
    a: int


@dataclasses.dataclass
class Inner:
    k: int


@dataclasses.dataclass
class Config:
    depth: int
    rate: float = 0.5
    steps: int = 3
    name: Optional[str] = None
    sizes: List[int] = dataclasses.field(default_factory=list)
    weights: Dict[str, float] = dataclasses.field(default_factory=dict)
    color: Color = Color.RED
    inner: Optional[Inner] = None
    inners: List[Inner] = dataclasses.field(default_factory=list)
    anything: Any = None


@dataclasses.dataclass
class Tree:
    value: int
    children: List[Tree] = dataclasses.field(default_factory=list)


class Model(BaseModel):
    a: int
    inner: Optional[Inner] = None
    names: List[str] = []
    flag: bool = True


def guess(annotation: Any) -> Any:
    return TypeEngine.guess_python_type(converter_for(annotation).literal_type)


@pytest.mark.parametrize(
    ("annotation", "guessed"),
    [
        (int, int),
        (float, float),
        (str, str),
        (bool, bool),
        (dt.datetime, dt.datetime),
        (dt.date, dt.datetime),
        (dt.timedelta, dt.timedelta),
        (type(None), type(None)),
        (list[int], List[int]),
        (dict[str, List[int]], Dict[str, List[int]]),
        (Union[int, str], Union[int, str]),
        (Optional[int], Optional[int]),
        (dict, dict),
        (Dict[int, str], dict),
    ],
)
def test_type_is_guessed_from_its_literal_type(annotation: Any, guessed: Any) -> None:
    assert guess(annotation) == guessed


def test_pickled_type_is_guessed_as_a_pickle() -> None:
    logging.disable(logging.WARNING)
    assert guess(set) is FlytePickle
    assert guess(List[Any]) == List[FlytePickle]
    logging.disable(logging.NOTSET)


def test_enum_is_guessed_with_its_names_as_names_and_values() -> None:
    guessed = guess(Color)
    assert (guessed.__name__, [(member.name, member.value) for member in guessed]) == ("DynamicEnum", [("RED", "RED")])
    assert converter_for(guessed).decode(converter_for(Color).encode(Color.RED)).name == "RED"


def test_dataclass_is_made_from_its_schema() -> None:
    guessed: Any = guess(Config)
    assert dataclasses.is_dataclass(guessed)
    guessed = guess(Config)
    assert guessed.__name__ == "Config"
    hints = typing.get_type_hints(guessed)
    inner: Any = hints["inners"].__args__[0]
    assert hints == {
        "depth": int,
        "rate": float,
        "steps": int,
        "name": Optional[str],
        "sizes": List[int],
        "weights": Dict[str, float],
        "color": str,
        "inner": Optional[inner],
        "inners": List[inner],
        "anything": Any,
    }
    made = guessed(depth=1)
    assert (made.rate, made.steps, made.sizes, made.weights, made.color) == (0.5, 3, [], {}, "red")
    assert type(made.steps) is int


def test_guessed_records_read_and_write_the_values_of_the_real_ones() -> None:
    config = Config(1, sizes=[1], inner=Inner(2), inners=[Inner(3)], anything=[1, "a"])
    for annotation, value in ((Config, config), (Model, Model(a=1, inner=Inner(2))), (Tree, Tree(1, [Tree(2)]))):
        real, guessed = converter_for(annotation), converter_for(guess(annotation))
        read = guessed.decode(real.encode(value))
        assert real.decode(guessed.encode(read)) == value


@pytest.mark.parametrize(
    ("annotation", "title"),
    [
        (Model, "Model"),
        (Tuple[int, str], "TupleWrapper_Tuple"),
        (Point, "NamedTupleWrapper_Point"),
        (Row, "TypedDictWrapper_Row"),
    ],
)
def test_model_and_tuples_are_guessed_as_models(annotation: Any, title: str) -> None:
    guessed = guess(annotation)
    assert issubclass(guessed, BaseModel)
    assert guessed.__name__ == title


def test_same_literal_type_gives_the_same_class() -> None:
    assert guess(Config) is guess(Config)


@pytest.mark.parametrize(
    "literal_type",
    [
        converter_for(Struct).literal_type,
        LiteralType(),
        LiteralType(simple=SimpleType.ERROR),
    ],
)
def test_literal_type_without_python_type_is_refused(literal_type: LiteralType) -> None:
    with pytest.raises(ValueError, match="No transformers could reverse Flyte literal type"):
        TypeEngine.guess_python_type(literal_type)


def variables(**annotations: Any) -> List[VariableEntry]:
    return [
        VariableEntry(key=name, value=Variable(type=converter_for(annotation).literal_type))
        for name, annotation in annotations.items()
    ]


def test_interface_of_a_deployed_task_has_guessed_types_and_marks_defaults() -> None:
    typed = TypedInterface()
    typed.inputs.variables.extend(variables(a=int, b=List[str]))
    typed.outputs.variables.extend(variables(o0=float))
    default = converter_for(int).encode(3)
    interface = guess_interface(typed, [NamedParameter(name="a", parameter=Parameter(default=default))])
    assert interface.inputs == {
        "a": (int, NativeInterface.has_default),
        "b": (List[str], inspect.Parameter.empty),
    }
    assert interface.outputs == {"o0": float}
    assert interface._remote_defaults == {"a": default}


def test_named_tuple_becomes_variables() -> None:
    entries = TypeEngine.named_tuple_to_variable_map(Point).variables
    assert [(each.key, each.value.type.simple, each.value.description) for each in entries] == [
        ("x", SimpleType.INTEGER, "0"),
        ("y", SimpleType.FLOAT, "1"),
    ]
