"""Dataclasses, and the other shapes that mashumaro turns into plain data.

A dataclass travels as the msgpack document of its fields, with nested enums by value and times as text.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.core.types_pb2 import LiteralType
from mashumaro.codecs.msgpack import MessagePackDecoder, MessagePackEncoder
from mashumaro.dialect import Dialect
from mashumaro.exceptions import InvalidFieldValue, MissingField, UnserializableField
from mashumaro.jsonschema import build_json_schema
from mashumaro.jsonschema.models import Context, JSONSchema
from mashumaro.jsonschema.plugins import BasePlugin
from mashumaro.jsonschema.schema import Instance

from flyte.types._annotations import classes_in, holds_data
from flyte.types._changes import order_of_sets
from flyte.types._converter import PlainConverter
from flyte.types._documents import DATACLASS_TAG, pack, read_document, struct_type, unpack, write_document
from flyte.types._failure import TypeTransformerFailedError, short_repr, type_text
from flyte.types._fields import FieldChecks


class ShapeForm:
    """Turns the values of one shape into plain data and back, checked by its annotations."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape
        checks = FieldChecks()
        try:
            self._register_models()
            self._encoder = MessagePackEncoder(shape, default_dialect=_Models, post_encoder_func=None)
            self._decoder = MessagePackDecoder(shape, default_dialect=_Models, pre_decoder_func=None)
            self.check = checks.of(shape)
            self._order_sets = order_of_sets.of(shape)
        except Exception as error:  # annotations are the user's code, and mashumaro raises many kinds
            raise _untravellable(shape, error) from error
        self._sure = checks.sure

    def schema(self) -> dict[str, Any] | None:
        """The JSON schema of the shape; None where it has none, which does not keep its values from travelling."""
        try:
            schema: dict[str, Any] = json.loads(
                json.dumps(build_json_schema(self.shape, plugins=[_ModelSchemas()]).to_dict())
            )
        except Exception:  # mashumaro raises many kinds, and a user's classes add theirs
            return None
        return schema

    def to_plain(self, value: Any) -> Any:
        """The plain form of `value`, which can be read back.

        Raises:
            TypeTransformerFailedError: a part of `value` does not fit its annotation.
        """
        self.check(value)
        plain = self._encode(value)
        if self._order_sets is not None:
            plain = self._order_sets(plain)
        if not self._sure:
            self._try_reading(plain)
        return plain

    def from_plain(self, plain: Any) -> Any:
        """The value for a plain form.

        Raises:
            TypeTransformerFailedError: it does not fit the shape.
        """
        try:
            return self._decoder.decode(plain)
        except TypeTransformerFailedError:
            raise
        except Exception as error:
            raise _unreadable_field(self.shape, plain, error) from error

    def _encode(self, value: Any) -> Any:
        try:
            return self._encoder.encode(value)
        except TypeTransformerFailedError:
            raise
        except Exception as error:
            raise TypeTransformerFailedError(
                f"Cannot convert {short_repr(value)} to {type_text(self.shape)}: {str(error) or type(error).__name__}"
            ) from error

    def _try_reading(self, plain: Any) -> None:
        """Refuse what would come back as something else: the annotations alone could not tell."""
        document = unpack(pack(plain))
        again = self._encode(self.from_plain(document))
        again = unpack(pack(again if self._order_sets is None else self._order_sets(again)))
        if not _same(again, document):
            raise TypeTransformerFailedError(
                f"{short_repr(plain)} would be read back as {short_repr(again)}: the types of {type_text(self.shape)} "
                f"do not tell them apart",
                fix="Use a union whose types differ in their plain form, or a class of its own for each case.",
            )

    def _register_models(self) -> None:
        for cls in classes_in(self.shape):
            if hasattr(cls, "__pydantic_fields__") and not dataclasses.is_dataclass(cls):
                from flyte.types._models import ModelForm

                form = ModelForm(cls)
                _Models.serialization_strategy.setdefault(
                    cls, {"serialize": form.to_plain, "deserialize": form.from_plain}
                )


