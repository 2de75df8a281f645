"""Which converter goes with which annotation."""

from __future__ import annotations

import collections
import dataclasses
import inspect
import threading
import types
import typing
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any

from flyte.models.signatures import StringLiteral
from flyte.types._annotations import is_named_tuple, is_typed_dict
from flyte.types._containers import ListConverter, MapConverter
from flyte.types._converter import Converter
from flyte.types._enums import EnumConverter, LiteralEnumConverter
from flyte.types._failure import TypeTransformerFailedError
from flyte.types._pickles import ChoiceConverter, FlytePickle, PickleConverter, warn_about_pickle
from flyte.types._providers import provided
from flyte.types._registry import registry
from flyte.types._scalars import (
    BoolConverter,
    DateConverter,
    DatetimeConverter,
    FloatConverter,
    IntConverter,
    NoneConverter,
    ScalarConverter,
    StrConverter,
    TimedeltaConverter,
)
from flyte.types._transformers import TransformerConverter, TypeTransformer
from flyte.types._unions import UnionConverter

SCALARS: dict[type, type[ScalarConverter]] = {
    bool: BoolConverter,
    int: IntConverter,
    float: FloatConverter,
    str: StrConverter,
    datetime: DatetimeConverter,
    date: DateConverter,
    timedelta: TimedeltaConverter,
}

_MAX_CACHED = 10_000
_chosen: dict[Any, Converter] = {}
_chosen_from = -1
"""The revision of the registry that the cached choices were made from."""
_choosing = threading.RLock()
_aliases_in_progress: list[Any] = []


def converter_for(annotation: Any) -> Converter:
    """The converter of a Python type, chosen on first use.

    Raises:
        TypeTransformerFailedError: no value of this type can ever travel; says why.
        RestrictedTypeError: somebody registered the type as one that tasks may not use.
    """
    global _chosen_from

    if registry.revision == _chosen_from and (known := _chosen.get(_cache_key(annotation))):
        return known
    with _choosing:
        converter = _choose(annotation)
        # Choosing may load plugins, which register their types.
        if registry.revision != _chosen_from or len(_chosen) >= _MAX_CACHED:
            _chosen.clear()
            _chosen_from = registry.revision
        key = _cache_key(annotation)
        if key is not None:
            _chosen[key] = converter
    return converter


def _cache_key(annotation: Any) -> Any:
    """What tells annotations apart; None for one that cannot be cached.

    `int | str` equals `str | int`, but they have different literal types; their texts differ.
    """
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation
    try:
        hash(annotation)
    except TypeError:
        return None
    return annotation, repr(annotation)


def _choose(annotation: Any, notes: tuple[Any, ...] = ()) -> Converter:
    if typing.get_origin(annotation) is typing.Annotated:
        return _choose_annotated(annotation)
    if annotation is None or annotation is type(None):
        return NoneConverter()
    registered = registry.find(annotation)
    if registered is not None:
        return TransformerConverter(registered, annotation)
    if type(annotation).__name__ == "TypeAliasType":
        return _choose_for_alias(annotation)
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return _choose_for_class(annotation, notes)
    return _choose_for_generic(annotation, notes, typing.get_origin(annotation), typing.get_args(annotation))


def _choose_annotated(annotation: Any) -> Converter:
    inner, *notes = typing.get_args(annotation)
    for note in notes:
        if isinstance(note, TypeTransformer):
            return TransformerConverter(note, annotation)
    if inner is dict and any(isinstance(note, Mapping) and note.get("allow_pickle") for note in notes):
        from flyte.types._dicts import DictConverter

        return DictConverter(dict, allow_pickle=True)
    converter = _choose(inner, tuple(notes))
    if any(type(note).__module__ == "pydantic.fields" for note in notes):
        from flyte.types._schema_notes import add_schema_notes

        add_schema_notes(converter.literal_type, annotation)
    return converter


