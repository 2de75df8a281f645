"""Looking into annotations."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from typing import Any


def classes_in(annotation: Any) -> Iterator[type]:
    """Every class that an annotation mentions, those in the fields of dataclasses and records included, once each."""
    seen: set[type] = set()
    waiting = [annotation]
    while waiting:
        current = waiting.pop()
        waiting.extend(typing.get_args(current))
        origin = typing.get_origin(current)
        if origin is not None:
            current = origin
        if not isinstance(current, type) or current in seen:
            continue
        seen.add(current)
        yield current
        if dataclasses.is_dataclass(current) or is_typed_dict(current) or is_named_tuple(current):
            waiting.extend(typing.get_type_hints(current, include_extras=True).values())


def holds_data(annotation: Any) -> bool:
    """Whether it mentions a class whose values may have to be stored when they are written, such as a frame.

    Such a class says so with a true class attribute `stores_data`.
    """
    waiting, seen = [annotation], set()
    while waiting:
        for cls in classes_in(waiting.pop()):
            if getattr(cls, "stores_data", False) is True:
                return True
            fields = getattr(cls, "__pydantic_fields__", None)
            if isinstance(fields, dict) and cls not in seen:
                seen.add(cls)
                waiting.extend(field.annotation for field in fields.values())
    return False


def is_named_tuple(annotation: Any) -> bool:
    """Whether it is a class made by `typing.NamedTuple` or `collections.namedtuple`."""
    return isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields")


def is_typed_dict(annotation: Any) -> bool:
    """Whether it is a TypedDict, of `typing` or of `typing_extensions`."""
    return isinstance(annotation, type) and issubclass(annotation, dict) and hasattr(annotation, "__total__")
