"""Python types for literal types, where the code that declared them is not here."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import Any, Dict, List, Optional, Union

from flyteidl2.core.interface_pb2 import VariableEntry
from flyteidl2.core.types_pb2 import LiteralType, SimpleType

from flyte.types._documents import DATACLASS_TAG, MODEL_TAG
from flyte.types._pickles import PICKLE_FORMAT, PICKLE_TAG, FlytePickle
from flyte.types._providers import guessed
from flyte.types._registry import registry

_SIMPLE: dict[int, Any] = {
    SimpleType.NONE: type(None),
    SimpleType.INTEGER: int,
    SimpleType.FLOAT: float,
    SimpleType.STRING: str,
    SimpleType.BOOLEAN: bool,
    SimpleType.DATETIME: datetime,
    SimpleType.DURATION: timedelta,
}
_JSON_SCALARS: dict[Any, Any] = {"integer": int, "number": float, "string": str, "boolean": bool, "null": type(None)}
_MODEL_TAGS = (MODEL_TAG, "Typed Tuple", "NamedTuple", "TypedDict")


def guess_python_type(literal_type: LiteralType) -> Any:
    """A Python type whose values have this literal type. A record gets a class made from its schema.

    Raises:
        ValueError: no Python type here has it.
    """
    return _guess(literal_type.SerializeToString(deterministic=True), registry.revision)


def guess_python_types(variables: Sequence[VariableEntry]) -> Dict[str, Any]:
    """By name, the Python types of a list of variables."""
    return {entry.key: guess_python_type(entry.value.type) for entry in variables}


@lru_cache(maxsize=1024)
def _guess(serialized: bytes, registry_revision: int) -> Any:
    """Guess from the wire form, so that the same record gets the same class until another transformer is registered."""
    literal_type = LiteralType.FromString(serialized)
    for transformer in registry.transformers():
        try:
            return transformer.guess_python_type(literal_type)
        except ValueError:
            continue
    match literal_type.WhichOneof("type"):
        case "collection_type":
            return List[guess_python_type(literal_type.collection_type)]  # type: ignore[misc]
        case "map_value_type":
            return Dict[str, guess_python_type(literal_type.map_value_type)]  # type: ignore[misc]
        case "union_type":
            return _guess_union(literal_type)
        case "enum_type":
            return Enum("DynamicEnum", {value: value for value in literal_type.enum_type.values})
        case "blob" if literal_type.blob.format == PICKLE_FORMAT:
            return FlytePickle
        case "blob" | "structured_dataset_type" if (known := guessed(literal_type)) is not None:
            return known
        case "simple" if literal_type.simple in _SIMPLE:
            return _SIMPLE[literal_type.simple]
        case "simple" if literal_type.simple == SimpleType.STRUCT:
            record = _guess_record(literal_type)
            if record is not None:
                return record
    raise ValueError(f"No transformers could reverse Flyte literal type {str(literal_type).strip()}")


def _guess_union(literal_type: LiteralType) -> Any:
    variants = literal_type.union_type.variants
    if variants and all(variant.structure.tag == PICKLE_TAG for variant in variants):
        return FlytePickle
    return Union[tuple(guess_python_type(variant) for variant in variants)]


def _guess_record(literal_type: LiteralType) -> Any:
    from google.protobuf.json_format import MessageToDict

    schema = MessageToDict(literal_type.metadata)
    tag = literal_type.structure.tag
    if "pb_type" in schema:
        return None
    if "title" not in schema and "$ref" not in schema:
        return dict
    if tag == DATACLASS_TAG:
        return _Schema(schema, _make_dataclass).record(schema)
    if tag in _MODEL_TAGS:
        return _Schema(schema, _make_model).record(schema)
    return dict


class _Schema:
    """A JSON schema from which classes are made; `make` makes one from a title and its fields."""

    def __init__(self, root: dict[str, Any], make: Callable[[str, list[_Field]], type]) -> None:
        self._definitions: dict[str, Any] = root.get("$defs", {})
        self._make = make
        self._in_progress: list[str] = []
        self._made: dict[str, Any] = {}

    def record(self, schema: dict[str, Any]) -> Any:
        """The class for the schema of an object with named properties; the same one wherever it occurs."""
        if "$ref" in schema:
            return self._type_of(schema)
        key = json.dumps(schema, sort_keys=True)
        if key not in self._made:
            self._made[key] = self._make_record(schema)
        return self._made[key]

    def _make_record(self, schema: dict[str, Any]) -> type:
        required = schema.get("required", [])
        # A Struct keeps no order: the required fields come first, each group by name.
        properties = sorted(schema.get("properties", {}).items(), key=lambda item: (item[0] not in required, item[0]))
        fields = [
            _Field(name, self._type_of(definition), _default_of(definition) if name not in required else ...)
            for name, definition in properties
        ]
        return self._make(schema.get("title", "Record"), fields)

    def _type_of(self, schema: dict[str, Any]) -> Any:
        if "$ref" in schema:
            return self._referenced(schema["$ref"].rpartition("/")[2])
        if "anyOf" in schema:
            return Union[tuple(self._type_of(option) for option in schema["anyOf"])]
        if "enum" in schema:
            return str if all(isinstance(value, str) for value in schema["enum"]) else int
        match schema.get("type"):
            case "array":
                return List[self._type_of(schema["items"])] if "items" in schema else list  # type: ignore[misc]
            case "object" if "properties" in schema:
                return self.record(schema)
            case "object":
                values = schema.get("additionalProperties")
                return Dict[str, self._type_of(values)] if isinstance(values, dict) else dict  # type: ignore[misc]
            case kind:
                return _JSON_SCALARS.get(kind, Any)

    def _referenced(self, name: str) -> Any:
        if name in self._in_progress:
            return dict  # a record that contains itself
        self._in_progress.append(name)
        try:
            return self._type_of(self._definitions[name])
        finally:
            self._in_progress.pop()


@dataclasses.dataclass(frozen=True)
class _Field:
    """A field of a class to be made; `default` is `...` where there is none."""

    name: str
    annotation: Any
    default: Any


def _default_of(definition: dict[str, Any]) -> Any:
    default = definition.get("default")
    if isinstance(default, float) and definition.get("type") == "integer":
        return int(default)
    if "default" not in definition:
        return {"array": [], "object": {}}.get(definition.get("type", ""))
    return default


def _make_dataclass(title: str, fields: list[_Field]) -> type:
    specs: list[tuple[str, Any, Any]] = []
    for field in fields:
        annotation, spec = field.annotation, dataclasses.field(kw_only=True)
        if field.default is not ...:
            annotation = _with_none(annotation) if field.default is None else annotation
            spec = dataclasses.field(default_factory=_fresh(field.default), kw_only=True)
        specs.append((field.name, annotation, spec))
    return dataclasses.make_dataclass(title, specs, namespace={"__module__": __name__})


def _make_model(title: str, fields: list[_Field]) -> type:
    from pydantic import Field, create_model

    definitions: dict[str, Any] = {}
    for field in fields:
        annotation, spec = field.annotation, Field()
        if field.default is not ...:
            annotation = _with_none(annotation) if field.default is None else annotation
            spec = Field(default_factory=_fresh(field.default))
        definitions[field.name] = (annotation, spec)
    model: type = create_model(title, __module__=__name__, **definitions)
    return model


def _fresh(default: Any) -> Callable[[], Any]:
    return lambda: default.copy() if isinstance(default, list | dict) else default


def _with_none(annotation: Any) -> Any:
    return annotation if type(None) in typing.get_args(annotation) or annotation is Any else Optional[annotation]
