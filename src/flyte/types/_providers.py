"""Types whose converters live in rooms above this one, which is told their names only.

A class is looked up by the package it comes from. The module named for that package is imported the first time such a
class is met; its function `provide(cls, annotation, notes)` gives the converter, or None for a class it does not know.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyteidl2.core.types_pb2 import LiteralType

    from flyte.types._converter import Converter

_classes: dict[type, str] = {}
"""Providers of single classes, whatever package those come from."""

PROVIDERS = dict.fromkeys(("flyte", "numpy", "pandas", "polars", "pyarrow", "torch"), "flyte.io._converters")


def provided(cls: type, annotation: Any, notes: tuple[Any, ...] = ()) -> Converter | None:
    """The converter that a provider has for a class.

    Args:
        cls: The class, or the origin of a generic one.
        annotation: What was annotated, without `Annotated`.
        notes: What stood beside it in `Annotated`.
    """
    provider = _classes.get(cls) or PROVIDERS.get(cls.__module__.partition(".")[0])
    if provider is None or cls.__module__ == "flyte.types._pickles":
        return None
    converter: Converter | None = import_module(provider).provide(cls, annotation, notes)
    return converter


def provide_class(cls: type, provider: str) -> None:
    """From now on the module `provider` gives the converter of a class."""
    from flyte.types._registry import registry

    if _classes.get(cls) != provider:
        _classes[cls] = provider
        registry.revision += 1


def guessed(literal_type: LiteralType) -> Any:
    """The class that a provider reads values of a literal type as; None where none does."""
    for provider in dict.fromkeys((*PROVIDERS.values(), *_classes.values())):
        found = import_module(provider).guess(literal_type)
        if found is not None:
            return found
    return None