class DataclassConverter(PlainConverter):
    name = DATACLASS_TAG

    def __init__(self, python_type: Any, cls: type) -> None:
        self.python_type = python_type
        self.value_type = cls
        self._class = cls
        self._form = ShapeForm(python_type)
        self.blocking = holds_data(python_type)

    def build_literal_type(self) -> LiteralType:
        return struct_type(self._form.schema(), DATACLASS_TAG)

    def write(self, value: Any, literal: Literal) -> None:
        if isinstance(value, dict):
            value = self._coerce(value)
        write_document(self._form.to_plain(value), literal)

    def read(self, literal: Literal) -> Any:
        return self.read_plain(read_document(literal, self.python_type))

    def read_plain(self, plain: Any) -> Any:
        return self._form.from_plain(plain)

    def check(self, value: Any) -> None:
        self._form.to_plain(self._coerce(value) if isinstance(value, dict) else value)

    def _coerce(self, value: dict[Any, Any]) -> Any:
        """The instance that a dict of fields, in plain form or not, stands for."""
        fields = {field.name: field for field in dataclasses.fields(self._class) if field.init}
        if extra := [key for key in value if key not in fields]:
            raise TypeTransformerFailedError(
                f"The original fields have the following extra keys that are not in dataclass fields: {extra}; "
                f"{type_text(self._class)} has {', '.join(fields)}"
            )
        missing = [
            name
            for name, field in fields.items()
            if name not in value
            and field.default is dataclasses.MISSING
            and field.default_factory is dataclasses.MISSING
        ]
        if missing:
            raise TypeTransformerFailedError(
                f"The original fields are missing the following keys from the dataclass fields: {missing}"
            )
        try:
            return self._form.from_plain(value)
        except TypeTransformerFailedError:
            pass  # the values may be Python's own, such as a datetime where the plain form has text
        try:
            return self._class(**value)
        except Exception as error:  # __post_init__ is the user's code
            raise TypeTransformerFailedError(
                f"Cannot make a {type_text(self._class)} of {short_repr(value)}: {type(error).__name__}: {error}"
            ) from error


class _Models(Dialect):
    """Lets mashumaro handle pydantic models: filled with every model that a shape mentions."""

    serialization_strategy: dict[Any, Any] = {}  # noqa: RUF012 (the name is mashumaro's)


class _ModelSchemas(BasePlugin):
    def get_schema(self, instance: Instance, ctx: Context, schema: JSONSchema | None = None) -> JSONSchema | None:
        if instance.type not in _Models.serialization_strategy:
            return None
        from flyte.types._models import ModelForm

        return _ForeignSchema(document=ModelForm(instance.type).schema())


@dataclasses.dataclass
class _ForeignSchema(JSONSchema):
    """A JSON schema that another library made, to stand inside one of mashumaro's."""

    document: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_serialize__(self, d: dict[Any, Any], context: Any = None) -> dict[Any, Any]:
        return self.document


def _untravellable(shape: Any, error: Exception) -> TypeTransformerFailedError:
    """The error for a shape whose values can never be converted."""
    fix = "Give the field a type that travels, or make its class a mashumaro `SerializableType`."
    if isinstance(error, UnserializableField):
        part = f"field {error.field_name!r}" if error.field_name else "an item"
        reason = f"{part} has type {type_text(error.field_type)}, which has no plain form"
    elif isinstance(error, NameError):
        reason = f"{error}, so its annotations mean nothing at run time"
        fix = "Define the class, and import what it names, at the top of the module."
    else:
        reason = f"{type(error).__name__}: {error}"
    return TypeTransformerFailedError(f"{type_text(shape)} cannot travel: {reason}", fix=fix)


def _unreadable_field(shape: Any, plain: Any, error: Exception) -> TypeTransformerFailedError:
    """The error for a document that does not fit: mashumaro nests one exception per level, outermost first."""
    path, value, annotation = "", plain, shape
    current: BaseException = error
    while True:
        if isinstance(current, InvalidFieldValue):
            path, value, annotation = f"{path}.{current.field_name}", current.field_value, current.field_type
        elif isinstance(current, TypeTransformerFailedError):
            path += current.path
        inner = current.__cause__ or current.__context__
        if inner is None or isinstance(current, MissingField):
            break
        current = inner
    detail = str(current) or type(current).__name__
    return TypeTransformerFailedError(
        f"Cannot read {short_repr(value)} as {type_text(annotation)}: {detail}", path=path
    )


def _same(one: Any, other: Any) -> bool:
    """Equality of plain data by value; NaN equals NaN."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other) or (one != one and other != other)
