"""Enums, which travel by member name, and the enums that stand for `Literal["a", "b"]`, which travel by value."""

from __future__ import annotations

import difflib
from enum import Enum, Flag, IntEnum
from typing import Any

from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.core.types_pb2 import EnumType, LiteralType

from flyte.types._converter import PlainConverter
from flyte.types._failure import TypeTransformerFailedError, short, short_repr, type_text


class EnumConverter(PlainConverter):
    """Enums with text values, and IntEnum. A value is a member or the name of one."""

    name = "DefaultEnumTransformer"

    def __init__(self, python_type: type[Enum]) -> None:
        check_enum(python_type)
        self.python_type = self.value_type = python_type
        self._members = python_type.__members__
        self._names = {member: member.name for member in python_type}

    def build_literal_type(self) -> LiteralType:
        return LiteralType(enum_type=EnumType(values=list(self._names.values())))

    def write(self, value: Any, literal: Literal) -> None:
        if type(value) is not self.python_type:
            value = self._member_for_text(value)
        literal.scalar.primitive.string_value = self._names[value]

    def read(self, literal: Literal) -> Any:
        primitive = literal.scalar.primitive
        if not primitive.HasField("string_value"):
            return self.read_other(literal)
        return self._member(primitive.string_value)

    def read_plain(self, plain: Any) -> Enum:
        # A field of a dataclass holds the value of a member, one of a model holds its name.
        if isinstance(plain, str) and plain in self._members:
            return self._members[plain]
        member: Enum = self.python_type(plain)
        return member

    def _member(self, name: str) -> Enum:
        try:
            return self._members[name]
        except KeyError:
            raise TypeTransformerFailedError(
                f"Value {short(name)} is not in Enum {self.python_type}{_near(name, self._members)}"
            ) from None

    def _member_for_text(self, value: Any) -> Enum:
        names = list(self._names.values())
        if not isinstance(value, str) or isinstance(value, Enum):
            raise TypeTransformerFailedError(
                f"Value {short(value)} of type {type_text(type(value))} is not in Enum {self.python_type}",
                fix=f"Pass a member of {type_text(self.python_type)}, or the name of one.",
            )
        if value not in self._members and any(member.value == value for member in self._names):
            raise TypeTransformerFailedError(
                f"Value {short(value)} is not valid value, expected - {names}",
                fix=f"Pass the member, `{self.python_type.__name__}({value!r})`, or its name, "
                f"{self.python_type(value).name!r}.",
            )
        return self._member(value)


class LiteralEnumConverter(PlainConverter):
    """The enum that an interface makes of `Literal["a", "b"]`: the body of the task sees the plain text."""

    name = "DefaultEnumTransformer"

    def __init__(self, python_type: type[Enum]) -> None:
        self.python_type = python_type
        self._values = [member.value for member in python_type]

    def build_literal_type(self) -> LiteralType:
        return LiteralType(enum_type=EnumType(values=self._values))

    def write(self, value: Any, literal: Literal) -> None:
        literal.scalar.primitive.string_value = self.read_plain(value)

    def read(self, literal: Literal) -> Any:
        primitive = literal.scalar.primitive
        if not primitive.HasField("string_value"):
            return self.read_other(literal)
        return self.read_plain(primitive.string_value)

    def read_plain(self, plain: Any) -> str:
        text = plain.value if isinstance(plain, self.python_type) else plain
        if text not in self._values:
            raise TypeTransformerFailedError(
                f"Value {short_repr(plain)} is not one of {self._values}{_near(text, self._values)}"
            )
        return str(text)


def check_enum(python_type: type[Enum]) -> None:
    """Refuse an enum that cannot travel, whichever member is asked for.

    Raises:
        TypeTransformerFailedError: it has no members, is a Flag, or has values other than text.
    """
    name = python_type.__name__
    if issubclass(python_type, Flag):
        raise TypeTransformerFailedError(
            f"{name} is a Flag enum: a combination such as `A | B` has no name, so it cannot travel",
            fix="Use an IntEnum, or pass the combined value as an int.",
        )
    if not len(python_type):
        raise TypeTransformerFailedError(f"{name} has no members, so it has no values to send")
    if issubclass(python_type, IntEnum):
        return
    for member in python_type:
        if not isinstance(member.value, str):
            raise TypeTransformerFailedError(
                f"Only string-valued enums and IntEnum are supported, got {name} with "
                f"{type(member.value).__name__} values ({name}.{member.name} = {short_repr(member.value)})",
                fix=f"Give {name} text values, or derive it from `enum.IntEnum`.",
            )


def _near(text: Any, names: Any) -> str:
    close = difflib.get_close_matches(text, list(names), n=1) if isinstance(text, str) else []
    return f"; did you mean {close[0]!r}?" if close else f"; it has {', '.join(map(repr, names))}"
