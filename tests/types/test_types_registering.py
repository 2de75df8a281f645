"""Types that users teach, alone and inside other types; types that they forbid; plugins."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional, Tuple, Union

import pytest
from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.core.types_pb2 import LiteralType, SimpleType

from flyte.errors import RestrictedTypeError
from flyte.types import TypeEngine, TypeTransformer, TypeTransformerFailedError
from flyte.types._choice import converter_for
from flyte.types._registry import Registry, registry


class Text:
    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Text) and other.text == self.text


class Title(Text):
    pass


class TextTransformer(TypeTransformer[Text]):
    """Converts without awaiting anything."""

    def __init__(self, name: str = "text") -> None:
        super().__init__(name, Text)

    def get_literal_type(self, t: type[Text]) -> LiteralType:
        return LiteralType(simple=SimpleType.STRING)

    async def to_literal(self, python_val: Text, python_type: type[Text], expected: LiteralType) -> Literal:
        if python_val.text == "broken":
            raise ZeroDivisionError("by nothing")
        literal = Literal()
        literal.scalar.primitive.string_value = python_val.text
        return literal

    async def to_python_value(self, lv: Literal, expected_python_type: type[Text]) -> Text:
        if lv.scalar.primitive.string_value == "broken":
            raise ZeroDivisionError("by nothing")
        return Text(lv.scalar.primitive.string_value)

    def guess_python_type(self, literal_type: LiteralType) -> type[Text]:
        if literal_type.simple == SimpleType.ERROR:
            return Text
        return super().guess_python_type(literal_type)


class SlowTransformer(TextTransformer):
    """Converts on an event loop: it suspends, and uses what only a task on a loop has."""

    async def to_literal(self, python_val: Text, python_type: type[Text], expected: LiteralType) -> Literal:
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
        return await super().to_literal(python_val, python_type, expected)

    async def to_python_value(self, lv: Literal, expected_python_type: type[Text]) -> Text:
        await asyncio.sleep(0)
        return await super().to_python_value(lv, expected_python_type)


@pytest.fixture(autouse=True)
def clean_registry() -> Iterator[None]:
    """What a test registers is gone after it."""
    before = dict(registry._transformers), dict(registry._restricted)
    yield
    registry._transformers, registry._restricted = before
    registry.revision += 1


@pytest.fixture(params=[TextTransformer, SlowTransformer])
def registered(request: pytest.FixtureRequest) -> TypeTransformer[Any]:
    transformer: TypeTransformer[Any] = request.param()
    TypeEngine.register(transformer)
    return transformer


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Text, Text("q")),
        (List[Text], [Text("q"), Text("r")]),
        (Dict[str, List[Text]], {"a": [Text("q")]}),
        (Optional[Text], Text("q")),
        (Optional[Text], None),
        (Union[int, List[Text]], [Text("q")]),
    ],
)
def test_registered_type_travels_alone_and_inside_others(annotation: Any, value: Any) -> None:
    converter = converter_for(annotation)
    assert converter.blocking
    assert converter.decode(converter.encode(value)) == value


@pytest.mark.usefixtures("registered")
def test_registered_type_has_the_wire_form_its_transformer_says() -> None:
    assert converter_for(Text).literal_type.simple == SimpleType.STRING
    assert converter_for(Text).encode(Text("q")).SerializeToString().hex() == "0a050a031a0171"
    assert converter_for(Optional[Text]).encode(Text("q")).scalar.union.type.structure.tag == "text"


@pytest.mark.usefixtures("registered")
def test_wrong_value_for_a_registered_type_is_refused_with_its_path() -> None:
    with pytest.raises(TypeTransformerFailedError) as caught:
        converter_for(List[Text]).encode([Text("q"), 3])
    assert caught.value.path == "[1]"
    assert caught.value.reason == f"Expected value of type {Text} but got '3' of type <class 'int'>"


@pytest.mark.usefixtures("registered")
def test_transformer_that_breaks_is_named() -> None:
    with pytest.raises(TypeTransformerFailedError, match="Transformer text could not convert .*ZeroDivisionError: by"):
        converter_for(List[Text]).encode([Text("broken")])
    literal = converter_for(str).encode("broken")
    with pytest.raises(TypeTransformerFailedError, match="Transformer text could not read a .*ZeroDivisionError: by"):
        converter_for(Text).decode(literal)


@pytest.mark.usefixtures("registered")
async def test_engine_awaits_a_registered_transformer_on_the_callers_loop() -> None:
    literal = await TypeEngine.to_literal(Text("q"), Text, TypeEngine.to_literal_type(Text))
    assert await TypeEngine.to_python_value(literal, Text) == Text("q")
    literal = await TypeEngine.to_literal([Text("q")], List[Text], TypeEngine.to_literal_type(List[Text]))
    assert await TypeEngine.to_python_value(literal, List[Text]) == [Text("q")]


def test_subclass_goes_to_the_transformer_of_its_base(registered: TypeTransformer[Any]) -> None:
    assert TypeEngine.get_transformer(Title) is registered
    converter = converter_for(Title)
    assert converter.decode(converter.encode(Title("q"))) == Text("q")


def test_transformer_in_annotated_wins_over_the_type() -> None:
    annotation = Annotated[Text, TextTransformer("mine")]
    converter = converter_for(List[annotation])
    assert converter.decode(converter.encode([Text("q")])) == [Text("q")]
    assert TypeEngine.get_transformer(annotation).name == "mine"


def test_second_transformer_for_a_type_is_refused_with_both_names(registered: TypeTransformer[Any]) -> None:
    with pytest.raises(
        ValueError, match=r"Transformer text for type .*Text'> is already registered\. Cannot override with other"
    ):
        TypeEngine.register(TextTransformer("other"))
    with pytest.raises(ValueError, match="already registered"):
        TypeEngine.register(TextTransformer("other"), [bytes])


@pytest.mark.parametrize("builtin", [int, list, dict, type(None)])
def test_built_in_type_is_not_replaced_by_registering(builtin: Any) -> None:
    class Transformer(TextTransformer):
        @property
        def python_type(self) -> Any:
            return builtin

    with pytest.raises(ValueError, match="already registered"):
        TypeEngine.register(Transformer())


def test_registering_takes_effect_on_types_already_converted() -> None:
    logging.disable(logging.WARNING)
    assert converter_for(List[Text]).decode(converter_for(List[Text]).encode([Text("q")])) == [Text("q")]
    logging.disable(logging.NOTSET)
    TypeEngine.register(TextTransformer())
    assert converter_for(List[Text]).literal_type.collection_type.simple == SimpleType.STRING


def test_additional_type_is_added_and_replaces_only_when_told() -> None:
    transformer = TextTransformer()
    TypeEngine.register(transformer, [bytes])
    assert TypeEngine.get_transformer(bytes) is transformer
    TypeEngine.register_additional_type(transformer, int)
    assert TypeEngine.get_transformer(int).name == "int"
    TypeEngine.register_additional_type(transformer, int, override=True)
    assert TypeEngine.get_transformer(int) is transformer
    assert {Text, bytes, int} <= TypeEngine.get_available_transformers()


def test_restricted_type_is_refused_alone_and_inside_others() -> None:
    TypeEngine.register_restricted_type("frozen things", frozenset)
    for annotation in (frozenset, List[frozenset], Optional[frozenset]):  # type: ignore[type-arg]
        with pytest.raises(RestrictedTypeError, match="type frozenset is restricted currently"):
            converter_for(annotation)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("annotation", [dataclasses.make_dataclass("Holder", [("t", Text)]), Tuple[Text, int]])
def test_registered_type_inside_a_record_is_refused_as_a_type(annotation: Any) -> None:
    with pytest.raises(TypeTransformerFailedError, match="cannot travel"):
        converter_for(annotation)


@pytest.mark.usefixtures("registered")
def test_registered_transformer_may_guess_its_type() -> None:
    assert TypeEngine.guess_python_type(LiteralType(simple=SimpleType.ERROR)) is Text
    assert TypeEngine.guess_python_type(LiteralType(simple=SimpleType.STRING)) is str


def test_result_that_is_no_literal_is_refused() -> None:
    class Wrong(TextTransformer):
        async def to_literal(self, python_val: Text, python_type: type[Text], expected: LiteralType) -> Any:
            return "text"

    TypeEngine.register(Wrong())
    with pytest.raises(TypeTransformerFailedError, match="Transformer text returned text, not a Literal"):
        converter_for(Text).encode(Text("q"))


def test_plugins_are_called_once_and_a_broken_one_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "flyte_plugin_of_a_test.py").write_text("calls = []\ndef register():\n    calls.append(1)\n")
    folder = tmp_path / "plugin-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        "[flyte.plugins.types]\ngood = flyte_plugin_of_a_test:register\nbad = flyte_plugin_of_a_test:nothing\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    fresh = Registry()
    fresh.load_plugins()
    fresh.load_plugins()
    plugin = importlib.import_module("flyte_plugin_of_a_test")
    assert plugin.calls == [1]
    assert [record.getMessage() for record in caplog.records] == [
        "Type plugin bad = flyte_plugin_of_a_test:nothing failed"
    ]
