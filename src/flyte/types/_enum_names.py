"""Enums inside models travel by member name: renames the enum values in a dumped model, and back.

Renamed are the enums found in fields of a model directly, in `Optional`, in lists, in keys and values of dicts and in
nested models. Elsewhere (sets, tuples, unions of several types, dataclasses) the official release leaves the value, so
it stays here too.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

Rename = Callable[[Any], Any]


class EnumNames:
    """Finds the enums of a model once, and then renames them in any number of dumps.

    A dump is changed in place where that can be done.
    """

    def __init__(self, rename_enum: Callable[[type[Enum], Any], Any]) -> None:
        self._rename_enum = rename_enum
        self._models: dict[type[BaseModel], Rename | None] = {}

    def of_model(self, model: type[BaseModel]) -> Rename | None:
        """What renames the enums in a dump of `model`; None when it has none."""
        if model in self._models:
            return self._models[model]
        # A model that contains itself meets this entry; it is replaced below.
        self._models[model] = lambda dump: self._models[model](dump)  # type: ignore[misc]
        by_alias = model.model_config.get("serialize_by_alias", False)
        renames: dict[str, Rename] = {}
        for name, field in model.model_fields.items():
            rename = self._of_type(field.annotation)
            if rename is not None:
                renames[field.serialization_alias or name if by_alias else name] = rename
        self._models[model] = _fields_rename(renames) if renames else None
        return self._models[model]

    def _of_type(self, annotation: Any) -> Rename | None:
        from pydantic import BaseModel

        origin, args = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is typing.Annotated:
            return self._of_type(args[0])
        if origin is typing.Union or origin is types.UnionType:
            some = [arg for arg in args if arg is not type(None)]
            return self._of_type(some[0]) if len(some) == 1 else None
        if origin is list:
            return _items_rename(self._of_type(args[0]))
        if origin is dict:
            return _dict_rename(self._of_type(args[0]), self._of_type(args[1]))
        if isinstance(annotation, type) and issubclass(annotation, Enum):
            return lambda dump: self._rename_enum(annotation, dump)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return self.of_model(annotation)
        return None


def name_of_value(enum: type[Enum], value: Any) -> Any:
    """The name of the member with this value; the value itself where there is none (a custom serializer made it)."""
    try:
        return enum(value).name
    except ValueError:
        return value


def value_of_name(enum: type[Enum], name: Any) -> Any:
    """The value of the member with this name; the name itself where there is none (older releases sent values)."""
    member = enum.__members__.get(name) if isinstance(name, str) else None
    return name if member is None else member.value


def _fields_rename(renames: dict[str, Rename]) -> Rename:
    def rename_fields(dump: Any) -> Any:
        if isinstance(dump, dict):
            for name, rename in renames.items():
                if name in dump:
                    dump[name] = rename(dump[name])
        return dump

    return rename_fields


def _items_rename(rename: Rename | None) -> Rename | None:
    if rename is None:
        return None
    return lambda dump: [rename(item) for item in dump] if isinstance(dump, list) else dump


def _dict_rename(rename_key: Rename | None, rename_value: Rename | None) -> Rename | None:
    if rename_key is None and rename_value is None:
        return None
    key_of, value_of = rename_key or _same, rename_value or _same
    return lambda dump: (
        {key_of(key): value_of(value) for key, value in dump.items()} if isinstance(dump, dict) else dump
    )


def _same(dump: Any) -> Any:
    return dump
