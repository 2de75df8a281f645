"""The Python interface of a task whose code is not here."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, Optional

from flyteidl2.core.interface_pb2 import TypedInterface
from flyteidl2.task.common_pb2 import NamedParameter

from flyte.models import NativeInterface
from flyte.types._guess import guess_python_types


def guess_interface(
    interface: TypedInterface, default_inputs: Optional[Iterable[NamedParameter]] = None
) -> NativeInterface:
    """The interface with a Python type guessed for each variable.

    Args:
        interface: Of the deployed task.
        default_inputs: Its parameters that have a default; their inputs are marked `NativeInterface.has_default`.

    Raises:
        ValueError: no Python type has the literal type of a variable.
    """
    defaults = {named.name: named.parameter.default for named in default_inputs or ()}
    inputs: dict[str, tuple[Any, Any]] = {
        name: (python_type, NativeInterface.has_default if name in defaults else inspect.Parameter.empty)
        for name, python_type in guess_python_types(interface.inputs.variables).items()
    }
    return NativeInterface.from_types(inputs, guess_python_types(interface.outputs.variables), defaults)
