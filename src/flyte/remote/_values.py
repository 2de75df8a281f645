"""Inputs and outputs of an action as a person reads them."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from flyte.remote._documents import Document

if TYPE_CHECKING:
    from flyteidl2.task.common_pb2 import Inputs, Outputs


class ActionOutputs(tuple[Any, ...], Document):
    """The outputs of an action: a tuple whose items also have names, `o0`, `o1`... or those of a NamedTuple.

    A task without outputs has the one output None.

    Args:
        pb2: The outputs as they are recorded.
        data: The values.
        fields: Their names.
    """

    _fields: tuple[str, ...]

    def __new__(cls, pb2: Outputs, data: Iterable[Any], fields: Iterable[str] | None = None) -> ActionOutputs:
        outputs = super().__new__(cls, data)
        outputs.pb2 = pb2
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
        return ActionOutputs, (self.pb2, tuple(self), self._fields)

    def __repr__(self) -> str:
        return f"ActionOutputs({_named(self.named_outputs)})"


class ActionInputs(UserDict[str, Any], Document):
    """The inputs of an action by name.

    Args:
        pb2: The inputs as they are recorded.
        data: The values.
    """

    def __init__(self, pb2: Inputs, data: Mapping[str, Any]) -> None:
        super().__init__(data)
        self.pb2 = pb2

    def __repr__(self) -> str:
        return f"ActionInputs({_named(self.data)})"


def _named(values: dict[str, Any]) -> str:
    return ", ".join(
        f'{name}="{value}"' if isinstance(value, str) else f"{name}={value!r}" for name, value in values.items()
    )
