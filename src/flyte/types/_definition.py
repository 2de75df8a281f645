"""The check of a task's annotations where the task is declared."""

from __future__ import annotations

import inspect
from typing import Any

from flyte.errors import RestrictedTypeError, TaskDefinitionError
from flyte.models import NativeInterface
from flyte.types._choice import converter_for
from flyte.types._codec import fitted_default
from flyte.types._converter import Converter
from flyte.types._failure import TypeTransformerFailedError, short_repr, type_text


def check_interface(interface: NativeInterface, task_name: str) -> None:
    """Refuse what can never work: a type whose values cannot travel, or a default that does not fit its type.

    Raises:
        TaskDefinitionError: names the task, the parameter, the annotation and the fix.
    """
    for name, (annotation, default) in interface.inputs.items():
        converter = _converter(f"parameter {name!r}", annotation, task_name)
        if default is not inspect.Parameter.empty and default is not NativeInterface.has_default:
            _check_default(name, annotation, default, converter, task_name)
    for name, annotation in interface.outputs.items():
        _converter(f"output {name!r}", annotation, task_name)


def _converter(what: str, annotation: Any, task_name: str) -> Converter:
    try:
        converter = converter_for(annotation)
        _ = converter.literal_type
    except (TypeTransformerFailedError, RestrictedTypeError) as error:
        fix = getattr(error, "fix", "") or "Use another type."
        raise TaskDefinitionError(
            f"task {task_name!r}: {what} is annotated {type_text(annotation)}, which cannot travel: {error}. {fix}"
        ) from error
    return converter


def _check_default(name: str, annotation: Any, default: Any, converter: Converter, task_name: str) -> None:
    try:
        converter.check(fitted_default(converter, default))
    except TypeTransformerFailedError as error:
        fix = f"Annotate `{name}: {type_text(annotation)} | None`." if default is None else error.fix or "Change one."
        raise TaskDefinitionError(
            f"task {task_name!r}: the default of parameter {name!r}, {short_repr(default)}, does not fit its "
            f"annotation {type_text(annotation)}: {error}. {fix}"
        ) from error
