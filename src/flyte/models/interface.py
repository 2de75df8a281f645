"""The inputs and outputs of a task as Python types."""

# mypy: disable-error-code="type-arg"
# The annotations of the public class are spelled as the API has always spelled them: `Type`, not `Type[Any]`.

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, ClassVar, Dict, List, Optional, Tuple, Type

from flyte._docstring import Docstring

if TYPE_CHECKING:
    from flyteidl2.core import literals_pb2

_EMPTY = inspect.Parameter.empty


class _HasDefault:
    """Stands for a default that only the task's owner knows; a caller may leave the input out."""


@dataclass(frozen=True)
class NativeInterface:
    """Names, types and defaults of a task's inputs, and names and types of its outputs.

    Attributes:
        inputs: By name, in the order of the parameters: the type and the default. The default is
            `inspect.Parameter.empty` where there is none, `NativeInterface.has_default` where it is not known here.
        outputs: By name: those of a NamedTuple, else `o0`, `o1`...
        docstring: Descriptions of the task, its inputs and its outputs.
    """

    inputs: Dict[str, Tuple[Type, Any]]
    outputs: Dict[str, Type]
    docstring: Optional[Docstring] = None
    _remote_defaults: Optional[Dict[str, literals_pb2.Literal]] = field(default=None, repr=False)

    has_default: ClassVar[Type[_HasDefault]] = _HasDefault

    @classmethod
    def from_callable(cls, func: Callable) -> NativeInterface:
        """The interface of a function, read from its signature, its annotations and its docstring.

        Strings among the annotations are resolved. A parameter without annotation gets the type `inspect._empty`; its
        values will be pickled. A `Literal` of strings as the type of an input, of the one output, or of an element of
        a returned tuple becomes an enum named `LiteralEnum`; the default stays a string.

        Raises:
            ValueError: the function takes `*args` or `**kwargs`.
            TypeError: the return annotation is a tuple of one element, or of any length.
            NameError: an annotation names something that does not exist at run time.
        """
        from flyte.models.signatures import interface_of

        inputs, outputs = interface_of(func)
        return cls(inputs, outputs, Docstring(callable_=func) if func.__doc__ else None)

    @classmethod
    def from_types(
        cls,
        inputs: Mapping[str, Type | Tuple[Type, Any]],
        outputs: Dict[str, Type],
        default_inputs: Optional[Dict[str, literals_pb2.Literal]] = None,
    ) -> NativeInterface:
        """The interface of a task whose code is not here.

        Args:
            inputs: By name, the type; or a pair of the type and `inspect.Parameter.empty` (no default) or
                `NativeInterface.has_default` (its default is in `default_inputs`).
            outputs: By name, the type.
            default_inputs: Literals for the inputs that have a default.

        Raises:
            ValueError: an input has a default that `default_inputs` does not hold.
        """
        pairs = {name: item if isinstance(item, tuple) else (item, _EMPTY) for name, item in inputs.items()}
        for name, (_, default) in pairs.items():
            if default is _HasDefault and name not in (default_inputs or {}):
                given = ", ".join(default_inputs or {}) or "nothing"
                raise ValueError(f"input {name!r} has a default, but default_inputs holds {given}; add its literal")
        return cls(pairs, outputs, None, default_inputs)

    def has_outputs(self) -> bool:
        """True when there is at least one output."""
        return bool(self.outputs)

    def get_input_types(self) -> Dict[str, Type]:
        """The types of the inputs by name, in the order of the parameters."""
        return {name: input_type for name, (input_type, _) in self.inputs.items()}

    def required_inputs(self) -> List[str]:
        """Names of the inputs without a default."""
        return [name for name, (_, default) in self.inputs.items() if default is _EMPTY]

    def num_required_inputs(self) -> int:
        """How many inputs have no default."""
        return len(self.required_inputs())

    def convert_to_kwargs(self, /, *args: Any, **kwargs: Any) -> Dict[str, Any]:
        """Name the positional arguments of a call.

        A positional argument wins over a keyword of the same name. Defaults are not filled in, and a missing or, as
        long as there are not too many, an unknown name is not an error here: conversion finds it.

        Raises:
            ValueError: there are more arguments than inputs.
        """
        if len(args) > len(self.inputs):
            raise ValueError(
                f"Too many positional arguments provided, got {len(args)} for "
                f"{len(self.inputs)} expected inputs {list(self.inputs)}"
            )
        kwargs.update(zip(self.inputs, args, strict=False))
        if len(kwargs) > len(self.inputs):
            raise ValueError(
                f"Too many keyword arguments provided, got {list(kwargs)} for expected inputs {list(self.inputs)}"
            )
        return kwargs

    @property
    def json_schema(self) -> Dict[str, Any]:
        """A JSON schema of the inputs as one object; definitions shared by inputs are under `$defs`."""
        from flyte.models.json_schemas import schema_of_inputs

        return schema_of_inputs(self.get_input_types(), self.required_inputs())

    def __repr__(self) -> str:
        inputs = ", ".join(_describe_input(name, *item) for name, item in self.inputs.items())
        outputs = ", ".join(f"{name}: {_describe_type(output)}" for name, output in (self.outputs or {}).items())
        if len(self.outputs or {}) > 1:
            outputs = f"({outputs})"
        return f"({inputs}) -> {outputs}:" if outputs else f"({inputs}):"


def _describe_input(name: str, input_type: Type, default: Any) -> str:
    text = f"{name}: {_describe_type(input_type)}"
    if default is _EMPTY:
        return text
    return f"{text} = {'...' if default is _HasDefault else default}"


def _describe_type(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else repr(annotation)
