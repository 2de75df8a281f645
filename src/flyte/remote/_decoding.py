"""Recorded inputs and outputs as Python values, also of tasks whose code is not here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flyteidl2.core.interface_pb2 import TypedInterface
from flyteidl2.task.common_pb2 import Inputs, NamedLiteral, Outputs
from flyteidl2.workflow.run_definition_pb2 import ActionDetails

from flyte.models import NativeInterface
from flyte.remote._values import ActionInputs, ActionOutputs

if TYPE_CHECKING:
    from flyteidl2.core.literals_pb2 import Literal

    from flyte.types._codec import InterfaceCodec


async def decode_inputs(details: ActionDetails, inputs: Inputs, codec: InterfaceCodec | None) -> ActionInputs:
    """The inputs of an action.

    Args:
        details: Of the action.
        inputs: As they are recorded.
        codec: Of its task, where its code is here; None has the types guessed.
    """
    if codec is None:
        codec = await asyncio.to_thread(_guessed, details)
    if codec is None:
        return ActionInputs(inputs, {})
    return ActionInputs(inputs, await asyncio.to_thread(codec.decode_given, inputs))


async def decode_outputs(details: ActionDetails, outputs: Outputs, codec: InterfaceCodec | None) -> ActionOutputs:
    """The outputs of an action, as `decode_inputs`; one None where it has none."""
    if details.HasField("condition"):
        return await _decode_answer(details, outputs)
    if not outputs.literals:
        return ActionOutputs(outputs, (None,))
    if codec is None:
        codec = await asyncio.to_thread(_guessed, details, [each.name for each in outputs.literals])
    assert codec is not None
    value = await asyncio.to_thread(codec.decode_outputs, outputs)
    names = list(codec.interface.outputs)
    return ActionOutputs(outputs, value if len(names) > 1 else (value,), names)


async def typed(
    literals: Mapping[str, Literal],
    types: Mapping[str, type],
    deserializers: Mapping[type, Callable[[Any], Any]],
    what: str,
) -> dict[str, Any]:
    """Literals as values of the types that are named.

    Raises:
        ValueError: there is no literal of a name.
    """
    from flyte.types import TypeEngine

    values = {}
    for name, python_type in types.items():
        if name not in literals:
            raise ValueError(f"there is no {what} {name!r}; there are {', '.join(literals) or 'none'}.")
        if python_type in deserializers:
            plain = await TypeEngine.to_python_value(literals[name], _plain_type(literals[name]))
            values[name] = deserializers[python_type](plain)
        else:
            values[name] = await TypeEngine.to_python_value(literals[name], python_type)
    return values


def _plain_type(literal: Literal) -> Any:
    """The type that a literal is read as where nothing says more."""
    scalar = literal.scalar
    if scalar.HasField("primitive"):
        kinds: dict[str | None, Any] = {
            "integer": int,
            "float_value": float,
            "string_value": str,
            "boolean": bool,
        }
        return kinds.get(scalar.primitive.WhichOneof("value"), str)
    return dict


async def _decode_answer(details: ActionDetails, outputs: Outputs) -> ActionOutputs:
    """What a condition was answered with."""
    from flyte.types import TypeEngine

    literal = details.signal_info.output
    if not literal.HasField("scalar"):
        return ActionOutputs(outputs, (None,))
    value = await TypeEngine.to_python_value(literal, TypeEngine.guess_python_type(details.condition.type))
    return ActionOutputs(Outputs(literals=[NamedLiteral(name="o0", value=literal)]), (value,))


def _guessed(details: ActionDetails, output_names: list[str] | None = None) -> InterfaceCodec | None:
    from flyte.types import guess_interface
    from flyte.types._codec import InterfaceCodec

    interface = _interface_of(details)
    if interface is None:
        return None
    native = guess_interface(interface, details.task.default_inputs)
    if output_names is not None and set(output_names) == set(native.outputs):
        # Variables are sorted by name, and `o10` is not the third output.
        ordered = {name: native.outputs[name] for name in output_names}
        native = NativeInterface(native.inputs, ordered, native.docstring, native._remote_defaults)
    return InterfaceCodec(native, details.task.task_template.id.name or details.id.name)


def _interface_of(details: ActionDetails) -> TypedInterface | None:
    match details.WhichOneof("spec"):
        case "task":
            return details.task.task_template.interface
        case "trace":
            return details.trace.interface
    return None
