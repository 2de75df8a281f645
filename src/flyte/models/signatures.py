"""How a Python function says what its inputs and outputs are."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from typing import Any, Dict, Tuple, Type

from flyte.errors import TaskDefinitionError

_EMPTY = inspect.Parameter.empty
_VARIADIC: Dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


class StringLiteral(Enum):
    """Base of the enums that stand for `Literal["a", "b"]`; the task itself gets plain strings."""


def interface_of(func: Callable[..., Any]) -> Tuple[Dict[str, Tuple[Type[Any], Any]], Dict[str, Type[Any]]]:
    """The inputs (type and default by name) and outputs (type by name) of a function."""
    hints = _resolved_annotations(func)
    inputs = {}
    for name, parameter in inspect.signature(func).parameters.items():
        if stars := _VARIADIC.get(parameter.kind):
            raise TaskDefinitionError(
                f"Function {func.__name__} cannot have variable positional or keyword arguments. "
                f"Replace '{stars}{name}' by named inputs, or by one input that is a list or a dict."
            )
        inputs[name] = (_input_type(func, name, hints.get(name, _EMPTY)), parameter.default)
    return inputs, outputs_of(hints.get("return", _EMPTY))


def _resolved_annotations(func: Callable[..., Any]) -> Dict[str, Any]:
    try:
        return typing.get_type_hints(func, include_extras=True)
    except Exception as error:
        error.add_note(
            f"while reading the annotations of function {func.__name__!r} ({func.__module__}). They must make sense at "
            f"run time: import the names they use outside `if TYPE_CHECKING:`."
        )
        raise


def _input_type(func: Callable[..., Any], name: str, annotation: Any) -> Any:
    if annotation is _EMPTY:
        _warn(f"Function {func.__name__} has parameter {name} without type annotation. Data will be pickled.")
        return annotation
    return _without_literal(annotation)


def outputs_of(annotation: Any) -> Dict[str, Type[Any]]:
    """The outputs that a return annotation declares, by name.

    Raises:
        TypeError: the annotation is a string, a tuple of one element, or a tuple of any length.
    """
    if annotation in (_EMPTY, None, type(None)):
        return {}
    if isinstance(annotation, str):
        raise TaskDefinitionError(f"return annotation {annotation!r} is a string; give the type itself")
    if isinstance(annotation, type) and annotation.__bases__ == (tuple,) and hasattr(annotation, "_fields"):
        return typing.get_type_hints(annotation, include_extras=True)
    if isinstance(annotation, tuple):
        elements: Tuple[Any, ...] = annotation
    elif typing.get_origin(annotation) is tuple:
        elements = typing.get_args(annotation)
    else:
        return {"o0": _without_literal(annotation)}
    _check_tuple(annotation, elements)
    return {f"o{index}": _without_literal(element) for index, element in enumerate(elements)}


def _check_tuple(annotation: Any, elements: Tuple[Any, ...]) -> None:
    if Ellipsis in elements:
        raise TaskDefinitionError(
            f"return annotation {annotation!r}: a task has a fixed number of outputs, so a tuple of any length cannot "
            f"be its outputs. Return a list to have one output of any length."
        )
    if len(elements) == 1:
        raise TaskDefinitionError(
            f"return annotation {annotation!r}: a tuple declares several outputs, and this one has a single element. "
            f"Annotate the element itself: one output needs no tuple."
        )


def _without_literal(annotation: Any) -> Any:
    if typing.get_origin(annotation) is not typing.Literal:
        return annotation
    values = typing.get_args(annotation)
    if not all(isinstance(value, str) for value in values):
        _warn(f"{annotation!r} has values that are not strings. Data will be pickled.")
        return Any
    return literal_enum(values)


@lru_cache(maxsize=1024)
def literal_enum(values: Tuple[str, ...]) -> Type[StringLiteral]:
    """The enum that stands for `Literal[values]`: each value under its upper-case form.

    The same values give the same class, so that interfaces of functions with equal signatures are equal.

    Raises:
        ValueError: a value is empty.
    """
    if "" in values:
        raise TaskDefinitionError(
            f"Literal{list(values)!r}: '' is an invalid enum member; use Optional[...] for a value that may be missing"
        )
    members = {value.upper(): value for value in values}
    if lost := set(values) - set(members.values()):
        _warn(f"Literal{list(values)!r}: {sorted(lost)} cannot be told apart from values that differ in case only.")
    # mypy takes the call of an Enum class for a look-up by value.
    return StringLiteral("LiteralEnum", members)  # type: ignore[call-arg, return-value]


def _warn(message: str) -> None:
    import logging

    logging.getLogger("flyte").warning(message)
