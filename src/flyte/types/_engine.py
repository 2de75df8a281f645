"""`TypeEngine`: the public door to the converters, in the shape that users of the official release know."""

from __future__ import annotations

import asyncio
import html
import types
import typing
from collections.abc import KeysView, Sequence
from enum import Enum
from typing import Any, Dict, List, Optional, Type

from flyteidl2.core.interface_pb2 import Variable, VariableEntry, VariableMap
from flyteidl2.core.literals_pb2 import Literal, LiteralMap
from flyteidl2.core.types_pb2 import LiteralType

from flyte.types._choice import SCALARS, converter_for
from flyte.types._converter import Converter
from flyte.types._failure import TypeTransformerFailedError, short, short_repr
from flyte.types._guess import guess_python_type, guess_python_types
from flyte.types._offloading import loaded
from flyte.types._pickles import FlytePickle, PickleConverter
from flyte.types._registry import registry
from flyte.types._rendering import Renderable
from flyte.types._transformers import TransformerConverter, TypeTransformer

_BUILTIN_TYPES: tuple[Any, ...] = (
    *SCALARS,
    type(None),
    None,
    list,
    typing.Union,
    types.UnionType,
    dict,
    Enum,
    FlytePickle,
)


class TypeEngine:
    """Registers transformers for types that Flyte does not know, and converts single values by hand."""

    @classmethod
    def register(cls, transformer: TypeTransformer[Any], additional_types: Optional[List[Type[Any]]] = None) -> None:
        """Let a transformer handle its type, and `additional_types` as well, in every task from now on.

        Raises:
            ValueError: one of the types is handled already.
        """
        for python_type in (transformer.python_type, *(additional_types or [])):
            registry.add(transformer, python_type, builtin=_is_builtin(python_type), override=False)

    @classmethod
    def register_restricted_type(cls, name: str, type: Type[Any]) -> None:
        """Forbid a type: a task that uses it is refused where it is declared."""
        registry.restrict(name, type)

    @classmethod
    def register_additional_type(
        cls, transformer: TypeTransformer[Any], additional_type: Type[Any], override: bool = False
    ) -> None:
        """Let a transformer handle one more type; without `override` a type that is handled stays as it is."""
        known = _is_builtin(additional_type) or additional_type in registry.registered_types()
        if override or not known:
            registry.add(transformer, additional_type, builtin=False, override=True)

    @classmethod
    def get_transformer(cls, python_type: Type[Any]) -> TypeTransformer[Any]:
        """The transformer of a type; for a built-in one an object that does the same.

        Raises:
            RestrictedTypeError: the type is forbidden.
            TypeTransformerFailedError: no value of the type can travel.
        """
        converter = converter_for(python_type)
        return converter.transformer if isinstance(converter, TransformerConverter) else _BuiltinTransformer(converter)

    @classmethod
    def lazy_import_transformers(cls) -> None:
        """Load the type plugins that are installed; happens by itself before an unknown type is looked up."""
        registry.load_plugins()

    @classmethod
    def get_available_transformers(cls) -> KeysView[Any]:
        """The types that are handled by something better than a pickle."""
        from google.protobuf.message import Message
        from pydantic import BaseModel

        return dict.fromkeys([*_BUILTIN_TYPES, Message, BaseModel, *registry.registered_types()]).keys()

    @classmethod
    def to_literal_type(cls, python_type: Type[Any]) -> LiteralType:
        """The literal type of a Python type: a copy, yours to change."""
        literal_type = LiteralType()
        literal_type.CopyFrom(converter_for(python_type).literal_type)
        return literal_type

    @classmethod
    def to_literal_checks(cls, python_val: Any, python_type: Type[Any], expected: LiteralType) -> None:
        """Raise what converting the value would raise."""
        converter_for(python_type).check(python_val)

    @classmethod
    async def to_literal(cls, python_val: Any, python_type: Type[Any], expected: LiteralType) -> Literal:
        """The literal for a value.

        Raises:
            TypeTransformerFailedError: the value does not fit the type.
        """
        converter = converter_for(python_type)
        if isinstance(converter, TransformerConverter):
            converter.check(python_val)
            return await converter.transformer.to_literal(python_val, python_type, expected)
        if converter.blocking:
            return await asyncio.to_thread(converter.encode, python_val)
        return converter.encode(python_val)

    @classmethod
    async def to_python_value(cls, lv: Literal, expected_python_type: Type[Any]) -> Any:
        """The value of a literal.

        Raises:
            TypeTransformerFailedError: the literal holds none of the type.
        """
        lv = await cls.unwrap_offloaded_literal(lv)
        converter = converter_for(expected_python_type)
        if isinstance(converter, TransformerConverter):
            return await converter.transformer.to_python_value(lv, expected_python_type)
        if converter.blocking:
            return await asyncio.to_thread(converter.decode, lv)
        return converter.decode(lv)

    @classmethod
    async def unwrap_offloaded_literal(cls, lv: Literal) -> Literal:
        """The literal itself, where `lv` only says in which file it is.

        Raises:
            TypeTransformerFailedError: the file is not there, cannot be read, or holds no literal.
        """
        if not lv.HasField("offloaded_metadata"):
            return lv
        return await asyncio.to_thread(loaded, lv)

    @classmethod
    def to_html(cls, python_val: Any, expected_python_type: Type[Any]) -> str:
        """A value for a report page: by a `Renderable` in its annotation, else by its transformer."""
        if typing.get_origin(expected_python_type) is typing.Annotated:
            expected_python_type, *notes = typing.get_args(expected_python_type)
            for note in notes:
                if isinstance(note, Renderable):
                    return note.to_html(python_val)
        return cls.get_transformer(expected_python_type).to_html(python_val, expected_python_type)

    @classmethod
    def named_tuple_to_variable_map(cls, t: Any) -> VariableMap:
        """The fields of a NamedTuple class as variables, each described by its position."""
        hints = typing.get_type_hints(t, include_extras=True)
        return VariableMap(
            variables=[
                VariableEntry(key=name, value=Variable(type=converter_for(hint).literal_type, description=str(index)))
                for index, (name, hint) in enumerate(hints.items())
            ]
        )

    @classmethod
    async def literal_map_to_kwargs(
        cls,
        lm: LiteralMap,
        python_types: Optional[Dict[str, type]] = None,
        literal_types: Optional[Dict[str, Variable]] = None,
    ) -> Dict[str, Any]:
        """The values of a map of literals by name.

        Args:
            lm: Literals by name.
            python_types: Types by name.
            literal_types: Where the Python types are not known, the variables to guess them from.

        Raises:
            ValueError: neither kind of types is given, or there are more literals than types.
            TypeTransformerFailedError: a literal does not fit; names it.
        """
        if python_types is None and literal_types is None:
            raise ValueError("literal_map_to_kwargs needs python_types or literal_types")
        if python_types is None:
            python_types = guess_python_types([VariableEntry(key=k, value=v) for k, v in (literal_types or {}).items()])
        if len(lm.literals) > len(python_types):
            raise ValueError(
                f"Received more input values {len(lm.literals)} than allowed by the input spec {len(python_types)}"
            )
        kwargs = {}
        for name in sorted(lm.literals):
            if name not in python_types:
                raise ValueError(f"Unknown input {name!r}; the inputs are {', '.join(python_types)}")
            kwargs[name] = await _convert_input(name, lm.literals[name], python_types[name])
        return kwargs

    @classmethod
    async def dict_to_literal_map(cls, d: Dict[str, Any], type_hints: Optional[Dict[str, type]] = None) -> LiteralMap:
        """The literals of a dict of values; without a hint a value is taken for one of its own class.

        Raises:
            TypeError: a value does not fit its type; names it.
        """
        literal_map = LiteralMap()
        for name, value in d.items():
            python_type = (type_hints or {}).get(name, type(value))
            try:
                expected = converter_for(python_type).literal_type
                literal_map.literals[name].CopyFrom(await cls.to_literal(value, python_type, expected))
            except TypeError as error:
                raise conversion_error(name, python_type, value, error) from error
        return literal_map

    @classmethod
    def guess_python_type(cls, flyte_type: LiteralType) -> Any:
        """A Python type that has this literal type; a record gets a class made from its schema.

        Raises:
            ValueError: none has.
        """
        return guess_python_type(flyte_type)

    @classmethod
    def guess_python_types(cls, flyte_variable_list: Sequence[VariableEntry]) -> Dict[str, Any]:
        """By name, the Python types of a list of variables."""
        return guess_python_types(flyte_variable_list)


