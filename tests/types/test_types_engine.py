"""`TypeEngine` by hand: single values, maps of literals, HTML."""

from __future__ import annotations

import datetime as dt
import pickle
from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional, Tuple

import pytest
from flyteidl2.core.interface_pb2 import Variable
from flyteidl2.core.literals_pb2 import Literal, LiteralMap
from flyteidl2.core.types_pb2 import LiteralType, SimpleType
from flyteidl2.task.common_pb2 import Inputs, NamedLiteral, Outputs

from flyte.types import Renderable, TypeEngine, TypeTransformerFailedError, literal_string_repr
from flyte.types._choice import converter_for


def literal(annotation: Any, value: Any) -> Literal:
    return converter_for(annotation).encode(value)


async def test_value_goes_to_a_literal_and_back() -> None:
    cases: List[Tuple[Any, Any]] = [(List[int], [1]), (bytes, b"x"), (Optional[str], None)]
    for annotation, value in cases:
        made = await TypeEngine.to_literal(value, annotation, TypeEngine.to_literal_type(annotation))
        assert await TypeEngine.to_python_value(made, annotation) == value


def test_literal_type_is_a_copy() -> None:
    TypeEngine.to_literal_type(int).simple = SimpleType.STRING
    assert TypeEngine.to_literal_type(int).simple == SimpleType.INTEGER


def test_checks_refuse_what_converting_would() -> None:
    TypeEngine.to_literal_checks([1], List[int], LiteralType())
    with pytest.raises(TypeTransformerFailedError):
        TypeEngine.to_literal_checks(["x"], List[int], LiteralType())


async def test_transformer_of_a_built_in_type_does_what_the_engine_does() -> None:
    transformer = TypeEngine.get_transformer(List[int])
    assert (transformer.name, transformer.python_type) == ("Typed List", list)
    made = await transformer.to_literal([1], List[int], transformer.get_literal_type(List[int]))
    assert await transformer.to_python_value(made, List[int]) == [1]
    assert transformer.guess_python_type(LiteralType(simple=SimpleType.INTEGER)) is int
    with pytest.raises(TypeTransformerFailedError):
        transformer.assert_type(List[int], ["x"])


def test_document_is_read_by_any_transformer() -> None:
    transformer = TypeEngine.get_transformer(dict)
    binary = literal(dict, {"a": 1}).scalar.binary
    assert transformer.from_binary_idl(binary, dict) == {"a": 1}
    binary.tag = "zz"
    with pytest.raises(TypeTransformerFailedError, match="Unsupported binary format `zz`"):
        transformer.from_binary_idl(binary, dict)
    assert not transformer.schema_match({})


async def test_dict_becomes_a_map_of_literals_by_hint_or_by_class() -> None:
    made = await TypeEngine.dict_to_literal_map({"x": 1, "y": None, "z": 2}, {"y": Optional[int]})  # type: ignore[dict-item]
    assert made.literals["x"] == literal(int, 1)
    assert made.literals["y"] == literal(Optional[int], None)


async def test_value_of_a_dict_that_does_not_fit_is_named() -> None:
    with pytest.raises(TypeError) as caught:
        await TypeEngine.dict_to_literal_map({"x": [1, "a"]}, {"x": List[int]})
    assert str(caught.value) == (
        "Type conversion failed for variable 'x'.\n"
        "Expected type: typing.List[int]\n"
        "Actual type: <class 'list'>\n"
        "Value received: [1, 'a']\n"
        "Reason: Expected value of type <class 'int'> but got 'a' of type <class 'str'> (at [1])"
    )
    assert isinstance(caught.value.__cause__, TypeTransformerFailedError)


async def test_map_of_literals_becomes_arguments() -> None:
    made = LiteralMap(literals={"x": literal(int, 1), "y": literal(str, "a")})
    assert await TypeEngine.literal_map_to_kwargs(made, {"x": int, "y": str}) == {"x": 1, "y": "a"}
    variable = Variable(type=LiteralType(simple=SimpleType.INTEGER))
    one = LiteralMap(literals={"x": literal(int, 1)})
    assert await TypeEngine.literal_map_to_kwargs(one, literal_types={"x": variable}) == {"x": 1}


