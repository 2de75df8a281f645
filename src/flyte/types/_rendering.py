"""Values on report pages."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Renderable(Protocol):
    """Shows a value as HTML; put one into `Annotated[T, ...]` to choose how values of an input or output look."""

    def to_html(self, python_value: Any) -> str:
        """HTML text for a value."""
        ...
