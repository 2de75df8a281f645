"""Checks values against annotations before a dataclass or dict is written, so that a wrong field fails at the call.

Lenient where nothing is lost: an int passes for a float, a whole float or a bool for an int, any sequence for another.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import os
import pathlib
import types
import typing
import uuid
from collections import deque
from collections.abc import Callable, Collection, Mapping
from enum import Enum
from typing import Any

from flyte.types._annotations import is_named_tuple, is_typed_dict
from flyte.types._failure import TypeTransformerFailedError, mismatch, short_repr, type_text

Check = Callable[[Any], None]
"""Raises `TypeTransformerFailedError`, with the path inside the value, for a value that does not fit."""

_ALWAYS_FINE: Check = lambda value: None  # noqa: E731 (compared by identity)
_CLASSES_CHECKED_AS_THEY_ARE = (
    bool,
    bytearray,
    bytes,
    datetime.datetime,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    str,
    type(None),
    uuid.UUID,
)
_COLLECTIONS = (list, tuple, set, frozenset, deque)


class FieldChecks:
    """Makes the check of one type, nested types included.

    Attributes:
        sure: Whether values that pass are certain to be read back as they were. A union of several types, or a type
            that is not known here, leaves a doubt.
    """

    def __init__(self) -> None:
        self.sure = True
        self._dataclasses: dict[type, Check] = {}

    def of(self, annotation: Any) -> Check:
        """The check of values annotated so."""
        origin, args = typing.get_origin(annotation), typing.get_args(annotation)
        if annotation is Any:
            return _ALWAYS_FINE
        if origin is typing.Annotated:
            return self.of(args[0])
        if origin is typing.Union or origin is types.UnionType:
            return self._of_union(annotation, args)
        if origin is typing.Literal:
            return _literal_check(annotation, args)
        if isinstance(annotation, typing.NewType):
            return self.of(annotation.__supertype__)
        if isinstance(origin, type):
            return self._of_generic(annotation, origin, args)
        if isinstance(annotation, type):
            return self._of_class(annotation)
        return self._doubtful()

    def _of_class(self, cls: type) -> Check:
        if cls is int:
            return _check_int
        if cls is float:
            return _check_float
        if cls is datetime.date:
            return _check_date
        if cls in _CLASSES_CHECKED_AS_THEY_ARE or (issubclass(cls, Enum) and cls is not Enum):
            return _instance_check(cls)
        if issubclass(cls, pathlib.PurePath):
            return _instance_check(os.PathLike, cls)
        if dataclasses.is_dataclass(cls):
            return self._of_dataclass(cls)
        if is_named_tuple(cls):
            hints = typing.get_type_hints(cls, include_extras=True)
            names: tuple[str, ...] = getattr(cls, "_fields")  # noqa: B009 (mypy knows no tuple class with fields)
            return _tuple_check(cls, [(f".{name}", self.of(hints.get(name, Any))) for name in names])
        if is_typed_dict(cls):
            return self._of_typed_dict(cls)
        if cls in (dict, *_COLLECTIONS):
            return _instance_check(dict if cls is dict else _COLLECTIONS, cls)
        if _is_model(cls):
            return _instance_check(cls)
        return self._doubtful()

    def _of_generic(self, annotation: Any, origin: type, args: tuple[Any, ...]) -> Check:
        if issubclass(origin, tuple):
            if len(args) == 2 and args[1] is ...:
                return _items_check(annotation, self.of(args[0]))
            return _tuple_check(annotation, [(f"[{index}]", self.of(arg)) for index, arg in enumerate(args)])
        if issubclass(origin, Mapping):
            if len(args) != 2:
                return self._doubtful()
            return _mapping_check(annotation, self.of(args[0]), self.of(args[1]))
        if issubclass(origin, Collection) and len(args) == 1:
            return _items_check(annotation, self.of(args[0]))
        return self._doubtful()

    def _of_union(self, annotation: Any, args: tuple[Any, ...]) -> Check:
        checks = [self.of(arg) for arg in args if arg is not type(None)]
        optional = len(checks) < len(args)
        if len(checks) > 1:
            self.sure = False  # which variant the reader picks shows only when it reads

        def check_union(value: Any) -> None:
            failures = []
            for check in [] if value is None and optional else checks:
                try:
                    check(value)
                except TypeTransformerFailedError as error:
                    failures.append(error)
                else:
                    return
            if failures:
                raise failures[0] if len(failures) == 1 else mismatch(type_text(annotation), value)

        return check_union

    def _of_dataclass(self, cls: type) -> Check:
        if cls in self._dataclasses:
            return self._dataclasses[cls]
        # A dataclass that contains itself meets this entry; it is replaced below.
        self._dataclasses[cls] = lambda value: self._dataclasses[cls](value)
        if hasattr(cls, "Config") or hasattr(cls, "__pre_serialize__") or hasattr(cls, "__post_serialize__"):
            self._dataclasses[cls] = self._doubtful(_instance_check(cls))
            return self._dataclasses[cls]
        hints = typing.get_type_hints(cls, include_extras=True)
        if any(isinstance(hint, dataclasses.InitVar) for hint in hints.values()):
            self.sure = False
        checks = [
            (field.name, self._doubtful() if field.metadata else self.of(hints[field.name]))
            for field in dataclasses.fields(cls)
        ]
        self._dataclasses[cls] = _attributes_check(cls, [each for each in checks if each[1] is not _ALWAYS_FINE])
        return self._dataclasses[cls]

    def _of_typed_dict(self, cls: Any) -> Check:
        checks = {}
        for name, hint in typing.get_type_hints(cls, include_extras=True).items():
            qualified = typing.get_origin(hint) in (typing.Required, typing.NotRequired)
            checks[name] = self.of(typing.get_args(hint)[0] if qualified else hint)
        required = cls.__required_keys__

        def check_typed_dict(value: Any) -> None:
            if not isinstance(value, Mapping):
                raise mismatch(cls, value)
            if missing := required - value.keys():
                raise TypeTransformerFailedError(f"{type_text(cls)} needs the key {min(missing)!r}")
            for name, check in checks.items():
                if name in value:
                    _check_part(check, value[name], f"[{name!r}]")

        return check_typed_dict

    def _doubtful(self, check: Check = _ALWAYS_FINE) -> Check:
        self.sure = False
        return check


def _check_int(value: Any) -> None:
    if not isinstance(value, int) and not (isinstance(value, float) and value.is_integer()):
        raise mismatch(int, value)


def _check_float(value: Any) -> None:
    if not isinstance(value, float | int):
        raise mismatch(float, value)


def _check_date(value: Any) -> None:
    if not isinstance(value, datetime.date) or isinstance(value, datetime.datetime):
        fix = "Pass its `.date()`." if isinstance(value, datetime.datetime) else ""
        raise mismatch(datetime.date, value, fix=fix)


def _instance_check(classes: Any, named: type | None = None) -> Check:
    def check_instance(value: Any) -> None:
        if not isinstance(value, classes):
            raise mismatch(named or classes, value)

    return check_instance


def _literal_check(annotation: Any, choices: tuple[Any, ...]) -> Check:
    def check_literal(value: Any) -> None:
        if not any(value == choice and type(value) is type(choice) for choice in choices):
            raise TypeTransformerFailedError(f"Value {short_repr(value)} is not one of {list(choices)}")

    return check_literal


def _items_check(annotation: Any, check: Check) -> Check:
    exact = int if check is _check_int else float if check is _check_float else None

    def check_items(value: Any) -> None:
        if not isinstance(value, _COLLECTIONS):
            raise mismatch(type_text(annotation), value)
        if check is _ALWAYS_FINE or (exact is not None and set(map(type, value)) <= {exact}):
            return
        for index, item in enumerate(value):
            _check_part(check, item, f"[{index}]")

    return check_items


def _tuple_check(annotation: Any, checks: list[tuple[str, Check]]) -> Check:
    def check_tuple(value: Any) -> None:
        if not isinstance(value, tuple | list):
            raise mismatch(type_text(annotation), value)
        if len(value) != len(checks):
            raise TypeTransformerFailedError(
                f"{type_text(annotation)} has {len(checks)} items, got {len(value)}: {short_repr(value)}"
            )
        for item, (step, check) in zip(value, checks, strict=True):
            _check_part(check, item, step)

    return check_tuple


def _mapping_check(annotation: Any, check_key: Check, check_value: Check) -> Check:
    def check_mapping(value: Any) -> None:
        if not isinstance(value, Mapping):
            raise mismatch(type_text(annotation), value)
        for key, item in value.items():
            try:
                check_key(key)
            except TypeTransformerFailedError as error:
                raise TypeTransformerFailedError(f"Key {short_repr(key)} does not fit: {error}") from error
            _check_part(check_value, item, f"[{key!r}]")

    return check_mapping


def _attributes_check(cls: type, checks: list[tuple[str, Check]]) -> Check:
    def check_attributes(value: Any) -> None:
        if not isinstance(value, cls):
            raise mismatch(cls, value)
        name = ""
        try:
            for name, check in checks:
                check(getattr(value, name))
        except TypeTransformerFailedError as error:
            error.prepend(f".{name}")
            raise
        except AttributeError as error:
            raise TypeTransformerFailedError(f"the instance of {type_text(cls)} has no field {name!r}") from error

    return check_attributes


def _check_part(check: Check, part: Any, step: str) -> None:
    try:
        check(part)
    except TypeTransformerFailedError as error:
        error.prepend(step)
        raise


def _is_model(cls: type) -> bool:
    # A model has imported pydantic already; asking this way does not.
    return hasattr(cls, "__pydantic_fields__")
