"""Short reprs: required fields by position, others by name and only where they differ from their default."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import Field
    from typing import ClassVar


class RichRepr:
    """Gives a dataclass `__rich_repr__`, which the rich library prints with colours, and the same as plain `repr`."""

    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __rich_repr__(self) -> Iterator[Any]:
        for field in fields(self):
            if not field.repr:
                continue
            value = getattr(self, field.name)
            if field.default is not MISSING:
                yield field.name, value, field.default
            elif field.default_factory is not MISSING:
                yield field.name, value
            else:
                yield value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(_arguments(self.__rich_repr__()))})"


def _arguments(parts: Iterator[Any]) -> Iterator[str]:
    for part in parts:
        if not isinstance(part, tuple):
            yield repr(part)
        elif len(part) == 2 or part[1] != part[2]:
            yield f"{part[0]}={part[1]!r}"
