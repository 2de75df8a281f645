"""Tuples, NamedTuples and TypedDicts: each travels as the document of a pydantic model made for it."""

from __future__ import annotations

import sys
import types
import typing
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.core.types_pb2 import LiteralType
from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.errors import PydanticUserError

from flyte.types._annotations import holds_data, is_typed_dict
from flyte.types._converter import PlainConverter
from flyte.types._documents import MODEL_TAG, read_document, struct_type, write_document
from flyte.types._failure import TypeTransformerFailedError, mismatch, short_repr, type_text
from flyte.types._models import ModelForm


@dataclass(frozen=True)
class _Field:
    """One field of a record: its key in the document, the annotation, and whether it may be absent."""

    key: str
    annotation: Any
    optional: bool = False

    @property
    def admits_none(self) -> bool:
        return type(None) in typing.get_args(self.annotation) or self.annotation in (None, type(None), Any)


class _Record(BaseModel):
    """Base of the models made here. Their fields are `f0`, `f1`...; the alias is the key.

    A key of its own would have to be a Python name that BaseModel does not use.
    """

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)
    record_fields: ClassVar[tuple[_Field, ...]]

    def as_dict(self) -> dict[str, Any]:
        """The keys that are there, with their values."""
        items = {}
        for index, field in enumerate(self.record_fields):
            name = f"f{index}"
            value = getattr(self, name)
            # An absent key is written as null, which for an annotation with None is a value of its own.
            absent = name not in self.model_fields_set if field.admits_none else value is None
            if not (field.optional and absent):
                items[field.key] = _without_records(value)
        return items


class RecordConverter(PlainConverter):
    """Base of the three: a subclass says what its fields are, and how its values are taken apart and put together."""

    def __init__(self, python_type: Any, title: str, fields: list[_Field]) -> None:
        self.python_type = python_type
        self._record = _record_model(title, fields, python_type)
        self._form = ModelForm(self._record, shown_as=python_type)
        self.blocking = holds_data(self._record)

    @abstractmethod
    def take_apart(self, value: Any) -> Mapping[str, Any]:
        """The fields of `value` by key."""

    @abstractmethod
    def put_together(self, fields: dict[str, Any]) -> Any:
        """The value with these fields."""

    @abstractmethod
    def path_to(self, key: str) -> str:
        """How one writes the way to a field."""

    def build_literal_type(self) -> LiteralType:
        return struct_type(self._form.schema(), MODEL_TAG)

    def write(self, value: Any, literal: Literal) -> None:
        fields = self.take_apart(value)
        try:
            record = self._form.validate(fields)
            plain = self._form.to_plain(record)
        except TypeTransformerFailedError as error:
            raise self._located(error) from error.__cause__
        for index, field in enumerate(self._record.record_fields):
            if field.optional and field.admits_none and f"f{index}" not in record.model_fields_set:
                del plain[field.key]
        write_document(plain, literal)

    def read(self, literal: Literal) -> Any:
        return self.read_plain(read_document(literal, self.python_type))

    def read_plain(self, plain: Any) -> Any:
        try:
            record = self._form.from_plain(plain)
        except TypeTransformerFailedError as error:
            raise self._located(error) from error.__cause__
        assert isinstance(record, _Record)
        return self.put_together(record.as_dict())

    def _located(self, failure: TypeTransformerFailedError) -> TypeTransformerFailedError:
        """The error with the first step of its path, which is the key of a field of the model, respelled."""
        for field in self._record.record_fields:
            step = f".{field.key}"
            if failure.path == step or failure.path.startswith((f"{step}.", f"{step}[")):
                failure.path = self.path_to(field.key) + failure.path.removeprefix(step)
                break
        return failure