def _choose_for_alias(alias: Any) -> Converter:
    """`type Alias = ...`; inside its own value an alias has no end, so there it is pickled."""
    if alias in _aliases_in_progress:
        return _pickle(alias)
    _aliases_in_progress.append(alias)
    try:
        return _choose(alias.__value__)
    finally:
        _aliases_in_progress.pop()


def _choose_for_class(cls: type, notes: tuple[Any, ...]) -> Converter:
    if cls in SCALARS:
        return SCALARS[cls]()
    if issubclass(cls, StringLiteral):
        return LiteralEnumConverter(cls)
    if issubclass(cls, Enum):
        return EnumConverter(cls)
    if is_named_tuple(cls):
        from flyte.types._records import NamedTupleConverter

        return NamedTupleConverter(cls)
    if is_typed_dict(cls):
        from flyte.types._records import TypedDictConverter

        return TypedDictConverter(cls)
    if cls is dict:
        from flyte.types._dicts import DictConverter

        return DictConverter(dict)
    registry.load_plugins()
    return _choose_by_ancestors(cls, notes)


def _choose_by_ancestors(cls: type, notes: tuple[Any, ...]) -> Converter:
    for ancestor in cls.__mro__[:-1]:
        registered = registry.find(ancestor)
        if registered is not None:
            return TransformerConverter(registered, cls)
        if (converter := provided(ancestor, cls, notes)) is not None:
            return converter
        if ancestor in SCALARS:
            return SCALARS[ancestor](cls)
        if ancestor is dict:
            from flyte.types._dicts import DictConverter

            return DictConverter(cls)
        if ancestor.__name__ == "BaseModel" and ancestor.__module__ == "pydantic.main":
            from flyte.types._models import ModelConverter

            return ModelConverter(cls)
        if ancestor.__name__ == "Message" and ancestor.__module__ == "google.protobuf.message":
            from flyte.types._messages import MessageConverter

            return MessageConverter(cls)
    if dataclasses.is_dataclass(cls):
        from flyte.types._dataclasses import DataclassConverter

        return DataclassConverter(cls, cls)
    return _pickle(cls)


def _choose_for_generic(annotation: Any, notes: tuple[Any, ...], origin: Any, args: tuple[Any, ...]) -> Converter:
    if annotation is typing.List:
        raise TypeTransformerFailedError(
            "Type of Generic List type is not supported, Only generic univariate typing.List[T] type is supported.",
            fix="Write what it holds: `list[int]`, or `list` to have it pickled.",
        )
    if origin is list and args:
        return ListConverter(annotation, converter_for(args[0]))
    if origin is typing.Union or origin is types.UnionType:
        return UnionConverter(annotation, [converter_for(arg) for arg in args])
    if annotation is typing.Dict or origin in (dict, collections.OrderedDict):
        return _choose_dict(annotation, args)
    if origin is tuple and args and Ellipsis not in args:
        from flyte.types._records import TupleConverter

        return TupleConverter(annotation)
    if origin is typing.Literal:
        return ChoiceConverter(annotation)
    if isinstance(origin, type):
        registered = registry.find(origin)
        if registered is not None:
            return TransformerConverter(registered, annotation)
        if (converter := provided(origin, annotation, notes)) is not None:
            return converter
        if dataclasses.is_dataclass(origin):
            from flyte.types._dataclasses import DataclassConverter

            return DataclassConverter(annotation, origin)
    return _pickle(annotation)


def _choose_dict(annotation: Any, args: tuple[Any, ...]) -> Converter:
    if args and args[0] is str and typing.get_origin(annotation) is dict:
        return MapConverter(annotation, converter_for(args[1]))
    from flyte.types._dicts import DictConverter

    return DictConverter(annotation if args else dict)


def _pickle(annotation: Any) -> Converter:
    registry.load_plugins()
    # Of a parameter without annotation the interface has warned already.
    if annotation is not FlytePickle and annotation is not inspect.Parameter.empty:
        warn_about_pickle(annotation)
    return PickleConverter(annotation)
