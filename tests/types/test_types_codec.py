"""All inputs and all outputs of a task: names, defaults, numbers of outputs, and how mistakes read."""

from __future__ import annotations

import dataclasses
import inspect
import time
import timeit
from collections.abc import Callable
from typing import Any, Dict, List, Literal, NamedTuple, Optional, Tuple, get_type_hints

import pytest
from flyteidl2.task.common_pb2 import Inputs, Outputs

from flyte.errors import RuntimeDataValidationError
from flyte.models import NativeInterface
from flyte.types import TypeTransformerFailedError
from flyte.types._choice import converter_for
from flyte.types._codec import InterfaceCodec
from flyte.types._hashing import inputs_hash


@dataclasses.dataclass
class Config:
    depth: int


class Scores(NamedTuple):
    loss: float
    note: str


class Single(NamedTuple):
    only: int


def codec(func: Callable[..., Any], task_name: str = "digits.score") -> InterfaceCodec:
    returned = get_type_hints(func, include_extras=True).get("return")
    return InterfaceCodec(NativeInterface.from_callable(func), task_name, returned)


def score(rows: List[int], rate: float = 1, *, name: Optional[str] = None) -> Tuple[int, str]: ...  # type: ignore[empty-body]


def one(x: int) -> int: ...  # type: ignore[empty-body]


def nothing() -> None: ...


def named(x: int) -> Scores: ...  # type: ignore[empty-body]


def single(x: int) -> Single: ...  # type: ignore[empty-body]


def test_inputs_are_in_the_order_of_the_interface_with_defaults_filled_in() -> None:
    inputs = codec(score).encode_inputs({"name": "n", "rows": [1]})
    assert [each.name for each in inputs.literals] == ["rows", "rate", "name"]
    assert inputs.literals[1].value == converter_for(float).encode(1.0)
    assert codec(score).decode_inputs(inputs) == {"rows": [1], "rate": 1.0, "name": "n"}


def test_bytes_of_one_input_are_those_of_the_format() -> None:
    assert codec(one).encode_inputs({"x": 3}).SerializeToString().hex() == "0a0b0a017812060a040a020803"


