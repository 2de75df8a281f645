"""What turns the values of one Python type into literals and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.core.types_pb2 import LiteralType

from flyte.types._documents import read_document
from flyte.types._failure import TypeTransformerFailedError, short_repr, type_text


class Converter(ABC):
    """Turns values of one Python type into literals and back; chosen once per type and shared by all threads.

    A subclass fills a literal in place (`write`), because copying a message into a field costs more than filling it:
    a list hands each of its items the literal to fill.

    Attributes:
        name: What this kind of type is called in union tags.
        python_type: The annotation this converter was chosen for.
        blocking: Whether converting may do input or output, or run a user's async transformer. Do that off the loop.
        value_type: The class of the values it takes, where there is exactly one; unions choose a variant by it.
        takes_anything: Whether it takes values of any class, so that a union asks it last.
    """

    name: str
    python_type: Any
    blocking: bool = False
    value_type: type | None = None
    takes_anything: bool = False

    @abstractmethod
    def build_literal_type(self) -> LiteralType:
        """The literal type of `python_type`; called once."""

    @abstractmethod
    def write(self, value: Any, literal: Literal) -> None:
        """Fill the empty `literal` with `value`.

        Raises:
            TypeTransformerFailedError: `value` does not fit; `literal` is then left in no particular state.
        """

    @abstractmethod
    def read(self, literal: Literal) -> Any:
        """The value that `literal` holds.

        Raises:
            TypeTransformerFailedError: it holds none of this type.
        """

    @cached_property
    def literal_type(self) -> LiteralType:
        return self.build_literal_type()

    def encode(self, value: Any) -> Literal:
        literal = Literal()
        self.write(value, literal)
        return literal

    def decode(self, literal: Literal) -> Any:
        return self.read(literal)

    def check(self, value: Any) -> None:
        """Raise what `write` would raise for `value`."""
        self.write(value, Literal())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type_text(self.python_type)})"


class PlainConverter(Converter):
    """A converter that also reads its values out of documents.

    A literal made by picking a field of a dataclass is a msgpack document that holds just that field.
    """

    @abstractmethod
    def read_plain(self, plain: Any) -> Any:
        """The value for the content of a document; any exception means that it does not fit."""

    def read_other(self, literal: Literal) -> Any:
        """Read a literal that is not of this converter's own kind: a document, or else an error."""
        plain = read_document(literal, self.python_type)
        try:
            return self.read_plain(plain)
        except TypeTransformerFailedError:
            raise
        except Exception as error:
            raise TypeTransformerFailedError(
                f"Cannot convert document {short_repr(plain)} to {type_text(self.python_type)}: {error}"
            ) from error
