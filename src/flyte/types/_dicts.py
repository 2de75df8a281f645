"""`dict` without types, dicts whose keys are not text, and subclasses of dict: one msgpack document each."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any

from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.core.types_pb2 import LiteralType

from flyte.types._converter import PlainConverter
from flyte.types._documents import read_document, struct_type, write_document
from flyte.types._failure import TypeTransformerFailedError, mismatch, type_text
from flyte.types._pickles import dump_file, load_file

if TYPE_CHECKING:
    from flyte.types._dataclasses import ShapeForm

_PICKLE_KEY = "pickle_file"
_FORMAT_KEY = "format"
_PICKLE_FORMAT = "pickle"


class DictConverter(PlainConverter):
    """Dicts as documents. Without types anything that msgpack holds may be inside; tuples come back as lists.

    With `allow_pickle` a dict that msgpack cannot hold is pickled to a file instead of being refused.
    """

    name = "Typed Dict"

    def __init__(self, python_type: Any, *, allow_pickle: bool = False) -> None:
        self.python_type = python_type
        self._class: type = typing.get_origin(python_type) or python_type
        self._form = _form_of(python_type) if typing.get_args(python_type) else None
        self._allow_pickle = allow_pickle
        self.blocking = allow_pickle
        if self._class is dict:
            self.value_type = dict

    def build_literal_type(self) -> LiteralType:
        return struct_type()

    def write(self, value: Any, literal: Literal) -> None:
        if not isinstance(value, self._class):
            raise mismatch(self._class, value)
        try:
            write_document(value if self._form is None else self._form.to_plain(value), literal)
        except TypeTransformerFailedError:
            if not self._allow_pickle:
                raise
            literal.scalar.generic.update({_PICKLE_KEY: dump_file(value)})
            literal.metadata[_FORMAT_KEY] = _PICKLE_FORMAT

    def read(self, literal: Literal) -> Any:
        plain = read_document(literal, self.python_type)
        if literal.metadata.get(_FORMAT_KEY) == _PICKLE_FORMAT and literal.scalar.HasField("generic"):
            return load_file(plain[_PICKLE_KEY])
        return self.read_plain(plain)

    def read_plain(self, plain: Any) -> Any:
        if not isinstance(plain, dict):
            raise mismatch(dict, plain)
        if self._form is not None:
            return self._form.from_plain(plain)
        if self._class is dict:
            return plain
        try:
            value = self._class()
            value.update(plain)
        except Exception as error:
            raise TypeTransformerFailedError(f"Cannot fill an empty {type_text(self._class)}: {error}") from error
        return value


def _form_of(python_type: Any) -> ShapeForm:
    from flyte.types._dataclasses import ShapeForm

    return ShapeForm(python_type)
