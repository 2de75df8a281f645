"""JSON schemas of task inputs, for forms and for programs that call tasks."""

from __future__ import annotations

import inspect
import types
import typing
from enum import Enum
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

from flyte.models.signatures import StringLiteral

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Schema = Dict[str, Any]

_PLAIN: Dict[Any, Schema] = {
    inspect.Parameter.empty: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number", "format": "float"},
    str: {"type": "string"},
    dict: {"type": "object"},
}


def schema_of_inputs(input_types: Dict[str, Any], required: List[str]) -> Schema:
    """One object schema with a property for each input."""
    by_pydantic: List[Tuple[Schema, TypeAdapter[Any]]] = []
    properties = {name: _schema_of(each, by_pydantic) for name, each in input_types.items()}
    return {"type": "object", "properties": properties, "required": required, **_fill_in(by_pydantic)}


def _fill_in(by_pydantic: List[Tuple[Schema, TypeAdapter[Any]]]) -> Schema:
    """Complete the schemas that were left to pydantic, and give the definitions they refer to."""
    if not by_pydantic:
        return {}
    from pydantic import TypeAdapter

    # All at once: pydantic then gives two classes of one name two definitions.
    schemas, shared = TypeAdapter.json_schemas(
        [(index, "validation", adapter) for index, (_, adapter) in enumerate(by_pydantic)]
    )
    for (index, _), schema in schemas.items():
        by_pydantic[index][0].update(schema)
    return shared


def _schema_of(annotation: Any, by_pydantic: List[Tuple[Schema, TypeAdapter[Any]]]) -> Schema:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _schema_of(arguments[0], by_pydantic)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        # Callers name the member; where the enum stands for a Literal, its values are what they write.
        by_value = issubclass(annotation, StringLiteral)
        return {"type": "string", "enum": [each.value if by_value else each.name for each in annotation]}
    if annotation in _PLAIN:
        return dict(_PLAIN[annotation])
    if origin is list:
        return {"type": "array", "items": _schema_of(arguments[0], by_pydantic)}
    if origin is dict and arguments[0] is str:
        return {"type": "object", "additionalProperties": _schema_of(arguments[1], by_pydantic)}
    if origin in (typing.Union, types.UnionType):
        members = [_schema_of(member, by_pydantic) for member in arguments if member is not type(None)]
        return members[0] if len(members) == 1 else {"oneOf": members}
    return _left_to_pydantic(annotation, by_pydantic)


def _left_to_pydantic(annotation: Any, by_pydantic: List[Tuple[Schema, TypeAdapter[Any]]]) -> Schema:
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError, PydanticUndefinedAnnotation

    schema: Schema = {}
    try:
        adapter = TypeAdapter(annotation)
        adapter.json_schema()
    except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError, PydanticUndefinedAnnotation):
        # Such values travel as pickles: a schema cannot say anything about them.
        return schema
    by_pydantic.append((schema, adapter))
    return schema