async def test_map_that_does_not_fit_is_refused_with_the_input() -> None:
    made = LiteralMap(literals={"x": literal(str, "a")})
    with pytest.raises(
        TypeTransformerFailedError, match=r"Error converting input 'x':\nLiteral value: scalar"
    ) as caught:
        await TypeEngine.literal_map_to_kwargs(made, {"x": int})
    assert "Expected Python type: <class 'int'>\nException: Cannot convert literal string 'a' to int" in str(
        caught.value
    )
    with pytest.raises(ValueError, match="Received more input values 1 than allowed by the input spec 0"):
        await TypeEngine.literal_map_to_kwargs(made, {})
    with pytest.raises(ValueError, match="Unknown input 'x'; the inputs are y"):
        await TypeEngine.literal_map_to_kwargs(made, {"y": int})
    with pytest.raises(ValueError, match="needs python_types or literal_types"):
        await TypeEngine.literal_map_to_kwargs(made)


async def test_offloaded_literal_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "literal.pb"
    path.write_bytes(literal(List[int], [1, 2]).SerializeToString())
    offloaded = Literal()
    offloaded.offloaded_metadata.uri = str(path)
    assert await TypeEngine.to_python_value(offloaded, List[int]) == [1, 2]
    path.write_bytes(b"\xff")
    with pytest.raises(TypeTransformerFailedError, match="holds no literal"):
        await TypeEngine.to_python_value(offloaded, List[int])
    for uri, message in ((str(tmp_path / "none"), "nothing there"), ("zzz://b/k", "Protocol not known")):
        offloaded.offloaded_metadata.uri = uri
        with pytest.raises(TypeTransformerFailedError, match=message):
            await TypeEngine.to_python_value(offloaded, List[int])


class Bold:
    def to_html(self, python_value: Any) -> str:
        return f"<b>{python_value}</b>"


def test_html_of_a_value_is_escaped_text_or_what_the_annotation_renders() -> None:
    assert TypeEngine.to_html("<a>", str) == "&lt;a&gt;"
    assert isinstance(Bold(), Renderable)
    assert TypeEngine.to_html(3, Annotated[int, Bold()]) == "<b>3</b>"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("annotation", "value", "plain"),
    [
        (int, 3, 3),
        (float, 1.5, 1.5),
        (str, "x", "x"),
        (bool, False, False),
        (type(None), None, None),
        (dt.datetime, dt.datetime(2024, 1, 2), "2024-01-02T00:00:00"),
        (dt.timedelta, dt.timedelta(days=1), 86400),
        (dt.timedelta, dt.timedelta(seconds=1.5), 1.5),
        (List[List[int]], [[1], []], [[1], []]),
        (Dict[str, int], {"b": 1, "a": 2}, {"a": 2, "b": 1}),
        (dict, {"a": [1, None]}, '{"a": [1, null]}'),
        (Optional[int], 3, 3),
        (bytes, b"x", "b'gAWVBQAAAAAAAABDAXiULg=='"),
    ],
)
def test_literal_as_a_printable_value(annotation: Any, value: Any, plain: Any) -> None:
    assert literal_string_repr(literal(annotation, value)) == plain


def test_messages_of_literals_print_by_name() -> None:
    named = NamedLiteral(name="x", value=literal(int, 3))
    for message in (named, Inputs(literals=[named]), Outputs(literals=[named]), {"x": literal(int, 3)}):
        assert literal_string_repr(message) == {"x": 3}
    assert literal_string_repr(LiteralMap(literals={"x": literal(int, 3)})) == {"x": 3}
    blob = Literal()
    blob.scalar.blob.uri = "s3://b/k"
    assert literal_string_repr(blob) == "s3://b/k"


@pytest.mark.parametrize("nothing", [Literal(), 3])
def test_what_holds_nothing_cannot_be_printed(nothing: Any) -> None:
    with pytest.raises(ValueError, match="literal"):
        literal_string_repr(nothing)


def test_failure_survives_pickling_with_all_it_says() -> None:
    with pytest.raises(TypeTransformerFailedError) as caught:
        converter_for(List[int]).encode([1.0])
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.path, copy.fix, copy.got) == (
        "Expected value of type <class 'int'> but got '1.0' of type <class 'float'> (at [0])",
        "[0]",
        "Pass `int(...)` of it.",
        "float 1.0",
    )


@pytest.mark.parametrize("base", [TypeError, AssertionError, ValueError])
def test_failure_is_caught_as_each_of_its_bases(base: type[Exception]) -> None:
    with pytest.raises(base):
        converter_for(int).encode("x")