class _BuiltinTransformer(TypeTransformer[Any]):
    """A converter, seen through the interface of a transformer."""

    def __init__(self, converter: Converter) -> None:
        python_type = FlytePickle if isinstance(converter, PickleConverter) else converter.python_type
        super().__init__(converter.name, converter.value_type or python_type)

    def get_literal_type(self, t: Type[Any]) -> LiteralType:
        return TypeEngine.to_literal_type(t)

    async def to_literal(self, python_val: Any, python_type: Type[Any], expected: LiteralType) -> Literal:
        return await TypeEngine.to_literal(python_val, python_type, expected)

    async def to_python_value(self, lv: Literal, expected_python_type: Type[Any]) -> Any:
        return await TypeEngine.to_python_value(lv, expected_python_type)

    def assert_type(self, t: Type[Any], v: Any) -> None:
        converter_for(t).check(v)

    def guess_python_type(self, literal_type: LiteralType) -> Any:
        return guess_python_type(literal_type)

    def to_html(self, python_val: Any, expected_python_type: Type[Any]) -> str:
        return html.escape(str(python_val))


def conversion_error(name: str, python_type: Any, value: Any, error: Exception) -> TypeError:
    """The error for a value that does not fit the variable it is for."""
    return TypeError(
        f"Type conversion failed for variable '{name}'.\nExpected type: {python_type}\nActual type: {type(value)}\n"
        f"Value received: {short_repr(value)}\nReason: {error}"
    )


def _is_builtin(python_type: Any) -> bool:
    if python_type in _BUILTIN_TYPES:
        return True
    # Named, not imported: registering a transformer must not load pydantic.
    name = (getattr(python_type, "__module__", ""), getattr(python_type, "__name__", ""))
    return name in (("pydantic.main", "BaseModel"), ("google.protobuf.message", "Message"))


async def _convert_input(name: str, literal: Literal, python_type: Any) -> Any:
    try:
        return await TypeEngine.to_python_value(literal, python_type)
    except TypeTransformerFailedError as error:
        raise TypeTransformerFailedError(
            f"Error converting input '{name}':\nLiteral value: {short(str(literal))}\n"
            f"Expected Python type: {python_type}\nException: {error}"
        ) from error
