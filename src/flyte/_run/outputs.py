"""Inputs and outputs of an action as a person reads them."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Iterable
from typing import Any


class ActionOutputs(tuple[Any, ...]):
    """The outputs of an action: a tuple whose items also have names, `o0`, `o1`... or those of a NamedTuple.

    A task without outputs has the one output None.
    """

    _fields: tuple[str, ...]

    def __new__(cls, values: Iterable[Any], fields: Iterable[str] | None = None) -> ActionOutputs:
        outputs = super().__new__(cls, values)
        outputs._fields = tuple(fields) if fields is not None else tuple(f"o{i}" for i in range(len(outputs)))
        return outputs

    @property
    def named_outputs(self) -> dict[str, Any]:
        """The outputs by name."""
        return dict(zip(self._fields, self, strict=True))

    def __getattr__(self, name: str) -> Any:
        # Not a property of each name: what names there are depends on the task.
        if not name.startswith("_") and name in self._fields:
            return self[self._fields.index(name)]
        raise AttributeError(f"these outputs have no {name!r}; they are {', '.join(self._fields)}")

    def __reduce__(self) -> tuple[Any, ...]:
        return ActionOutputs, (tuple(self), self._fields)

    def __repr__(self) -> str:
        return f"ActionOutputs({_named(self.named_outputs)})"


class ActionInputs(UserDict[str, Any]):
    """The inputs of an action by name."""

    def __repr__(self) -> str:
        return f"ActionInputs({_named(self.data)})"


def _named(values: dict[str, Any]) -> str:
    return ", ".join(
        f'{name}="{value}"' if isinstance(value, str) else f"{name}={value!r}" for name, value in values.items()
    )
