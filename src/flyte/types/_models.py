"""Pydantic models: their schema, and their values as plain data.

A model travels as the msgpack document of its JSON form, with enums by member name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.core.types_pb2 import LiteralType
from pydantic import BaseModel, ValidationError
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticSerializationError

from flyte.types._annotations import holds_data
from flyte.types._changes import names_of_enums, order_of_sets, values_of_enums
from flyte.types._converter import PlainConverter
from flyte.types._documents import MODEL_TAG, read_document, struct_type, write_document
from flyte.types._failure import TypeTransformerFailedError, mismatch, short_repr, type_text

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue, JsonSchemaWarningKind
    from pydantic_core.core_schema import EnumSchema


class ModelForm:
    """Turns the values of one model into plain data (dicts, lists, text, numbers) and back.

    Errors name `shown_as`, for a model that stands for another type.
    """

    def __init__(self, model: type[BaseModel], *, shown_as: Any = None) -> None:
        self.model = model
        self._shown_as = shown_as or model
        self._order_sets = order_of_sets.of(model)
        self._to_names = names_of_enums.of(model)
        self._to_values = values_of_enums.of(model)

    def schema(self) -> dict[str, Any]:
        """The JSON schema of the model, with enums by member name.

        Raises:
            TypeTransformerFailedError: a field has a type for which there is no JSON schema.
        """
        try:
            return self.model.model_json_schema(schema_generator=_SchemaWithEnumNames)
        except PydanticUserError as error:
            raise TypeTransformerFailedError(
                f"{type_text(self._shown_as)} cannot travel: {str(error).splitlines()[0]}",
                fix="Give the field a type that has a JSON form, or a `WithJsonSchema` note.",
            ) from error

    def validate(self, value: Any, **options: Any) -> BaseModel:
        """The instance that the model makes of `value`.

        Raises:
            TypeTransformerFailedError: it accepts no such value.
        """
        try:
            return self.model.model_validate(value, **options)
        except ValidationError as error:
            raise _invalid_fields(error) from error
        except Exception as error:  # validators are the user's code
            raise TypeTransformerFailedError(
                f"{type_text(self._shown_as)} does not accept {short_repr(value)}: {type(error).__name__}: {error}"
            ) from error

    def to_plain(self, value: BaseModel) -> Any:
        """The plain form of an instance of the model; one of a subclass is cut to the fields of the model.

        Raises:
            TypeTransformerFailedError: a field holds something that the model would not accept, or that has no plain
                form.
        """
        serializer = self.model.__pydantic_serializer__
        try:
            plain = serializer.to_python(value, mode="json", warnings="error")
        except (PydanticSerializationError, UnicodeDecodeError) as error:
            plain = self._to_plain_if_readable(value, error)
        for change in (self._order_sets, self._to_names):
            plain = plain if change is None else change(plain)
        return plain

    def from_plain(self, plain: Any) -> BaseModel:
        """The instance for a plain form, which may be changed.

        Raises:
            TypeTransformerFailedError: the model does not accept it.
        """
        if self._to_values is not None:
            plain = self._to_values(plain)
        # A dump has the names of the fields; where a model has aliases, validation alone would ask for those.
        return self.validate(plain, strict=False, context={"deserialize": True}, by_alias=True, by_name=True)

    def _to_plain_if_readable(self, value: BaseModel, error: Exception) -> Any:
        """The plain form of an instance with fields of the wrong type, if it can be read back; pydantic is lenient."""
        try:
            plain = self.model.__pydantic_serializer__.to_python(value, mode="json", warnings=False)
        except (PydanticSerializationError, UnicodeDecodeError) as failure:
            raise TypeTransformerFailedError(
                f"Cannot convert {type_text(self._shown_as)} to plain data: {failure}",
                fix="Give the field a type that has a JSON form, or a `field_serializer`.",
            ) from error
        self.validate(plain, strict=False, by_alias=True, by_name=True)
        return plain


class ModelConverter(PlainConverter):
    name = MODEL_TAG

    def __init__(self, python_type: type[BaseModel]) -> None:
        self.python_type = self.value_type = python_type
        self._form = ModelForm(python_type)
        self.blocking = holds_data(python_type)

    def build_literal_type(self) -> LiteralType:
        return struct_type(self._form.schema(), MODEL_TAG)

    def write(self, value: Any, literal: Literal) -> None:
        if isinstance(value, dict):
            value = self._coerce(value)
        elif not isinstance(value, self.python_type):
            raise mismatch(self.python_type, value)
        write_document(self._form.to_plain(value), literal)

    def read(self, literal: Literal) -> Any:
        return self.read_plain(read_document(literal, self.python_type))

    def read_plain(self, plain: Any) -> BaseModel:
        return self._form.from_plain(plain)

    def _coerce(self, value: dict[Any, Any]) -> BaseModel:
        try:
            return self._form.validate(value, strict=False)
        except TypeTransformerFailedError as error:
            error.reason = f"Failed to coerce dict into {self.python_type}: {error.reason}"
            raise


def _invalid_fields(error: ValidationError) -> TypeTransformerFailedError:
    """What pydantic found wrong, as one line: the first field with its path, and how many more there are."""
    first, *others = error.errors(include_url=False)
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"])
    seen = first["input"]
    reason = f"{first['msg']}, got {short_repr(seen)} of type {type_text(type(seen))}"
    if first["type"] == "missing":
        reason = f"{first['msg']}: {path.removeprefix('.')} is missing in {short_repr(seen)}"
    if others:
        reason += f" ({len(others)} more field{'s' if len(others) > 1 else ''} did not fit)"
    return TypeTransformerFailedError(reason, path=path)


class _SchemaWithEnumNames(GenerateJsonSchema):
    # A default without a JSON form is left out of the schema; nobody asked for a warning about it.
    ignored_warning_kinds: set[JsonSchemaWarningKind] = {"non-serializable-default", "skipped-choice"}  # noqa: RUF012

    def enum_schema(self, schema: EnumSchema) -> JsonSchemaValue:
        document = super().enum_schema(schema)
        document.pop("const", None)
        document["enum"] = [member.name for member in schema["members"]]
        return document
