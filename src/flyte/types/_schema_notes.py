"""Notes of pydantic's `Field` on an annotation, kept in the literal type for whoever shows the input to people."""

from __future__ import annotations

import typing
from typing import Any

from flyteidl2.core.types_pb2 import LiteralType
from google.protobuf.json_format import MessageToDict

_KEYS_OF_THE_TYPE = frozenset(
    {"type", "items", "anyOf", "properties", "required", "additionalProperties", "$ref", "$defs"}
)


def add_schema_notes(literal_type: LiteralType, annotation: Any) -> None:
    """Put what `Annotated[T, Field(...)]` says (description, limits...) into the metadata of `literal_type`."""
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    inner, *notes = typing.get_args(annotation)
    fields = [note for note in notes if type(note).__module__ == "pydantic.fields"]
    noted: Any = typing.Annotated[(inner, *fields)]
    try:
        schema = TypeAdapter(noted).json_schema()
    except PydanticUserError:
        return  # pydantic does not know the type, so it cannot say what the notes mean for it
    notes_of_type = {key: value for key, value in schema.items() if key not in _KEYS_OF_THE_TYPE}
    known = MessageToDict(literal_type.metadata)
    literal_type.metadata.update({**known, **notes_of_type})
