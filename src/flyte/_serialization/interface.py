"""Inputs and outputs of a task: types, descriptions, defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flyteidl2.core.interface_pb2 import Parameter, TypedInterface, Variable, VariableMap
from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.task.common_pb2 import NamedParameter

from flyte._authoring.task import TaskTemplate
from flyte.errors import TaskDefinitionError


def interface_of(task: TaskTemplate[Any, Any, Any], *, described: bool) -> TypedInterface:
    """The typed interface, variables sorted by name, with what the docstring says of them where that is asked for."""
    interface = TypedInterface()
    interface.CopyFrom(task.codec.typed_interface)
    docstring = task.interface.docstring
    if described and docstring is not None:
        _describe(interface.inputs, docstring.input_descriptions)
        _describe(interface.outputs, docstring.output_descriptions)
    return interface


def default_inputs_of(task: TaskTemplate[Any, Any, Any]) -> list[NamedParameter]:
    """The inputs that have a default, in the order of the parameters.

    Raises:
        TaskDefinitionError: a default cannot be converted, as a file could that is nowhere a control plane reads.
    """
    return [
        NamedParameter(name=name, parameter=Parameter(var=Variable(type=_type(task, name)), default=literal))
        for name, literal in _defaults(task)
    ]


def _defaults(task: TaskTemplate[Any, Any, Any]) -> Iterator[tuple[str, Literal]]:
    for name in task.interface.inputs:
        try:
            literal = task.codec.default_literal(name)
        except Exception as error:
            raise TaskDefinitionError(
                f"task {task.name!r}: the default of input {name!r} cannot be sent to a control plane: "
                f"{type(error).__name__}: {error}"
            ) from error
        if literal is not None:
            yield name, literal


def _type(task: TaskTemplate[Any, Any, Any], name: str) -> Any:
    return next(entry.value.type for entry in task.codec.typed_interface.inputs.variables if entry.key == name)


def _describe(variables: VariableMap, descriptions: Mapping[str, str]) -> None:
    for entry in variables.variables:
        if entry.key in descriptions:
            entry.value.description = descriptions[entry.key]
