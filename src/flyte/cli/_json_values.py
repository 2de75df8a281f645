"""JSON values to the Python values that an annotation asks for."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import pathlib
import types
import typing
import uuid
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

from flyte.cli._data_inputs import DataKind, data_from_text, data_kind
from flyte.cli._moments import parse_date, parse_datetime, parse_duration
from flyte.cli._type_texts import (
    MAPPINGS,
    SEQUENCES,
    SETS,
    choices_of,
    fields_of,
    is_named_tuple,
    is_pydantic_model,
    is_record,
    is_union,
    plain,
    show_type,
)


class Mismatch(ValueError):
    """A value does not fit its annotation.

    Attributes:
        path: Where in the value: `[3].name`; empty for the whole of it.
        reason: What is wrong there.
    """

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(f"at {path.lstrip('.')}: {reason}" if path else reason)
        self.path = path
        self.reason = reason

    def inside(self, step: str) -> Mismatch:
        """The same, seen from the value that holds this one at `step`."""
        return Mismatch(self.reason, step + self.path)


def _parse_bool(text: str) -> bool:
    values = {"true": True, "false": False}
    if text.lower() not in values:
        raise ValueError(f"{text!r} is neither true nor false")
    return values[text.lower()]


def _parse_number(number: Callable[[str], Any], noun: str) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            return number(text)
        except (ValueError, ArithmeticError):
            raise ValueError(f"{text!r} is no {noun}") from None

    return parse


SCALARS: dict[Any, Callable[[str], Any]] = {
    bool: _parse_bool,
    int: _parse_number(int, "whole number"),
    float: _parse_number(float, "number"),
    complex: _parse_number(complex, "complex number"),
    decimal.Decimal: _parse_number(decimal.Decimal, "decimal number"),
    str: str,
    datetime.datetime: parse_datetime,
    datetime.date: parse_date,
    datetime.timedelta: parse_duration,
    datetime.time: _parse_number(datetime.time.fromisoformat, "time of day such as 13:30"),
    uuid.UUID: _parse_number(uuid.UUID, "UUID"),
    pathlib.Path: pathlib.Path,
    pathlib.PurePath: pathlib.PurePath,
}
"""How the text of a scalar is read; each raises `ValueError` with what is wrong."""

_NATIVE = {bool: (bool,), int: (int,), float: (float, int), str: (str,)}
"""The scalars that JSON has itself, and what it may hand over for each."""


def from_json(value: Any, annotation: Any, *, exact: bool = False) -> Any:
    """The Python value that `value`, read from JSON, is for `annotation`.

    Args:
        value: None, a bool, a number, a text, a list or a dict.
        annotation: Any type annotation; where JSON has no form for it, `value` must be of it already, or name an object
            as `module:name`.
        exact: Texts stay texts and whole numbers whole: `"5"` is no int, and `5` no float.

    Raises:
        Mismatch: it does not fit; says where and why.
    """
    annotation = plain(annotation)
    if annotation is Any:
        return value
    if annotation in (None, types.NoneType):
        return _require(value is None, None, value, annotation)
    if is_union(annotation):
        return _from_union(value, typing.get_args(annotation), annotation)
    choices = choices_of(annotation)
    if choices is not None:
        return _choice(value, choices, annotation)
    if annotation in SCALARS:
        return _scalar(value, annotation, exact)
    kind = data_kind(annotation)
    if kind is not None and isinstance(value, str):
        return data_at(value, annotation, kind)
    if is_record(annotation):
        return record_from_json(value, annotation, exact=exact)
    return _container(value, annotation, exact)


def data_at(text: str, annotation: Any, kind: DataKind) -> Any:
    """The file, folder or frame at a path or URL.

    Raises:
        Mismatch: there is none.
    """
    try:
        return data_from_text(text, annotation, kind)
    except Exception as error:  # the libraries that read frames raise many kinds
        raise Mismatch(str(error)) from None


def _require(fits: bool, result: Any, value: Any, annotation: Any) -> Any:
    if not fits:
        raise Mismatch(f"{_show(value)} is no {show_type(annotation)}")
    return result


def _show(value: Any, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _scalar(value: Any, annotation: Any, exact: bool) -> Any:
    native = _NATIVE.get(annotation, ())
    if exact:
        native = native[:1]
    if isinstance(value, native) and (annotation is bool or not isinstance(value, bool)):
        return annotation(value)
    if annotation is datetime.timedelta and type(value) in (int, float):
        value = str(value)
    if not isinstance(value, str) or annotation is str or (exact and annotation in _NATIVE):
        return _require(False, None, value, annotation)
    try:
        return SCALARS[annotation](value)
    except ValueError as error:
        raise Mismatch(str(error)) from None


def _choice(value: Any, choices: dict[str, Any], annotation: Any) -> Any:
    for text, choice in choices.items():
        # `True == 1`, so the class counts too.
        same = getattr(choice, "value", choice)
        if (isinstance(value, str) and value == text) or (type(value) is type(same) and value == same):
            return choice
    raise Mismatch(f"{_show(value)} is none of {show_type(annotation)}{near(value, choices)}")


def near(value: Any, known: Iterable[str]) -> str:
    """`; did you mean x?` where a known name is close to `value`, whatever its case; else nothing."""
    if not isinstance(value, str):
        return ""
    by_folded = {text.casefold(): text for text in known}
    matches = get_close_matches(value.casefold(), by_folded, n=1)
    return f"; did you mean {by_folded[matches[0]]}?" if matches else ""


def in_order(variants: Iterable[Any]) -> list[Any]:
    """The variants of a union in the order they are tried: as declared, those that take any text last."""
    return sorted(variants, key=lambda variant: plain(variant) in (str, Any))


def _from_union(value: Any, variants: Iterable[Any], annotation: Any) -> Any:
    reasons = {}
    for exact in (True, False):
        for variant in in_order(variants):
            try:
                return from_json(value, variant, exact=exact)
            except Mismatch as error:
                reasons[show_type(variant)] = str(error)
    shown = [reason for reason in reasons.values() if " is no None" not in reason]
    raise Mismatch(shown[0] if len(shown) == 1 else f"{_show(value)} fits none of {show_type(annotation)}")


def record_from_json(value: Any, record: Any, *, base: Any = None, exact: bool = False) -> Any:
    """An instance of a dataclass, pydantic model, NamedTuple or TypedDict.

    Args:
        value: A dict of its fields; for a NamedTuple also the list of its items.
        record: The class.
        base: An instance that gives the fields which `value` leaves out; dataclasses and pydantic models only.
        exact: As in `from_json`.

    Raises:
        Mismatch: as `from_json`; an unknown field is one.
    """
    if isinstance(value, list) and is_named_tuple(record):
        value = dict(zip(record._fields, value, strict=False)) if len(value) <= len(record._fields) else value
    if not isinstance(value, dict):
        raise Mismatch(f"{_show(value)} is no object of {show_type(record)}")
    if is_pydantic_model(record):
        return _pydantic_from_json(value, record, base)
    fields = fields_of(record)
    for name in value:
        if name not in fields:
            known = ", ".join(fields) or "none"
            raise Mismatch(f"{show_type(record)} has no field {name!r}{near(name, fields)} (fields: {known})")
    missing = [name for name, (_, is_required) in fields.items() if is_required and name not in value]
    if missing and base is None:
        raise Mismatch(f"{show_type(record)} needs {', '.join(repr(name) for name in missing)}")
    converted = {name: _inside(f".{name}", each, fields[name][0], exact) for name, each in value.items()}
    try:
        return record(**converted) if base is None else dataclasses.replace(base, **converted)
    except Exception as error:
        # The class has a check of its own.
        raise Mismatch(f"{show_type(record)} refuses {_show(value)}: {error}") from None


def _pydantic_from_json(value: dict[str, Any], model: Any, base: Any) -> Any:
    from pydantic import ValidationError

    try:
        return model.model_validate({**base.model_dump(by_alias=True), **value} if base is not None else value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"])
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise Mismatch(f"{first['msg']}{more}", path) from None


def _inside(step: str, value: Any, annotation: Any, exact: bool) -> Any:
    try:
        return from_json(value, annotation, exact=exact)
    except Mismatch as error:
        raise error.inside(step) from None


def _container(value: Any, annotation: Any, exact: bool) -> Any:
    origin, arguments = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        return _fixed_tuple(value, arguments, annotation, exact)
    if origin in MAPPINGS:
        return _mapping(value, arguments or (Any, Any), annotation, exact)
    if origin in SEQUENCES or origin in SETS or origin is tuple:
        element = arguments[0] if arguments else Any
        _require(isinstance(value, list), None, value, annotation)
        items = [_inside(f"[{index}]", each, element, exact) for index, each in enumerate(value)]
        if origin in SEQUENCES:
            return items
        return origin(items) if origin in (tuple, frozenset) else set(items)
    if isinstance(value, str):
        return load_object(value, annotation)
    return _require(_is_instance(value, annotation), value, value, annotation)


def _fixed_tuple(value: Any, arguments: tuple[Any, ...], annotation: Any, exact: bool) -> Any:
    keys = [f"item_{index}" for index in range(len(arguments))]
    if isinstance(value, dict) and sorted(value) == sorted(keys):
        value = [value[key] for key in keys]
    if not isinstance(value, list) or len(value) != len(arguments):
        raise Mismatch(f"{_show(value)} is no list of {len(arguments)} items, as {show_type(annotation)} asks for")
    pairs = zip(value, arguments, strict=True)
    return tuple(_inside(f"[{index}]", each, argument, exact) for index, (each, argument) in enumerate(pairs))


def _mapping(value: Any, arguments: tuple[Any, ...], annotation: Any, exact: bool) -> Any:
    _require(isinstance(value, dict), None, value, annotation)
    key, element = arguments
    # JSON has text keys only, so a key is read as text even where values are not.
    return {
        _inside(f"[{name!r}]", name, key, False): _inside(f"[{name!r}]", each, element, exact)
        for name, each in value.items()
    }


def parse_reference(text: str) -> tuple[str, str] | None:
    """The module's name and the object's of a text like `package.module:name`; None for any other text."""
    module_name, _, name = text.partition(":")
    parts = f"{module_name}.{name}".split(".")
    return (module_name, name) if all(part.isidentifier() for part in parts) else None


def load_object(text: str, annotation: Any) -> Any:
    """The object that `module:name` names; the module is imported.

    Raises:
        Mismatch: the text has another form, or there is no such object, or it is of another type.
    """
    from importlib import import_module

    reference = parse_reference(text)
    if reference is None:
        raise Mismatch(f"{_show(text)} is no reference of the form package.module:name")
    module_name, name = reference
    try:
        value: Any = import_module(module_name)
    except Exception as error:
        raise Mismatch(f"module {module_name!r} cannot be imported: {type(error).__name__}: {error}") from error
    for part in name.split("."):
        if not hasattr(value, part):
            raise Mismatch(f"module {module_name!r} has no {name!r}{near(part, dir(value))}")
        value = getattr(value, part)
    return _require(_is_instance(value, annotation), value, value, annotation)


def _is_instance(value: Any, annotation: Any) -> bool:
    try:
        return isinstance(value, typing.get_origin(annotation) or annotation)
    except TypeError:
        # Not a class that can be asked: the engine has the last word.
        return True
