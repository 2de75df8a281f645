"""Interfaces read from functions and from types, and calls named by them."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, Dict, List, Literal, NamedTuple, Optional, Tuple

import cloudpickle
import pytest

from flyte.errors import TaskDefinitionError
from flyte.models import NativeInterface
from flyte.models.signatures import StringLiteral, literal_enum

EMPTY = inspect.Parameter.empty


def interface(func: Callable[..., Any]) -> NativeInterface:
    return NativeInterface.from_callable(func)


def returning(annotation: Any) -> Callable[..., Any]:
    def func() -> None: ...

    func.__annotations__ = {} if annotation is EMPTY else {"return": annotation}
    return func


class Scores(NamedTuple):
    loss: float
    note: Annotated[str, "free text"]


def test_inputs_are_types_and_defaults_in_the_order_of_the_parameters() -> None:
    def func(a: int, b: str = "x", /, c: List[int] | None = None, *, d: Annotated[float, "m"]) -> None: ...

    assert list(interface(func).inputs.items()) == [
        ("a", (int, EMPTY)),
        ("b", (str, "x")),
        ("c", (Optional[List[int]], None)),
        ("d", (Annotated[float, "m"], EMPTY)),
    ]


def test_async_functions_and_lambdas_have_interfaces() -> None:
    async def func(a: int) -> int:
        return a

    assert interface(func).get_input_types() == {"a": int}
    assert interface(func).outputs == {"o0": int}
    assert interface(lambda: 1).inputs == {}


def test_bound_method_has_no_self_and_a_plain_one_has() -> None:
    class Model:
        def fit(self, rows: int) -> None: ...

    assert list(interface(Model().fit).inputs) == ["rows"]
    assert list(interface(Model.fit).inputs) == ["self", "rows"]


def test_parameter_without_annotation_is_reported_and_has_no_type(caplog: pytest.LogCaptureFixture) -> None:
    def func(a, b=2): ...  # type: ignore[no-untyped-def]

    with caplog.at_level(logging.WARNING, logger="flyte"):
        assert interface(func).inputs == {"a": (EMPTY, EMPTY), "b": (EMPTY, 2)}
    assert "Function func has parameter a without type annotation. Data will be pickled." in caplog.text


@pytest.mark.parametrize("stars", ["*rows", "**rows"])
def test_variable_parameters_are_refused_by_name(stars: str) -> None:
    func = eval(f"lambda {stars}: None")
    with pytest.raises(ValueError, match="cannot have variable positional or keyword arguments") as caught:
        interface(func)
    assert f"'{stars}'" in str(caught.value)


def test_annotation_that_names_nothing_is_an_error_that_names_the_function() -> None:
    def func(a: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(NameError, match="Missing") as caught:
        interface(func)
    assert "'func'" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("annotation", "outputs"),
    [
        (EMPTY, {}),
        (None, {}),
        (type(None), {}),
        (Tuple[()], {}),
        (int, {"o0": int}),
        (List[int], {"o0": List[int]}),
        (int | None, {"o0": int | None}),
        (Any, {"o0": Any}),
        (tuple, {"o0": tuple}),
        (Tuple[int, str], {"o0": int, "o1": str}),
        (tuple[int, str], {"o0": int, "o1": str}),
        ((int, str), {"o0": int, "o1": str}),
        (Scores, {"loss": float, "note": Annotated[str, "free text"]}),
    ],
    ids=str,
)
def test_outputs_follow_the_return_annotation(annotation: Any, outputs: Dict[str, Any]) -> None:
    found = interface(returning(annotation))
    assert found.outputs == outputs
    assert found.has_outputs() is bool(outputs)


@pytest.mark.parametrize("annotation", [Tuple[int], tuple[int], (int,), tuple[int, ...], Tuple[str, ...]], ids=str)
def test_tuple_of_one_or_of_any_length_is_refused_with_its_text(annotation: Any) -> None:
    with pytest.raises(TypeError, match=re.escape(repr(annotation))) as caught:
        interface(returning(annotation))
    assert isinstance(caught.value, TaskDefinitionError)


def test_has_outputs_is_false_without_a_dictionary() -> None:
    nothing: Any = None
    assert not NativeInterface({}, nothing).has_outputs()


def test_docstring_is_taken_when_there_is_one() -> None:
    def documented(a: int) -> None:
        """Does it.

        Args:
            a: How often.
        """

    docstring = interface(documented).docstring
    assert docstring is not None
    assert docstring.input_descriptions == {"a": "How often."}
    assert interface(lambda: 1).docstring is None


def test_literal_of_strings_becomes_an_enum_and_its_default_stays_a_string() -> None:
    def func(mode: Literal["fast", "exact"] = "fast") -> Literal["ok"]: ...  # type: ignore[empty-body]

    input_type, default = interface(func).inputs["mode"]
    assert issubclass(input_type, StringLiteral)
    assert input_type.__name__ == interface(func).outputs["o0"].__name__ == "LiteralEnum"
    assert {each.name: each.value for each in input_type} == {"FAST": "fast", "EXACT": "exact"}
    assert default == "fast"


def test_literal_in_a_returned_tuple_becomes_an_enum_and_deeper_ones_stay() -> None:
    class Named(NamedTuple):
        a: Literal["x"]

    def func(a: Optional[Literal["x"]], b: List[Literal["x"]]) -> Tuple[int, Literal["x"]]: ...  # type: ignore[empty-body]

    assert interface(func).get_input_types() == {"a": Optional[Literal["x"]], "b": List[Literal["x"]]}
    assert interface(func).outputs == {"o0": int, "o1": literal_enum(("x",))}
    assert interface(returning(Tuple[Any, Named])).outputs["o1"] is Named


def test_literal_of_other_values_is_any(caplog: pytest.LogCaptureFixture) -> None:
    def func(a: Literal[1, "x"]) -> None: ...

    with caplog.at_level(logging.WARNING, logger="flyte"):
        assert interface(func).get_input_types() == {"a": Any}
    assert "Literal[1, 'x']" in caplog.text


def test_literal_values_that_differ_in_case_only_collapse_and_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="flyte"):
        assert {each.name: each.value for each in literal_enum(("q", "Q"))} == {"Q": "Q"}
    assert "['q'] cannot be told apart" in caplog.text


def test_empty_literal_value_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid enum member"):
        literal_enum(("a", ""))


def test_enum_is_kept_as_it_is() -> None:
    class Color(Enum):
        RED = "red"

    assert NativeInterface.from_types({"c": Color}, {}).get_input_types() == {"c": Color}


def test_interfaces_of_equal_functions_are_equal_and_survive_a_pickle() -> None:
    def func(mode: Literal["fast"], n: int = 1) -> Scores:
        """Doc."""
        raise NotImplementedError

    found = interface(func)
    assert found == interface(func)
    assert repr(cloudpickle.loads(cloudpickle.dumps(found))) == repr(found)


def test_interface_has_no_hash() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(NativeInterface({}, {}))


def test_plain_types_have_no_defaults() -> None:
    found = NativeInterface.from_types({"a": int, "b": List[str]}, {"o0": int})
    assert found == NativeInterface({"a": (int, EMPTY), "b": (List[str], EMPTY)}, {"o0": int})
    assert found.required_inputs() == ["a", "b"]


def test_pairs_say_which_inputs_have_a_default() -> None:
    default: Any = object()
    has_default = NativeInterface.has_default
    found = NativeInterface.from_types({"a": (int, has_default), "b": (int, EMPTY)}, {}, {"a": default})
    assert found.required_inputs() == ["b"]
    assert found.num_required_inputs() == 1
    assert found._remote_defaults == {"a": default}
    assert repr(found) == "(a: int = ..., b: int):"


@pytest.mark.parametrize("default_inputs", [None, {}, {"b": object()}])
def test_default_that_is_not_given_is_refused_by_name(default_inputs: Any) -> None:
    with pytest.raises(ValueError, match="input 'a' has a default"):
        NativeInterface.from_types({"a": (int, NativeInterface.has_default)}, {}, default_inputs)


TWO = NativeInterface.from_types({"a": int, "b": str}, {})


def test_positional_arguments_are_named_after_the_keywords() -> None:
    assert list(TWO.convert_to_kwargs(1, b="x").items()) == [("b", "x"), ("a", 1)]
    assert TWO.convert_to_kwargs(1, "x") == {"a": 1, "b": "x"}
    assert TWO.convert_to_kwargs() == {}


def test_positional_argument_wins_over_the_keyword() -> None:
    assert TWO.convert_to_kwargs(1, a=5) == {"a": 1}


def test_unknown_keyword_passes_while_there_are_not_too_many() -> None:
    assert TWO.convert_to_kwargs(c=3) == {"c": 3}
    with pytest.raises(ValueError, match=r"Too many keyword arguments provided, got \['c', 'a', 'b'\].*\['a', 'b'\]"):
        TWO.convert_to_kwargs(1, "x", c=3)


def test_too_many_positional_arguments_are_refused_with_the_inputs() -> None:
    with pytest.raises(ValueError, match=r"Too many positional arguments provided, got 3 for 2 .*\['a', 'b'\]"):
        TWO.convert_to_kwargs(1, 2, 3)


def test_input_may_be_named_self() -> None:
    assert NativeInterface.from_types({"self": int}, {}).convert_to_kwargs(self=1) == {"self": 1}


def full(
    a: int, b: str = "x", c: List[int] = [1], d: int | None = None, e: Literal["p"] = "p"
) -> Tuple[int, Dict[str, Any]]:
    return 1, {}


@pytest.mark.parametrize(
    ("func", "text"),
    [
        (
            full,
            "(a: int, b: str = x, c: typing.List[int] = [1], d: int | None = None, e: LiteralEnum = p)"
            " -> (o0: int, o1: typing.Dict[str, typing.Any]):",
        ),
        (returning(int), "() -> o0: int:"),
        (returning(Scores), "() -> (loss: float, note: typing.Annotated[str, 'free text']):"),
        (returning(None), "():"),
    ],
    ids=["full", "one", "named", "none"],
)
def test_repr_is_a_signature(func: Callable[..., Any], text: str) -> None:
    assert repr(interface(func)) == text
