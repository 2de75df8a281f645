"""Types that users teach: the base class of their transformers, and how one serves as a converter."""

from __future__ import annotations

import dis
import html
import inspect
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from flyteidl2.core.literals_pb2 import Binary, Literal
from flyteidl2.core.types_pb2 import LiteralType

from flyte.types._converter import Converter
from flyte.types._documents import MSGPACK, unpack
from flyte.types._failure import TypeTransformerFailedError, mismatch, short, type_text

T = TypeVar("T")
R = TypeVar("R")

_AWAITING = frozenset({"GET_AWAITABLE", "GET_AITER", "GET_ANEXT"})
"""The instructions by which a coroutine may suspend."""


class TypeTransformer(ABC, Generic[T]):
    """Teaches a type that Flyte does not know: subclass it, and register an instance with `TypeEngine.register`.

    A subclass says what the literal type is, and how a value becomes a literal and comes back. Both conversions may
    await, and may be called from any thread.

    Args:
        name: Unique; marks the type in unions, so it must not change while old values are around.
        t: The Python class. Subclasses of it are handled too, unless they have a transformer of their own.
        enable_type_assertions: Whether `assert_type` runs before a value is converted.
    """

    def __init__(self, name: str, t: type[T], enable_type_assertions: bool = True) -> None:
        self._name = name
        self._python_type = t
        self._type_assertions_enabled = enable_type_assertions

    @property
    def name(self) -> str:
        return self._name

    @property
    def python_type(self) -> type[T]:
        return self._python_type

    @property
    def type_assertions_enabled(self) -> bool:
        return self._type_assertions_enabled

    @abstractmethod
    def get_literal_type(self, t: type[T]) -> LiteralType:
        """The literal type for an annotation of this type."""

    @abstractmethod
    async def to_literal(self, python_val: T, python_type: type[T], expected: LiteralType) -> Literal:
        """The literal for a value.

        Args:
            python_val: An instance of the type, unless assertions are off.
            python_type: The annotation.
            expected: What `get_literal_type` gave for it.

        Raises:
            TypeTransformerFailedError: the value cannot be converted.
        """

    @abstractmethod
    async def to_python_value(self, lv: Literal, expected_python_type: type[T]) -> T | None:
        """The value of a literal.

        Raises:
            TypeTransformerFailedError: the literal holds none of this type.
        """

    def guess_python_type(self, literal_type: LiteralType) -> type[T]:
        """The Python type for a literal type, where only that is known.

        Raises:
            ValueError: this transformer does not make such literals.
        """
        raise ValueError(f"{self.name} does not guess a Python type for literal type {str(literal_type).strip()}")

    def assert_type(self, t: type[T], v: T) -> None:
        """Refuse a value that is not an instance of the annotation.

        Raises:
            TypeTransformerFailedError: it is not.
        """
        if typing.get_origin(t) is typing.Annotated:
            t = typing.get_args(t)[0]
        if not (isinstance(v, t) if typing.get_origin(t) is None else self.isinstance_generic(v, t)):
            raise mismatch(t, v)

    def isinstance_generic(self, obj: Any, generic_alias: Any) -> bool:
        """Whether `obj` is an instance of the class that a generic alias is of; its items are not looked at."""
        return isinstance(obj, typing.get_origin(generic_alias))

    def from_binary_idl(self, binary_idl_object: Binary, expected_python_type: type[T]) -> T | None:
        """The value in a msgpack document, as it stands there.

        Raises:
            TypeTransformerFailedError: the binary holds something else.
        """
        if binary_idl_object.tag != MSGPACK:
            raise TypeTransformerFailedError(f"Unsupported binary format `{binary_idl_object.tag}`")
        value: T | None = unpack(binary_idl_object.value)
        return value

    def schema_match(self, schema: dict[str, Any]) -> bool:
        """Whether a JSON schema describes this type; by default none does."""
        return False

    def to_html(self, python_val: T, expected_python_type: type[T]) -> str:
        """A value for a report page."""
        return html.escape(short(python_val))

    def __repr__(self) -> str:
        return f"{self.name} Transforms ({self.python_type}) to Flyte native"


class TransformerConverter(Converter):
    """Makes a converter of a user's transformer: its coroutines are run to their end here."""

    blocking = True

    def __init__(self, transformer: TypeTransformer[Any], annotation: Any) -> None:
        self.name = transformer.name
        self.python_type = annotation
        self.transformer = transformer
        self._run_to_literal = coroutine_runner(transformer.to_literal)
        self._run_to_python_value = coroutine_runner(transformer.to_python_value)
        if isinstance(annotation, type):
            self.value_type = annotation

    def build_literal_type(self) -> LiteralType:
        return self.transformer.get_literal_type(self.python_type)

    def write(self, value: Any, literal: Literal) -> None:
        self.check(value)
        try:
            encoded = self._run_to_literal(self.transformer.to_literal(value, self.python_type, self.literal_type))
        except TypeTransformerFailedError:
            raise
        except Exception as error:
            raise self._failed(f"convert {short(value)}", error) from error
        if not isinstance(encoded, Literal):
            raise TypeTransformerFailedError(f"Transformer {self.name} returned {short(encoded)}, not a Literal")
        literal.CopyFrom(encoded)

    def read(self, literal: Literal) -> Any:
        try:
            return self._run_to_python_value(self.transformer.to_python_value(literal, self.python_type))
        except TypeTransformerFailedError:
            raise
        except Exception as error:
            raise self._failed(f"read a {type_text(self.python_type)}", error) from error

    def check(self, value: Any) -> None:
        if self.transformer.type_assertions_enabled:
            self.transformer.assert_type(self.python_type, value)

    def _failed(self, doing: str, error: Exception) -> TypeTransformerFailedError:
        return TypeTransformerFailedError(f"Transformer {self.name} could not {doing}: {type(error).__name__}: {error}")


def coroutine_runner(method: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """What runs the coroutines of a method.

    One that awaits nothing needs no event loop, and lists of such values no switch of threads per item.
    """
    if inspect.iscoroutinefunction(method) and not _awaits(method):
        return _run_unsuspended
    from flyte.syncify import syncify

    return syncify.run_blocking


def _awaits(method: Callable[..., Any]) -> bool:
    return not _AWAITING.isdisjoint(instruction.opname for instruction in dis.get_instructions(method))


def _run_unsuspended(coroutine: Coroutine[Any, Any, R]) -> R:
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: R = stop.value
        return result
    coroutine.close()
    raise RuntimeError(f"{coroutine!r} suspended although it awaits nothing")
