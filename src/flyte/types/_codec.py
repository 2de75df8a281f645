"""The values of a task call as recorded messages and back: converters chosen once per interface."""

from __future__ import annotations

import inspect
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from functools import cached_property
from hashlib import sha256
from typing import Any, NamedTuple

from flyteidl2.core.interface_pb2 import TypedInterface, Variable, VariableEntry, VariableMap
from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.task.common_pb2 import Inputs, Outputs

from flyte.errors import RuntimeDataValidationError
from flyte.models import NativeInterface
from flyte.types._annotations import is_named_tuple
from flyte.types._choice import converter_for
from flyte.types._converter import Converter
from flyte.types._failure import TypeTransformerFailedError, short_repr, type_text
from flyte.types._mistakes import misnamed_inputs, wrong_input, wrong_output

_ABSENT: Any = object()
_NO_DEFAULT = inspect.Parameter.empty


class _Input(NamedTuple):
    """An input, ready to convert. `default` is `_ABSENT` where there is none."""

    name: str
    write: Callable[[Any, Literal], None]
    read: Callable[[Literal], Any]
    default: Any
    converter: Converter


class InterfaceCodec:
    """Converts all inputs, or all outputs, of one task.

    Safe to share between threads.

    Args:
        interface: Of the task.
        task_name: For messages.
        return_type: The return annotation; where it is a NamedTuple class, outputs are decoded into it.

    Attributes:
        blocking: Whether converting may do input or output, or run a user's async transformer: if so, use a thread.

    Raises:
        TypeTransformerFailedError: an annotation is of a type that cannot travel; `check_interface` says this better.
    """

    def __init__(self, interface: NativeInterface, task_name: str, return_type: Any = None) -> None:
        self.interface = interface
        self.task_name = task_name
        self._inputs = [
            _Input(name, converter.write, converter.read, fitted_default(converter, default), converter)
            for name, (annotation, default) in interface.inputs.items()
            for converter in (converter_for(annotation),)
        ]
        self._outputs = [(name, converter_for(annotation)) for name, annotation in interface.outputs.items()]
        self._readers = {each.name: each.read for each in self._inputs}
        self._output_class = return_type if is_named_tuple(return_type) else None
        self.blocking = any(each.converter.blocking for each in self._inputs) or any(
            converter.blocking for _, converter in self._outputs
        )

    def encode_inputs(self, kwargs: Mapping[str, Any]) -> Inputs:
        """The message for the arguments of a call, in the order of the interface, with the defaults filled in.

        Raises:
            ValueError: an input is missing, or a name is not one of an input.
            TypeError: a value does not fit its annotation.
        """
        inputs = Inputs()
        add = inputs.literals.add
        given = 0
        for name, write, _, default, converter in self._inputs:
            value = kwargs.get(name, _ABSENT)
            if value is not _ABSENT:
                given += 1
            elif default is not _ABSENT:
                value = default
            else:
                literal = self._remote_default(name)
                if literal is None:
                    raise misnamed_inputs(self.task_name, self.interface, kwargs)
                add(name=name, value=literal)
                continue
            named = add()
            named.name = name
            try:
                write(value, named.value)
            except TypeTransformerFailedError as error:
                raise wrong_input(self.task_name, name, converter.python_type, value, error) from error
        if given != len(kwargs):
            raise misnamed_inputs(self.task_name, self.interface, kwargs)
        return inputs

    def encode_given(self, kwargs: Mapping[str, Any]) -> Inputs:
        """The message for these arguments alone, all of them inputs of the task; no defaults.

        Raises:
            TypeError: a value does not fit its annotation.
        """
        some = {name: pair for name, pair in self.interface.inputs.items() if name in kwargs}
        part = NativeInterface(some, self.interface.outputs, None, self.interface._remote_defaults)
        return InterfaceCodec(part, self.task_name).encode_inputs(kwargs)

    def encode_without(self, kwargs: Mapping[str, Any], left_out: str | None) -> Inputs:
        """As `encode_inputs`, without an input that somebody else gives a value.

        Raises:
            ValueError: an input is missing, or a name is not one of an input.
            TypeError: a value does not fit its annotation.
        """
        if left_out is None:
            return self.encode_inputs(kwargs)
        if left_out not in self._readers:
            raise misnamed_inputs(self.task_name, self.interface, {**kwargs, left_out: None})
        others = {name: pair for name, pair in self.interface.inputs.items() if name != left_out}
        rest = NativeInterface(others, self.interface.outputs, None, self.interface._remote_defaults)
        return InterfaceCodec(rest, self.task_name).encode_inputs(kwargs)

    def decode_inputs(self, inputs: Inputs) -> dict[str, Any]:
        """The arguments for the task's function; an input that the message does not hold gets its default.

        Raises:
            TypeTransformerFailedError: a literal does not fit its annotation.
            ValueError: the message holds an input that the task does not have, or lacks one without default.
        """
        kwargs: dict[str, Any] = {}
        readers = self._readers
        for named in inputs.literals:
            name = named.name
            read = readers.get(name)
            if read is None:
                raise misnamed_inputs(self.task_name, self.interface, dict.fromkeys(_names(inputs)))
            try:
                kwargs[name] = read(_whole(named.value))
            except TypeTransformerFailedError as error:
                raise self._undecodable(name, named.value, error) from error
        if len(kwargs) < len(self._inputs):
            self._fill_defaults(kwargs)
        return kwargs

    def decode_given(self, inputs: Inputs) -> dict[str, Any]:
        """The arguments that the message holds, all of them inputs of the task; no defaults.

        Raises:
            TypeTransformerFailedError: a literal does not fit its annotation.
        """
        kwargs: dict[str, Any] = {}
        for named in inputs.literals:
            try:
                kwargs[named.name] = self._readers[named.name](_whole(named.value))
            except TypeTransformerFailedError as error:
                raise self._undecodable(named.name, named.value, error) from error
        return kwargs

    def default_literal(self, name: str) -> Literal | None:
        """The default of an input as it travels; None where there is none.

        Raises:
            TypeTransformerFailedError: it does not fit the annotation.
        """
        found = next(each for each in self._inputs if each.name == name)
        return self._remote_default(name) if found.default is _ABSENT else found.converter.encode(found.default)

    def encode_outputs(self, value: Any) -> Outputs:
        """The message for what the task's function returned.

        Raises:
            RuntimeDataValidationError: it does not fit the return annotation, or is of another number of values.
        """
        outputs = Outputs()
        add = outputs.literals.add
        for (name, converter), item in zip(self._outputs, self._taken_apart(value), strict=True):
            named = add()
            named.name = name
            try:
                converter.write(item, named.value)
            except TypeTransformerFailedError as error:
                raise wrong_output(self.task_name, name, converter.python_type, error) from error
        return outputs

    def decode_outputs(self, outputs: Outputs) -> Any:
        """What the task returned: None, the value, a tuple of values, or its NamedTuple.

        Raises:
            RuntimeDataValidationError: a literal does not fit the return annotation.
        """
        literals = outputs.literals
        if len(literals) != len(self._outputs):
            raise RuntimeDataValidationError(
                ", ".join(name for name, _ in self._outputs),
                f"{len(literals)} outputs are recorded ({', '.join(_names(outputs))}), not {len(self._outputs)}",
                self.task_name,
            )
        values: list[Any] = []
        for (name, converter), named in zip(self._outputs, literals, strict=True):
            try:
                values.append(converter.read(_whole(named.value)))
            except TypeTransformerFailedError as error:
                raise RuntimeDataValidationError(name, error, self.task_name) from error
        if self._output_class is not None:
            return self._output_class(*values)
        if len(values) == 1:
            return values[0]
        return tuple(values) if values else None

    @cached_property
    def typed_interface(self) -> TypedInterface:
        """The interface in wire form, variables sorted by name."""
        return TypedInterface(
            inputs=_variables({each.name: each.converter for each in self._inputs}),
            outputs=_variables(dict(self._outputs)),
        )

    @cached_property
    def interface_hash(self) -> str:
        """Base64 of SHA-256 of `typed_interface`: part of cache keys, so that a changed interface misses."""
        wire = self.typed_interface.SerializeToString(deterministic=True)
        return b2a_base64(sha256(wire).digest(), newline=False).decode()

    def _taken_apart(self, value: Any) -> tuple[Any, ...]:
        """The values of the outputs, in their order."""
        expected = len(self._outputs)
        if expected == 0:
            if value is not None:
                raise RuntimeDataValidationError(
                    "return",
                    f"Expected no outputs but got {short_repr(value)} of type {type_text(type(value))}. "
                    f"Annotate the return type of the function, or return nothing",
                    self.task_name,
                )
            return ()
        if expected == 1 and not (self._output_class and isinstance(value, self._output_class)):
            return (value,)
        if not isinstance(value, tuple):
            raise self._wrong_count(f"Received {short_repr(value)} of type {type_text(type(value))}")
        if len(value) != expected:
            raise self._wrong_count(f"Received {len(value)} outputs")
        return value

    def _wrong_count(self, received: str) -> RuntimeDataValidationError:
        names = ", ".join(f"{name}: {type_text(converter.python_type)}" for name, converter in self._outputs)
        return RuntimeDataValidationError(
            "return",
            f"{received} but return annotation has {len(self._outputs)} outputs specified. Return a tuple of ({names})",
            self.task_name,
        )

    def _remote_default(self, name: str) -> Literal | None:
        if self.interface.inputs[name][1] is NativeInterface.has_default:
            return (self.interface._remote_defaults or {}).get(name)
        return None

    def _fill_defaults(self, kwargs: dict[str, Any]) -> None:
        for each in self._inputs:
            if each.name in kwargs:
                continue
            literal = self._remote_default(each.name)
            if literal is not None:
                kwargs[each.name] = each.read(literal)
            elif each.default is not _ABSENT:
                kwargs[each.name] = each.default
            else:
                raise misnamed_inputs(self.task_name, self.interface, kwargs)

    def _undecodable(self, name: str, literal: Literal, error: TypeTransformerFailedError) -> Exception:
        annotation = self.interface.inputs[name][0]
        return TypeTransformerFailedError(
            f"Error converting input '{name}' of task '{self.task_name}':\n"
            f"Literal value: {short_repr(str(literal))}\nExpected Python type: {annotation}\nException: {error}"
        )


def fitted_default(converter: Converter, default: Any) -> Any:
    """A default as its converter takes it: `rate: float = 1` means 1.0."""
    if default is _NO_DEFAULT or default is NativeInterface.has_default:
        return _ABSENT
    if type(default) is not int:
        return default
    try:
        converter.check(default)
    except TypeTransformerFailedError:
        try:
            converter.check(float(default))
        except TypeTransformerFailedError:
            return default
        return float(default)
    return default


def _whole(literal: Literal) -> Literal:
    if not literal.HasField("offloaded_metadata"):
        return literal
    from flyte.types._offloading import loaded

    return loaded(literal)


def _names(message: Inputs | Outputs) -> list[str]:
    return [named.name for named in message.literals]


def _variables(converters: Mapping[str, Converter]) -> VariableMap:
    variables = VariableMap()
    for name in sorted(converters):
        variables.variables.append(VariableEntry(key=name, value=Variable(type=converters[name].literal_type)))
    return variables
