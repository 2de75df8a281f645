"""Protobuf messages as values."""

from __future__ import annotations

from typing import Any

from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.core.types_pb2 import LiteralType, SimpleType
from google.protobuf.json_format import Error as JsonFormatError
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from flyte.types._converter import Converter
from flyte.types._failure import TypeTransformerFailedError, mismatch, type_text, unreadable

_TYPE_KEY = "pb_type"


class MessageConverter(Converter):
    """Protobuf messages whose JSON form is an object; `Struct` first of all."""

    name = "Protobuf-Transformer"

    def __init__(self, python_type: type[Message]) -> None:
        self.python_type = self.value_type = python_type

    def build_literal_type(self) -> LiteralType:
        literal_type = LiteralType(simple=SimpleType.STRUCT)
        literal_type.metadata.update({_TYPE_KEY: f"{self.python_type.__module__}.{self.python_type.__name__}"})
        return literal_type

    def write(self, value: Any, literal: Literal) -> None:
        if not isinstance(value, self.python_type):
            fix = "Annotate `dict`, or pass a Struct." if isinstance(value, dict) else ""
            raise mismatch(self.python_type, value, fix=fix)
        if isinstance(value, Struct):
            literal.scalar.generic.CopyFrom(value)
            return
        plain = MessageToDict(value)
        if not isinstance(plain, dict):
            raise TypeTransformerFailedError(
                f"Failed to convert to generic protobuf struct: the JSON form of {type_text(self.python_type)} "
                f"is a {type(plain).__name__}",
                fix="Put it into a message, or annotate the Python type that it stands for.",
            )
        literal.scalar.generic.SetInParent()
        literal.scalar.generic.update(plain)

    def read(self, literal: Literal) -> Any:
        if not literal.scalar.HasField("generic"):
            raise unreadable(literal, self.python_type)
        message = self.python_type()
        if isinstance(message, Struct):
            message.CopyFrom(literal.scalar.generic)
            return message
        try:
            return ParseDict(MessageToDict(literal.scalar.generic), message)
        except JsonFormatError as error:
            raise TypeTransformerFailedError(f"Cannot read a {type_text(self.python_type)}: {error}") from error
