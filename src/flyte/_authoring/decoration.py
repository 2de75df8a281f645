"""What can be seen to be wrong with a function when it is made a task."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from datetime import date, datetime, timedelta
from itertools import starmap
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from flyte._authoring.triggers import TriggerTime
from flyte.errors import TaskDefinitionError
from flyte.models import NativeInterface

_ACCEPTED: dict[Any, tuple[type, ...]] = {
    bool: (bool,),
    int: (int,),
    float: (float, int),
    str: (str,),
    datetime: (datetime,),
    date: (date,),
    timedelta: (timedelta,),
}
"""Types that need no converter of their own, with what may stand as a default of each."""


def check_is_function(candidate: Any, environment: str) -> None:
    """Refuse what is no plain function with a name.

    Raises:
        TaskDefinitionError: saying what came, and what to do with it.
    """
    if problem := _not_a_function(candidate):
        name = getattr(candidate, "__qualname__", None) or repr(candidate)
        raise TaskDefinitionError(f"environment {environment!r} cannot make a task of {name}: {problem}")


def _not_a_function(candidate: Any) -> str | None:
    if isinstance(candidate, functools.partial):
        return "it is a functools.partial. Define a function that calls it, with annotations of its own."
    if isinstance(candidate, staticmethod | classmethod | type):
        return f"it is of type {type(candidate).__name__}, not a function. Define a function at module level."
    if hasattr(candidate, "parent_env_name"):
        return (
            f"it is a task of environment {candidate.parent_env_name!r} already. Decorate it once, or make "
            f"a task of its function: {candidate.__name__}.func."
        )
    if not inspect.isfunction(candidate):
        return (
            f"it is of type {type(candidate).__name__}, not a function. Write @env.task above a function, "
            f"and options by name: @env.task(retries=3)."
        )
    if candidate.__name__ == "<lambda>":
        return "a task is found again by its name, which a lambda lacks. Use def."
    return None


def check_parameters(func: Callable[..., Any], task_name: str) -> None:
    """Refuse functions whose call a task cannot stand for: inputs have names, and one call gives one result.

    Raises:
        TaskDefinitionError: naming the task, what it has, and the fix.
    """
    if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
        raise TaskDefinitionError(
            f"task {task_name!r}: it yields, and a task gives one result. Return a list, or loop in the caller."
        )
    parameters = inspect.signature(func).parameters
    for name, parameter in parameters.items():
        if problem := _parameter_problem(parameter):
            raise TaskDefinitionError(f"task {task_name!r}: {problem}")
        if name in ("self", "cls") and parameter.annotation is parameter.empty and _is_in_class(func):
            raise TaskDefinitionError(
                f"task {task_name!r}: {func.__qualname__} is a method, and a task has no object to be called on. "
                f"Move it out of the class, and pass what it needs as inputs."
            )


def _parameter_problem(parameter: inspect.Parameter) -> str | None:
    match parameter.kind:
        case parameter.VAR_POSITIONAL:
            return (
                f"it cannot have variable positional arguments, got '*{parameter.name}'. Take one list, for example "
                f"'{parameter.name}: list[int]'; if a decorator of yours added them, give it functools.wraps."
            )
        case parameter.VAR_KEYWORD:
            return (
                f"it cannot have variable keyword arguments, got '**{parameter.name}'. Take one dict, for example "
                f"'{parameter.name}: dict[str, int]'; if a decorator of yours added them, give it functools.wraps."
            )
        case parameter.POSITIONAL_ONLY:
            return f"input {parameter.name!r} is positional-only, and inputs are passed by name. Remove the '/'."
    if parameter.default is TriggerTime:
        return (
            f"input {parameter.name!r} has the default TriggerTime, which only a trigger knows. Set it there: "
            f"Trigger(..., inputs={{{parameter.name!r}: TriggerTime}})."
        )
    return None


def _is_in_class(func: Callable[..., Any]) -> bool:
    owner, _, _ = func.__qualname__.rpartition(".")
    return owner != "" and not owner.endswith("<locals>")


def read_interface(func: Callable[..., Any], task_name: str) -> NativeInterface:
    """The inputs and outputs of `func`, all of which can be converted.

    Raises:
        NameError: an annotation uses a name that is not defined (yet).
        TaskDefinitionError: the annotations make no interface, or a type or a default cannot be converted.
    """
    try:
        interface = NativeInterface.from_callable(func)
    except NameError:
        raise
    except TaskDefinitionError as error:
        raise TaskDefinitionError(f"task {task_name!r}: {error}") from None
    except Exception as error:
        raise TaskDefinitionError(
            f"task {task_name!r}: its annotations cannot be read: {type(error).__name__}: {error}"
        ) from error
    if _is_plain_interface(interface):
        _check_plain_defaults(interface, task_name)
    else:
        from flyte.types._definition import check_interface

        check_interface(interface, task_name)
    return interface


def return_annotation(func: Callable[..., Any]) -> Any:
    """What `func` is annotated to return, as it is written; None where nothing is."""
    return get_type_hints(func, include_extras=True).get("return")


def undefined_name(error: NameError, func: Callable[..., Any], task_name: str) -> TaskDefinitionError:
    """The error for a task whose annotations name something that was not there even when it was needed."""
    name = f"{error.name!r}" if error.name else "a name"
    return TaskDefinitionError(
        f"task {task_name!r}: an annotation of {func.__qualname__} uses {name}, which module {func.__module__} does "
        f"not define. Define or import it at module level, outside functions and outside `if TYPE_CHECKING:`."
    )


def _check_plain_defaults(interface: NativeInterface, task_name: str) -> None:
    for name, (annotation, default) in interface.inputs.items():
        accepted = _ACCEPTED.get(annotation)
        if accepted is None or default is inspect.Parameter.empty or isinstance(default, accepted):
            continue
        kind = annotation.__name__
        wider = f"{kind} | None" if default is None else type(default).__name__
        raise TaskDefinitionError(
            f"task {task_name!r}: input {name!r} is annotated {kind}, but its default is {default!r}. "
            f"Change the default, or annotate it {wider}."
        )


def _is_plain_interface(interface: NativeInterface) -> bool:
    return all(starmap(_is_plain_input, interface.inputs.values())) and all(map(_is_plain, interface.outputs.values()))


def _is_plain_input(annotation: Any, default: Any) -> bool:
    if not _is_plain(annotation):
        return False
    is_absent = default is None and NoneType in get_args(annotation)
    return default is inspect.Parameter.empty or is_absent or annotation in _ACCEPTED


def _is_plain(annotation: Any) -> bool:
    """True for types that always convert, so that the converters need not be loaded to tell."""
    try:
        if annotation in _ACCEPTED or annotation is NoneType:
            return True
    except TypeError:
        return False
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is list or origin in (Union, UnionType):
        return all(map(_is_plain, arguments))
    return origin is dict and arguments[0] is str and _is_plain(arguments[1])