class TupleConverter(RecordConverter):
    name = "Typed Tuple"
    value_type = tuple

    def __init__(self, python_type: Any) -> None:
        items = typing.get_args(python_type)
        # `typing.Tuple[...]` and `tuple[...]` differ in the name of their schema.
        spelling = "tuple" if isinstance(python_type, types.GenericAlias) else "Tuple"
        fields = [_Field(f"item_{index}", _native_typed_dicts(item)) for index, item in enumerate(items)]
        super().__init__(python_type, f"TupleWrapper_{spelling}", fields)
        self._length = len(items)

    def take_apart(self, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, tuple | list):
            raise mismatch(tuple, value)
        if len(value) != self._length:
            raise TypeTransformerFailedError(
                f"Tuple length {len(value)} doesn't match expected length {self._length}: {short_repr(value)}"
            )
        return {f"item_{index}": item for index, item in enumerate(value)}

    def put_together(self, fields: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(fields.values())

    def path_to(self, key: str) -> str:
        return f"[{key.removeprefix('item_')}]"


class NamedTupleConverter(RecordConverter):
    name = "NamedTuple"

    def __init__(self, python_type: Any) -> None:
        hints = typing.get_type_hints(python_type, include_extras=True)
        self._names: tuple[str, ...] = python_type._fields
        fields = [_Field(name, _native_typed_dicts(hints.get(name, Any))) for name in self._names]
        super().__init__(python_type, f"NamedTupleWrapper_{python_type.__name__}", fields)
        self.value_type = python_type

    def take_apart(self, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, tuple | list):
            raise mismatch(self.python_type, value)
        if len(value) != len(self._names):
            raise TypeTransformerFailedError(
                f"{type_text(self.python_type)} has {len(self._names)} fields ({', '.join(self._names)}), "
                f"got {len(value)}: {short_repr(value)}"
            )
        return dict(zip(self._names, value, strict=True))

    def put_together(self, fields: dict[str, Any]) -> Any:
        return self.python_type(**fields)

    def path_to(self, key: str) -> str:
        return f".{key}"


class TypedDictConverter(RecordConverter):
    """TypedDicts; a key that is not required may be absent, whether by `NotRequired` or by `total=False`."""

    name = "TypedDict"

    def __init__(self, python_type: Any) -> None:
        super().__init__(python_type, _typed_dict_title(python_type), _typed_dict_fields(python_type))

    def take_apart(self, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise mismatch(self.python_type, value)
        return value

    def put_together(self, fields: dict[str, Any]) -> dict[str, Any]:
        return fields

    def path_to(self, key: str) -> str:
        return f"[{key!r}]"


def _record_model(title: str, fields: list[_Field], python_type: Any) -> type[_Record]:
    definitions: dict[str, Any] = {}
    for index, field in enumerate(fields):
        annotation = Optional[field.annotation] if field.optional else field.annotation
        definitions[f"f{index}"] = (annotation, Field(None if field.optional else ..., alias=field.key))
    try:
        model = create_model(title, __base__=_Record, **definitions)
        model.model_rebuild(raise_errors=True)
    except (PydanticUserError, TypeError, NameError) as error:
        raise TypeTransformerFailedError(
            f"{type_text(python_type)} cannot travel: {str(error).splitlines()[0]}",
            fix="Use field types that pydantic knows, or a dataclass.",
        ) from error
    model.record_fields = tuple(fields)
    return model


def _typed_dict_title(python_type: type) -> str:
    return f"TypedDictWrapper_{python_type.__name__}"


def _typed_dict_fields(python_type: Any, outer: tuple[Any, ...] = ()) -> list[_Field]:
    """The fields of a TypedDict inside `outer` ones; TypedDicts in it are models of their own."""
    inside = _inside(python_type, outer)

    def nested_record(nested: Any) -> type[_Record]:
        return _record_model(_typed_dict_title(nested), _typed_dict_fields(nested, inside), nested)

    fields = []
    for key, hint in typing.get_type_hints(python_type, include_extras=True).items():
        annotation, optional = _unqualified(hint, key in python_type.__optional_keys__)
        fields.append(_Field(key, _replace_typed_dicts(annotation, nested_record), optional))
    return fields


def _inside(python_type: Any, outer: tuple[Any, ...]) -> tuple[Any, ...]:
    if python_type in outer:
        raise TypeTransformerFailedError(
            f"{type_text(python_type)} cannot travel: it contains itself", fix="Use a dataclass or a pydantic model."
        )
    return (*outer, python_type)


def _unqualified(hint: Any, optional: bool) -> tuple[Any, bool]:
    """An annotation without `Required`, `NotRequired` and `ReadOnly`, and whether its key may be absent."""
    qualifier = getattr(typing.get_origin(hint), "_name", None)
    match qualifier:
        case "NotRequired":
            return _unqualified(typing.get_args(hint)[0], True)
        case "Required":
            return _unqualified(typing.get_args(hint)[0], False)
        case "ReadOnly":
            return _unqualified(typing.get_args(hint)[0], optional)
        case _:
            return hint, optional


def _native_typed_dicts(annotation: Any, outer: tuple[Any, ...] = ()) -> Any:
    """`annotation` with TypedDicts in the form that pydantic takes; before Python 3.12 that is not `typing`'s own."""
    if sys.version_info >= (3, 12):
        return annotation
    return _replace_typed_dicts(annotation, lambda typed_dict: _typing_extensions_twin(typed_dict, outer))


def _typing_extensions_twin(python_type: Any, outer: tuple[Any, ...]) -> Any:
    import typing_extensions

    if type(python_type).__module__ != "typing":
        return python_type
    inside = _inside(python_type, outer)
    items = {}
    for key, hint in typing.get_type_hints(python_type, include_extras=True).items():
        annotation, optional = _unqualified(hint, key in python_type.__optional_keys__)
        annotation = _native_typed_dicts(annotation, inside)
        items[key] = typing_extensions.NotRequired[annotation] if optional else annotation
    return typing_extensions.TypedDict(python_type.__name__, items)  # type: ignore[operator]


def _replace_typed_dicts(annotation: Any, replacement: Callable[[Any], Any]) -> Any:
    """`annotation` with every TypedDict in it replaced."""
    if is_typed_dict(annotation):
        return replacement(annotation)
    args = typing.get_args(annotation)
    replaced = tuple(_replace_typed_dicts(arg, replacement) for arg in args)
    if all(new is old for new, old in zip(replaced, args, strict=True)):
        return annotation
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return typing.Annotated[(replaced[0], *annotation.__metadata__)]
    if origin is types.UnionType:
        return typing.Union[replaced]
    return origin[replaced]


def _without_records(value: Any) -> Any:
    """`value` with the models of nested TypedDicts turned back into dicts."""
    if isinstance(value, _Record):
        return value.as_dict()
    if type(value) in (list, tuple):
        return type(value)(_without_records(item) for item in value)
    if type(value) is dict:
        return {key: _without_records(item) for key, item in value.items()}
    return value
