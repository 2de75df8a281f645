"""Public names of a module that are bound on first use, so that importing it costs next to nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from sys import modules
from typing import Any


def bound_lazily(
    module: str, package: str, module_of: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The functions `__getattr__` and `__dir__` of a module.

    Args:
        module: Its `__name__`.
        package: The package that its names are defined in.
        module_of: The module of that package for each name.
    """

    def get_attribute(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{module_of[name]}"), name)
        # The next use finds it without coming here.
        setattr(modules[module], name, value)
        return value

    return get_attribute, lambda: sorted(module_of)
