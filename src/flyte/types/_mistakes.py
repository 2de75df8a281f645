"""What callers of tasks are told when arguments or results do not fit."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from flyte.errors import RuntimeDataValidationError
from flyte.models import NativeInterface
from flyte.types._failure import TypeTransformerFailedError, short_repr, type_text


def wrong_input(task_name: str, name: str, annotation: Any, value: Any, error: TypeTransformerFailedError) -> TypeError:
    """The error for an argument that does not fit its annotation."""
    return TypeError(
        f"{_misfit('input', task_name, name, annotation, error)}\n"
        f"Type conversion failed for variable '{name}'.\n"
        f"Expected type: {annotation}\n"
        f"Actual type: {type(value)}\n"
        f"Value received: {short_repr(value)}\n"
        f"Reason: {error}"
    )


def wrong_output(
    task_name: str, name: str, annotation: Any, error: TypeTransformerFailedError
) -> RuntimeDataValidationError:
    """The error for a result that does not fit the return annotation."""
    return RuntimeDataValidationError(name, _misfit("output", task_name, name, annotation, error), task_name)


def _misfit(direction: str, task_name: str, name: str, annotation: Any, error: TypeTransformerFailedError) -> str:
    if not error.got:
        what = f", but at {name}{error.path}: {error.reason}"
    elif error.path:
        what = f", got {error.got} instead of {error.wanted} at {name}{error.path}"
    else:
        what = f", got {error.got}"
    fix = error.fix or f"Fix the {'caller' if direction == 'input' else 'task'}, or the annotation of {name!r}."
    return (
        f"[{direction.upper()}_TYPE] task {task_name!r}: {direction} {name!r} expects {type_text(annotation)}{what}.\n"
        f"{fix}"
    )


def misnamed_inputs(task_name: str, interface: NativeInterface, given: Mapping[str, Any]) -> ValueError:
    """The error for arguments whose names are not those of the inputs."""
    missing = [name for name in interface.required_inputs() if name not in given]
    unknown = [name for name in given if name not in interface.inputs]
    parts = []
    if missing:
        parts.append(f"Missing required inputs: {', '.join(missing)}.")
    if unknown:
        parts.append(f"Too many keyword arguments provided, unknown inputs: {_with_near(unknown, interface)}.")
    inputs = ", ".join(f"{name}: {type_text(annotation)}" for name, (annotation, _) in interface.inputs.items())
    parts.append(f"Task {task_name!r} takes {inputs or 'no inputs'}.")
    return ValueError(" ".join(parts))


def _with_near(unknown: list[str], interface: NativeInterface) -> str:
    described = []
    for name in unknown:
        near = difflib.get_close_matches(name, list(interface.inputs), n=1)
        described.append(f"{name!r} (did you mean {near[0]!r}?)" if near else repr(name))
    return ", ".join(described)
