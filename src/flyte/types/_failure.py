"""The one error of value conversion, and how values and types read in it."""

from __future__ import annotations

import inspect
import reprlib
import types
import typing
from typing import TYPE_CHECKING, Any

from flyte.models.signatures import StringLiteral

if TYPE_CHECKING:
    from flyteidl2.core.literals_pb2 import Literal

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 120
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = _SHORT.maxdict = 6


class TypeTransformerFailedError(TypeError, AssertionError, ValueError):
    """A value does not fit its type, or a literal cannot be read as one.

    Attributes:
        reason: What is wrong, without the place.
        path: Where inside the value, such as `[3].name['k']`; empty when the value itself is meant.
        fix: What the caller can do about it; empty when that is plain from the reason.
        got: Where the type is what is wrong, the part at `path` with its type: `str 'x'`; else empty.
        wanted: The type that belongs there.
    """

    def __init__(self, reason: str = "", *, path: str = "", fix: str = "", got: str = "", wanted: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path
        self.fix = fix
        self.got = got
        self.wanted = wanted

    def prepend(self, step: str) -> None:
        """Say the way from one level further out: `step` leads to what `path` starts from."""
        self.path = step + self.path

    def __str__(self) -> str:
        return f"{self.reason} (at {self.path})" if self.path else self.reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason,), self.__dict__


def mismatch(expected: Any, value: Any, *, fix: str = "") -> TypeTransformerFailedError:
    """The error for a Python value of the wrong type."""
    return TypeTransformerFailedError(
        f"Expected value of type {expected} but got '{short(value)}' of type {type(value)}",
        fix=fix,
        got="None" if value is None else f"{type_text(type(value))} {short_repr(value)}",
        wanted=expected if isinstance(expected, str) else type_text(expected),
    )


def short(value: Any) -> str:
    """`str(value)`, cut where it would flood an error message; never fails."""
    if isinstance(value, list | tuple | dict | set | frozenset):
        return short_repr(value)
    try:
        text = str(value)
    except Exception:  # a user's __str__ may do anything
        text = object.__repr__(value)
    return text if len(text) <= _SHORT.maxstring else f"{text[: _SHORT.maxstring]}..."


def short_repr(value: Any) -> str:
    """`repr(value)`, cut where it would flood an error message; never fails."""
    try:
        return _SHORT.repr(value)
    except Exception:  # reprlib takes a class that is named `array` for the array it knows
        return object.__repr__(value)


def type_text(python_type: Any) -> str:
    """A type as people write it: `list[int]`, `digits.Config`, `int | None`."""
    if python_type is None or python_type is type(None):
        return "None"
    if python_type is ...:
        return "..."
    origin = typing.get_origin(python_type)
    if origin is typing.Annotated:
        return type_text(typing.get_args(python_type)[0])
    if origin is typing.Union or origin is types.UnionType:
        return " | ".join(map(type_text, typing.get_args(python_type)))
    if isinstance(origin, type) and (args := typing.get_args(python_type)):
        return f"{origin.__name__}[{', '.join(map(type_text, args))}]"
    if python_type is inspect.Parameter.empty:
        return "anything"
    if isinstance(python_type, type):
        return _class_text(python_type)
    return str(python_type).removeprefix("typing.")


def _class_text(cls: type) -> str:
    if issubclass(cls, StringLiteral):
        return f"Literal[{', '.join(repr(member.value) for member in cls)}]"
    if cls.__module__ in ("builtins", "__main__", "typing"):
        return cls.__qualname__
    # Of our own classes, the name by which people import them.
    module = cls.__module__.partition("._")[0] if cls.__module__.startswith("flyte.") else cls.__module__
    return f"{module}.{cls.__qualname__}"


def unreadable(literal: Literal, python_type: Any) -> TypeTransformerFailedError:
    """The error for a literal of the wrong kind."""
    return TypeTransformerFailedError(f"Cannot convert literal {literal_text(literal)} to {type_text(python_type)}")


def literal_text(literal: Literal) -> str:
    """What a literal holds, on one line: `string 'x'`, `collection of 3`, `union of integer 5`."""
    kind = literal.WhichOneof("value")
    if kind is None:
        return "without a value"
    if kind == "collection":
        return f"collection of {len(literal.collection.literals)}"
    if kind == "map":
        return f"map of {len(literal.map.literals)}"
    if kind != "scalar":
        return str(kind)
    scalar = literal.scalar
    match scalar.WhichOneof("value"):
        case "primitive":
            field = scalar.primitive.WhichOneof("value")
            if field is None:
                return "without a value"
            value = getattr(scalar.primitive, field)
            if field in ("datetime", "duration"):
                return f"{field} of {value.seconds} s"
            return f"{field.removesuffix('_value')} {short_repr(value)}"
        case "union":
            return f"union of {literal_text(scalar.union.value)}"
        case "binary":
            return f"binary of {len(scalar.binary.value)} bytes with tag `{scalar.binary.tag}`"
        case "none_type":
            return "none"
        case "blob":
            return f"blob {scalar.blob.uri}"
        case None:
            return "without a value"
        case other:
            return str(other)
