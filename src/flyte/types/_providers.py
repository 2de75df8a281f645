"""Types whose converters live in rooms above this one, which is told their names only.

A class is looked up by the package it comes from. The module named for that package is imported the first time such a
class is met; its function `provide(cls, annotation, notes)` gives the converter, or None for a class it does not know.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyte.types._converter import Converter

PROVIDERS = dict.fromkeys(("flyte", "numpy", "pandas", "polars", "pyarrow", "torch"), "flyte.io._converters")


def provided(cls: type, annotation: Any, notes: tuple[Any, ...] = ()) -> Converter | None:
    """The converter that a provider has for a class.

    Args:
        cls: The class, or the origin of a generic one.
        annotation: What was annotated, without `Annotated`.
        notes: What stood beside it in `Annotated`.
    """
    provider = PROVIDERS.get(cls.__module__.partition(".")[0])
    if provider is None or cls.__module__ == "flyte.types._pickles":
        return None
    converter: Converter | None = import_module(provider).provide(cls, annotation, notes)
    return converter
