"""Python types as a person reads them, with an example of a value."""

from __future__ import annotations

import dataclasses
import datetime
import inspect
import json
import types
import typing
from collections import abc
from enum import Enum
from pathlib import PurePath
from typing import Any

from flyte.cli._data_inputs import EXAMPLES, data_kind
from flyte.models.signatures import StringLiteral

UNIONS = (typing.Union, types.UnionType)
SEQUENCES = (list, abc.Sequence, abc.MutableSequence, abc.Iterable, abc.Collection)
SETS = (set, frozenset, abc.Set, abc.MutableSet)
MAPPINGS = (dict, abc.Mapping, abc.MutableMapping)

_EXAMPLES: dict[Any, Any] = {
    int: 5,
    float: 0.5,
    str: "text",
    bool: True,
    datetime.datetime: "2024-01-02T03:04:05Z",
    datetime.date: "2024-01-02",
    datetime.timedelta: "1h30m",
    types.NoneType: None,
}


def plain(annotation: Any) -> Any:
    """The annotation without `Annotated`, `NewType` and alias around it; `Any` where it says nothing."""
    while True:
        if typing.get_origin(annotation) is typing.Annotated:
            annotation = typing.get_args(annotation)[0]
        elif isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        elif hasattr(annotation, "__value__"):
            annotation = annotation.__value__
        else:
            break
    says_nothing = annotation in (inspect.Parameter.empty, object) or isinstance(annotation, typing.TypeVar)
    return Any if says_nothing else annotation


def is_union(annotation: Any) -> bool:
    """True for `A | B`, `Union` and `Optional`."""
    return typing.get_origin(annotation) in UNIONS


def is_named_tuple(annotation: Any) -> bool:
    """True for a class made by `NamedTuple` or `namedtuple`."""
    return isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields")


def is_pydantic_model(annotation: Any) -> bool:
    """True for a subclass of `pydantic.BaseModel`; without importing pydantic."""
    return isinstance(annotation, type) and any(
        base.__module__ == "pydantic.main" and base.__name__ == "BaseModel" for base in annotation.__mro__
    )


def is_record(annotation: Any) -> bool:
    """True for the classes that a JSON object fills field by field."""
    is_class = isinstance(annotation, type) and dataclasses.is_dataclass(annotation)
    return is_class or is_pydantic_model(annotation) or is_named_tuple(annotation) or typing.is_typeddict(annotation)


def choices_of(annotation: Any) -> dict[str, Any] | None:
    """The values of an enum or a `Literal` by the text that stands for each; None for another type."""
    if typing.get_origin(annotation) is typing.Literal:
        return {str(value): value for value in typing.get_args(annotation)}
    if isinstance(annotation, type) and issubclass(annotation, StringLiteral):
        return {member.value: member.value for member in annotation}
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return dict(annotation.__members__)
    return None


def show_type(annotation: Any) -> str:
    """A type as one would annotate it, enums and literals as their choices: `list[int]`, `RED|GREEN`, `int | None`."""
    annotation = plain(annotation)
    if annotation in (None, types.NoneType):
        return "None"
    if annotation is Any:
        return "any"
    if choices := choices_of(annotation):
        return "|".join(choices)
    arguments = typing.get_args(annotation)
    if is_union(annotation):
        return " | ".join(show_type(argument) for argument in arguments)
    origin = typing.get_origin(annotation)
    name = getattr(origin or annotation, "__name__", str(annotation))
    if not origin or not arguments:
        return name
    return f"{name}[{', '.join('...' if each is Ellipsis else show_type(each) for each in arguments)}]"


def fields_of(record: Any) -> dict[str, tuple[Any, bool]]:
    """The fields a JSON object may hold for a record class: annotation, and whether it must be there."""
    if is_pydantic_model(record):
        return {info.alias or name: (info.annotation, info.is_required()) for name, info in record.model_fields.items()}
    if typing.is_typeddict(record):
        return _typed_dict_fields(record)
    hints = typing.get_type_hints(record)
    if is_named_tuple(record):
        return {name: (hints.get(name, Any), name not in record._field_defaults) for name in record._fields}
    missing = dataclasses.MISSING
    return {
        field.name: (hints[field.name], field.default is missing and field.default_factory is missing)
        for field in dataclasses.fields(record)
        if field.init
    }


def _typed_dict_fields(record: Any) -> dict[str, tuple[Any, bool]]:
    # Where annotations are strings, `__required_keys__` does not see `NotRequired` and `Required`.
    marked = typing.get_type_hints(record, include_extras=True)
    explicit = {typing.Required: True, typing.NotRequired: False}
    return {
        name: (hint, explicit.get(typing.get_origin(marked[name]), name in record.__required_keys__))
        for name, hint in typing.get_type_hints(record).items()
    }


def example_of(annotation: Any, depth: int = 0) -> Any:
    """A JSON value that fits the annotation."""
    annotation = plain(annotation)
    if annotation in _EXAMPLES:
        return _EXAMPLES[annotation]
    if choices := choices_of(annotation):
        return next(iter(choices))
    if isinstance(annotation, type) and issubclass(annotation, PurePath):
        return "folder/file"
    if (kind := data_kind(annotation)) is not None:
        return EXAMPLES[kind]
    if depth > 3:
        return "..."
    arguments = typing.get_args(annotation)
    if is_union(annotation):
        return example_of(next(each for each in arguments if each is not types.NoneType), depth)
    if is_record(annotation):
        return _record_example(annotation, depth)
    return _container_example(typing.get_origin(annotation) or annotation, arguments, depth)


def _record_example(record: Any, depth: int) -> dict[str, Any]:
    fields = fields_of(record)
    shown = [name for name, (_, is_required) in fields.items() if is_required] or list(fields)[:1]
    return {name: example_of(fields[name][0], depth + 1) for name in shown}


def _container_example(origin: Any, arguments: tuple[Any, ...], depth: int) -> Any:
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        return [example_of(each, depth + 1) for each in arguments]
    if origin in SEQUENCES or origin in SETS or origin is tuple:
        return [example_of(arguments[0] if arguments else int, depth + 1)]
    if origin in MAPPINGS:
        key, value = arguments or (str, int)
        return {"key" if plain(key) is str else str(example_of(key)): example_of(value, depth + 1)}
    return "package.module:name"


def show_example(annotation: Any) -> str:
    """An example of the annotation as it is typed in a shell."""
    example = example_of(annotation)
    if isinstance(example, str):
        return f"'{example}'" if " " in example else example
    text = json.dumps(example)
    return f"'{text}'" if isinstance(example, list | dict) else text
