"""Changes to certain parts of plain data, found by the types that the data was made from.

Two things are changed in the plain form of records:

* Enums in models travel by member name. Changed are those in fields of a model directly, in `Optional`, in lists, in
  keys and values of dicts, and in nested models; elsewhere (sets, tuples, unions of several types, dataclasses) the
  official release leaves the value, so it stays here too.
* Sets travel as lists, which are put in an order of their own: that in which Python iterates over a set differs from
  process to process, and with it the hash of a task's inputs would.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from typing import Any

from flyte.types._annotations import is_typed_dict
from flyte.types._documents import pack

Change = Callable[[Any], Any]
"""Takes a part of plain data, which it may change in place, and returns what to put there."""


class Changes(ABC):
    """Finds the parts to change once per type; the change can then be made in any number of values."""

    def __init__(self) -> None:
        self._records: dict[Any, Change | None] = {}

    @abstractmethod
    def here(self, annotation: Any) -> Change | None:
        """The change to a value annotated so, apart from what is inside it."""

    @abstractmethod
    def fields_of(self, record: Any) -> dict[str, Any] | None:
        """The annotations in a record class by their keys in the plain form; None for what is not to be entered."""

    def of(self, annotation: Any) -> Change | None:
        """The change to plain data made from a value annotated so; None where nothing in it changes."""
        change = self.here(annotation)
        if change is not None:
            return change
        origin, args = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is typing.Annotated:
            return self.of(args[0])
        if origin is typing.Union or origin is types.UnionType:
            some = [arg for arg in args if arg is not type(None)]
            return self.of(some[0]) if len(some) == 1 else None
        if origin is list and args:
            return _in_items(self.of(args[0]))
        if origin is dict and args:
            return _in_dict(self.of(args[0]), self.of(args[1]))
        if isinstance(annotation, type):
            return self._of_record(annotation)
        return None

    def _of_record(self, record: type) -> Change | None:
        if record in self._records:
            return self._records[record]
        fields = self.fields_of(record)
        if fields is None:
            return None

        def change_later(plain: Any) -> Any:
            change = self._records[record]
            return plain if change is None else change(plain)

        # A record that contains itself meets this entry; it is replaced below.
        self._records[record] = change_later
        changes = {key: change for key, field in fields.items() if (change := self.of(field)) is not None}
        self._records[record] = _in_fields(changes) if changes else None
        return self._records[record]


class EnumChanges(Changes):
    """Changes the enums of models, from value to name or back."""

    def __init__(self, change_enum: Callable[[type[Enum], Any], Any]) -> None:
        super().__init__()
        self._change_enum = change_enum

    def here(self, annotation: Any) -> Change | None:
        if isinstance(annotation, type) and issubclass(annotation, Enum):
            return lambda plain: self._change_enum(annotation, plain)
        return None

    def fields_of(self, record: Any) -> dict[str, Any] | None:
        return _model_fields(record)


class SetChanges(Changes):
    """Puts the lists that sets became in order."""

    def here(self, annotation: Any) -> Change | None:
        origin, args = typing.get_origin(annotation), typing.get_args(annotation)
        if annotation in (set, frozenset, typing.Set, typing.FrozenSet):
            return _put_in_order
        if origin in (set, frozenset) and args:
            inside = _in_items(self.of(args[0]))
            return _put_in_order if inside is None else lambda plain: _put_in_order(inside(plain))
        if origin is tuple and args:
            return _in_tuple([None if arg is ... else self.of(arg) for arg in args], of_any_length=args[-1] is ...)
        return None

    def fields_of(self, record: Any) -> dict[str, Any] | None:
        if not dataclasses.is_dataclass(record) and not is_typed_dict(record):
            return _model_fields(record)
        try:
            return typing.get_type_hints(record)
        except NameError:
            return None  # pydantic resolves names that are not there at run time for others


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


def _model_fields(record: Any) -> dict[str, Any] | None:
    fields = getattr(record, "__pydantic_fields__", None)
    if fields is None or dataclasses.is_dataclass(record):
        return None
    by_alias = record.model_config.get("serialize_by_alias", False)
    return {
        field.serialization_alias if by_alias and field.serialization_alias else name: field.annotation
        for name, field in fields.items()
    }


def _put_in_order(plain: Any) -> Any:
    return sorted(plain, key=pack) if isinstance(plain, list) else plain


def _in_fields(changes: dict[str, Change]) -> Change:
    def change_fields(plain: Any) -> Any:
        if isinstance(plain, dict):
            for key, change in changes.items():
                if key in plain:
                    plain[key] = change(plain[key])
        return plain

    return change_fields


def _in_items(change: Change | None) -> Change | None:
    if change is None:
        return None
    return lambda plain: [change(item) for item in plain] if isinstance(plain, list) else plain


def _in_tuple(changes: list[Change | None], *, of_any_length: bool) -> Change | None:
    if of_any_length:
        return _in_items(changes[0])
    if not any(changes):
        return None

    def change_tuple(plain: Any) -> Any:
        if not isinstance(plain, list) or len(plain) != len(changes):
            return plain
        return [item if change is None else change(item) for item, change in zip(plain, changes, strict=True)]

    return change_tuple


def _in_dict(change_key: Change | None, change_value: Change | None) -> Change | None:
    if change_key is None and change_value is None:
        return None
    key_of, value_of = change_key or _same, change_value or _same
    return lambda plain: (
        {key_of(key): value_of(value) for key, value in plain.items()} if isinstance(plain, dict) else plain
    )


def _same(plain: Any) -> Any:
    return plain


names_of_enums = EnumChanges(name_of_value)
values_of_enums = EnumChanges(value_of_name)
order_of_sets = SetChanges()
