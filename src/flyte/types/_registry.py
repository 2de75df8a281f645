"""The transformers that users and plugins have registered."""

from __future__ import annotations

import logging
import threading
from typing import Any

from flyte.errors import RestrictedTypeError
from flyte.types._failure import type_text
from flyte.types._transformers import TypeTransformer

PLUGIN_GROUP = "flyte.plugins.types"
"""Entry points of this group are called once, before a type that is not built in is looked up."""

_logger = logging.getLogger("flyte")


class Registry:
    """Python types and their transformers.

    Attributes:
        revision: Grows with each change, so that choices made from an older state can be told.
    """

    def __init__(self) -> None:
        self.revision = 0
        self._transformers: dict[Any, TypeTransformer[Any]] = {}
        self._restricted: dict[Any, str] = {}
        self._plugins_loaded = False
        self._lock = threading.RLock()

    def add(self, transformer: TypeTransformer[Any], python_type: Any, *, builtin: bool, override: bool) -> None:
        """Let `transformer` handle `python_type`.

        Raises:
            ValueError: something else handles it, and `override` is not set.
        """
        with self._lock:
            known = self._transformers.get(python_type)
            if not override and (known is not None or builtin):
                raise ValueError(
                    f"Transformer {known.name if known else 'of Flyte itself'} for type {python_type} is already "
                    f"registered. Cannot override with {transformer.name}"
                )
            self._transformers[python_type] = transformer
            self.revision += 1

    def restrict(self, name: str, python_type: Any) -> None:
        """Forbid `python_type` in tasks; `name` says as what."""
        with self._lock:
            self._restricted[python_type] = name
            self.revision += 1

    def find(self, python_type: Any) -> TypeTransformer[Any] | None:
        """The transformer registered for exactly this type.

        Raises:
            RestrictedTypeError: the type is forbidden.
        """
        try:
            if python_type in self._restricted:
                raise RestrictedTypeError(
                    f"Transformer for type {type_text(python_type)} is restricted currently "
                    f"({self._restricted[python_type]})"
                )
            return self._transformers.get(python_type)
        except TypeError:  # not hashable, so never registered
            return None

    def registered_types(self) -> list[Any]:
        return list(self._transformers)

    def transformers(self) -> list[TypeTransformer[Any]]:
        return list(self._transformers.values())

    def load_plugins(self) -> None:
        """Call the entry points of installed plugins, once in this process; one that fails is reported and left out."""
        with self._lock:
            if self._plugins_loaded:
                return
            self._plugins_loaded = True
            from importlib.metadata import entry_points

            for entry_point in entry_points(group=PLUGIN_GROUP):
                try:
                    loaded = entry_point.load()
                    if callable(loaded):
                        loaded()
                except Exception:
                    _logger.warning("Type plugin %s = %s failed", entry_point.name, entry_point.value, exc_info=True)


registry = Registry()
