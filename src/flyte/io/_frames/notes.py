"""What an annotation says about a frame beside its class: `Annotated[pandas.DataFrame, {"a": int}, "csv"]`."""

from __future__ import annotations

import threading
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flyteidl2.core.types_pb2 import StructuredDatasetType

from flyte.types._choice import converter_for

_hashing = threading.Lock()


@dataclass(frozen=True)
class FrameNotes:
    """The notes of one annotation.

    Attributes:
        columns: Types by name; a reader gets these columns alone, in this order.
        format: To write in; empty for the default.
        schema: An arrow schema, recorded as text.
        hash_method: Gives the hash that stands for the frame in cache keys.
    """

    columns: Mapping[str, Any] = field(default_factory=dict)
    format: str = ""
    schema: Any = None
    hash_method: Any = None

    def structured_type(self) -> StructuredDatasetType:
        """The notes in wire form."""
        message = StructuredDatasetType(format=self.format)
        for name, python_type in self.columns.items():
            message.columns.add(name=name, literal_type=converter_for(python_type).literal_type)
        if self.schema is not None:
            message.external_schema_type = "arrow"
            message.external_schema_bytes = str(self.schema).encode()
        return message


def taken_apart(annotation: Any) -> tuple[Any, Any, tuple[Any, ...]]:
    """An annotation without `Annotated`, the class it is of, which may be none, and what stood beside it."""
    notes: tuple[Any, ...] = ()
    if typing.get_origin(annotation) is typing.Annotated:
        annotation, *rest = typing.get_args(annotation)
        notes = tuple(rest)
    return annotation, typing.get_origin(annotation) or annotation, notes


def read_notes(notes: tuple[Any, ...]) -> FrameNotes:
    """The notes in `Annotated`; what says nothing about frames is left out."""
    found: dict[str, Any] = {}
    for note in notes:
        if isinstance(note, Mapping):
            found["columns"] = note
        elif isinstance(note, str):
            found["format"] = note
        elif is_hash_method(note):
            found["hash_method"] = note
        elif type(note).__module__.startswith("pyarrow") and type(note).__name__ == "Schema":
            found["schema"] = note
    return FrameNotes(**found)


def is_hash_method(value: Any) -> bool:
    """Whether a value is a `HashMethod`, by what it can do."""
    return all(callable(getattr(value, name, None)) for name in ("update", "result"))


def hash_by(method: Any, frame: Any) -> str:
    """The hash that a `HashMethod` gives a frame. The method may be shared, and keeps state: one frame at a time."""
    with _hashing:
        if callable(reset := getattr(method, "reset", None)):
            reset()
        method.update(frame)
        return str(method.result())