def test_task_without_inputs_and_outputs_has_empty_messages() -> None:
    assert codec(nothing).encode_inputs({}) == Inputs()
    assert codec(nothing).encode_outputs(None) == Outputs()
    assert codec(nothing).decode_outputs(Outputs()) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "Missing required inputs: rows."),
        ({"rows": [1], "zzz": 1}, "Too many keyword arguments provided, unknown inputs: 'zzz'."),
        ({"rows": [1], "raet": 1}, "unknown inputs: 'raet' (did you mean 'rate'?)."),
        ({"row": [1]}, "Missing required inputs: rows. Too many keyword arguments provided, unknown inputs: 'row'"),
        ({"row": [1]}, "(did you mean 'rows'?)"),
        ({}, "Task 'digits.score' takes rows: list[int], rate: float, name: str | None."),
    ],
)
def test_wrong_names_of_inputs_are_listed_with_the_near_ones(given: Dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        codec(score).encode_inputs(given)
    assert message in str(caught.value)
    assert not isinstance(caught.value, TypeTransformerFailedError)


def test_wrong_input_says_where_what_and_how_to_fix_it() -> None:
    with pytest.raises(TypeError) as caught:
        codec(score).encode_inputs({"rows": [1, 2, 3, "7a"]})
    assert str(caught.value).splitlines() == [
        "[INPUT_TYPE] task 'digits.score': input 'rows' expects list[int], got str '7a' instead of int at rows[3].",
        "Fix the caller, or the annotation of 'rows'.",
        "Type conversion failed for variable 'rows'.",
        "Expected type: typing.List[int]",
        "Actual type: <class 'list'>",
        "Value received: [1, 2, 3, '7a']",
        "Reason: Expected value of type <class 'int'> but got '7a' of type <class 'str'> (at [3])",
    ]
    assert isinstance(caught.value.__cause__, TypeTransformerFailedError)


def test_wrong_field_of_a_dataclass_is_named_with_the_type_that_belongs_there() -> None:
    def func(config: Config) -> None: ...

    with pytest.raises(TypeError) as caught:
        codec(func).encode_inputs({"config": Config("x")})  # type: ignore[arg-type]
    assert "Config, got str 'x' instead of int at config.depth." in str(caught.value)


def test_int_for_a_float_is_refused_with_the_fix() -> None:
    with pytest.raises(TypeError) as caught:
        codec(score).encode_inputs({"rows": [], "rate": 1})
    head, fix, *_ = str(caught.value).splitlines()
    assert head == "[INPUT_TYPE] task 'digits.score': input 'rate' expects float, got int 1."
    assert fix == "Pass `float(...)` of it."


def test_failure_that_is_no_mismatch_gives_its_reason() -> None:
    def pick(kind: Literal["a", "b"]) -> None: ...

    with pytest.raises(TypeError) as caught:
        codec(pick).encode_inputs({"kind": "c"})
    assert str(caught.value).startswith(
        "[INPUT_TYPE] task 'digits.score': input 'kind' expects Literal['a', 'b'], but at kind: Value 'c' is not one of"
    )


def test_huge_value_is_cut_in_the_message() -> None:
    with pytest.raises(TypeError) as caught:
        codec(score).encode_inputs({"rows": [*range(100_000), "x"]})
    assert len(str(caught.value)) < 600
    with pytest.raises(TypeError) as caught:
        codec(one).encode_inputs({"x": "y" * 100_000})
    assert len(str(caught.value)) < 1_000


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def test_value_without_a_repr_is_refused_like_any_other() -> None:
    with pytest.raises(TypeError, match=r"got .*Unprintable <Unprintable instance at"):
        codec(one).encode_inputs({"x": Unprintable()})


def test_outputs_come_back_as_they_were_returned() -> None:
    for func, value in (
        (one, 3),
        (score, (1, "a")),
        (named, Scores(0.5, "n")),
        (single, Single(3)),
        (nothing, None),
    ):
        each = codec(func)
        back = each.decode_outputs(each.encode_outputs(value))
        assert (type(back), back) == (type(value), value)


def test_outputs_are_named_by_position_or_by_the_fields_of_the_named_tuple() -> None:
    assert [each.name for each in codec(score).encode_outputs((1, "a")).literals] == ["o0", "o1"]
    assert [each.name for each in codec(named).encode_outputs((0.5, "n")).literals] == ["loss", "note"]


def test_tuple_returned_for_one_output_that_is_a_tuple_stays_whole() -> None:
    def func() -> tuple: ...  # type: ignore[type-arg, empty-body]

    assert codec(func).decode_outputs(codec(func).encode_outputs((1, 2))) == (1, 2)


@pytest.mark.parametrize(
    ("func", "value", "message"),
    [
        (nothing, 3, "Expected no outputs but got 3 of type int"),
        (score, (1, "a", 2), "Received 3 outputs but return annotation has 2 outputs specified. "),
        (score, (1,), "Received 1 outputs but return annotation has 2 outputs specified. "),
        (score, 3, "Received 3 of type int but return annotation has 2 outputs specified. "),
        (score, None, "Return a tuple of (o0: int, o1: str)"),
        (one, "x", "[OUTPUT_TYPE] task 'digits.score': output 'o0' expects int, got str 'x'."),
        (one, "x", "Fix the task, or the annotation of 'o0'."),
        (named, Scores(1, "n"), "output 'loss' expects float, got int 1."),
        (one, None, "output 'o0' expects int, got None."),
    ],
)
def test_wrong_result_is_refused_with_task_and_output(func: Callable[..., Any], value: Any, message: str) -> None:
    with pytest.raises(RuntimeDataValidationError) as caught:
        codec(func).encode_outputs(value)
    assert message in str(caught.value)
    assert "task digits.score" in str(caught.value)
    assert caught.value.code == "DataValidationError"


def test_recorded_input_that_cannot_be_read_names_task_and_input() -> None:
    inputs = codec(one).encode_inputs({"x": 3})
    inputs.literals[0].value.scalar.primitive.string_value = "y"
    with pytest.raises(TypeTransformerFailedError) as caught:
        codec(one).decode_inputs(inputs)
    assert "Error converting input 'x' of task 'digits.score':" in str(caught.value)
    assert "Exception: Cannot convert literal string 'y' to int" in str(caught.value)


def test_recorded_outputs_that_cannot_be_read_name_task_and_output() -> None:
    outputs = codec(one).encode_outputs(3)
    outputs.literals[0].value.scalar.primitive.string_value = "y"
    with pytest.raises(RuntimeDataValidationError, match="task digits.score variable o0"):
        codec(one).decode_outputs(outputs)
    with pytest.raises(RuntimeDataValidationError, match=r"1 outputs are recorded \(o0\), not 2"):
        codec(score).decode_outputs(outputs)


def test_input_that_the_record_lacks_gets_its_default() -> None:
    inputs = codec(score).encode_inputs({"rows": [1]})
    del inputs.literals[1:]
    assert codec(score).decode_inputs(inputs) == {"rows": [1], "rate": 1.0, "name": None}
    del inputs.literals[0]
    with pytest.raises(ValueError, match="Missing required inputs: rows"):
        codec(score).decode_inputs(inputs)


def test_recorded_input_that_the_task_no_longer_has_is_named() -> None:
    inputs = codec(one).encode_inputs({"x": 3})
    with pytest.raises(ValueError, match="unknown inputs: 'x'"):
        codec(nothing).decode_inputs(inputs)


def test_default_of_a_deployed_task_is_used_as_the_literal_it_is() -> None:
    default = converter_for(int).encode(7)
    interface = NativeInterface.from_types({"x": (int, NativeInterface.has_default)}, {}, {"x": default})
    remote = InterfaceCodec(interface, "t")
    inputs = remote.encode_inputs({})
    assert inputs.literals[0].value == default
    assert remote.decode_inputs(inputs) == remote.decode_inputs(Inputs()) == {"x": 7}


def test_codec_blocks_when_one_of_its_types_may_do_input_or_output() -> None:
    def plain(a: int, b: List[Config]) -> Dict[str, float]: ...  # type: ignore[empty-body]

    def pickled(a: int) -> bytes: ...  # type: ignore[empty-body]

    assert not codec(plain).blocking
    assert codec(pickled).blocking


def test_interface_hash_is_that_of_the_official_release_and_ignores_docstrings() -> None:
    def func(b: int, a: str = "x", *, z: Optional[float] = None) -> Tuple[int, str]: ...  # type: ignore[empty-body]

    def described(b: int, a: str = "x", *, z: Optional[float] = None) -> Tuple[int, str]:  # type: ignore[empty-body]
        """Does it.

        Args:
            a: The a.
        """

    assert (
        codec(func).interface_hash == codec(described).interface_hash == "SKlNdj7Oa+xZJWOV6DhrfaoC8l5AOKSaMLc3mksdYe8="
    )
    assert codec(nothing).interface_hash == "j44Ly/GI2FgswKx1w3LUwxY0q/AlHmyoLxfXsDBc9H8="
    assert [each.key for each in codec(func).typed_interface.inputs.variables] == ["a", "b", "z"]
    assert codec(one).interface_hash != codec(single).interface_hash


def test_parameter_without_annotation_takes_anything() -> None:
    interface = NativeInterface({"x": (inspect.Parameter.empty, inspect.Parameter.empty)}, {})
    each = InterfaceCodec(interface, "t")
    for value in (1, None, [Config(1)]):
        assert each.decode_inputs(each.encode_inputs({"x": value})) == {"x": value}


def test_call_of_a_small_task_costs_microseconds() -> None:
    each = codec(one)
    inputs, outputs = each.encode_inputs({"x": 3}), each.encode_outputs(3)

    def call() -> None:
        each.encode_inputs({"x": 3})
        inputs_hash(inputs)
        each.decode_inputs(inputs)
        each.encode_outputs(3)
        each.decode_outputs(outputs)

    # About 7 microseconds where this was written; the bound only catches work that is done per call by mistake.
    assert min(timeit.repeat(call, number=1_000, repeat=5, timer=time.process_time)) / 1_000 < 60e-6
