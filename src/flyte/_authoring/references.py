"""Tasks by the name under which a module holds them."""

from __future__ import annotations

import importlib
import sys
from typing import Any


def declared_at(module: str, path: str) -> Any:
    """What a loaded module holds under a dotted path; None when there is no such thing."""
    found: Any = sys.modules.get(module)
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


def load_declared(module: str, path: str) -> Any:
    """What a module holds under a dotted path, importing the module if need be.

    Raises:
        AttributeError: it holds no such thing.
    """
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    return found


def load_changed(module: str, path: str, changes: dict[str, Any]) -> Any:
    """A copy of the task that a module holds under a dotted path, with other values in some of its fields."""
    return load_declared(module, path).with_changes(changes)
