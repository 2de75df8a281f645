"""Files and folders as blob literals."""

from __future__ import annotations

import os
from typing import Any

from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.core.types_pb2 import BlobType, LiteralType

from flyte.io._reference import Reference
from flyte.types._converter import PlainConverter
from flyte.types._documents import read_document
from flyte.types._failure import TypeTransformerFailedError, mismatch, unreadable

_DIMENSIONALITY = {
    "file": BlobType.BlobDimensionality.SINGLE,
    "folder": BlobType.BlobDimensionality.MULTIPART,
}


class ReferenceConverter(PlainConverter):
    """`File` and `Dir`: the address travels, and the hash that stands for the content.

    Args:
        annotation: What was annotated.
        cls: `File` or `Dir`.
    """

    blocking = True

    def __init__(self, annotation: Any, cls: Any) -> None:
        self.python_type = annotation
        # `File` or `Dir` without parameters, of which every `File[T]`, `Dir[T]` and `EmptyDir` is one.
        self._class: type[Reference] = cls.__mro__[cls.__mro__.index(Reference) - 1]
        self.name = self._class.__name__
        self.value_type = self._class
        self._dimensionality = _DIMENSIONALITY[self._class.kind]

    def build_literal_type(self) -> LiteralType:
        literal_type = LiteralType()
        literal_type.blob.dimensionality = self._dimensionality
        return literal_type

    def write(self, value: Any, literal: Literal) -> None:
        self.check(value)
        value.settle()
        blob = literal.scalar.blob
        blob.uri = value.recorded_path()
        blob.metadata.type.format = value.format
        blob.metadata.type.dimensionality = self._dimensionality
        recorded_hash = value.recorded_hash()
        if recorded_hash:
            literal.hash = recorded_hash

    def read(self, literal: Literal) -> Any:
        if literal.scalar.HasField("binary"):
            return self.read_plain(read_document(literal, self.python_type))
        if not literal.scalar.HasField("blob"):
            raise unreadable(literal, self.python_type)
        blob = literal.scalar.blob
        if blob.metadata.type.dimensionality != self._dimensionality:
            found, wanted = ("folder", "Dir") if self._class.kind == "file" else ("file", "File")
            raise TypeTransformerFailedError(
                f"Cannot convert blob {blob.uri} to {self.name}: it is recorded as a {found}",
                fix=f"Annotate `{wanted}`.",
            )
        return self._class.of_record(blob.uri, blob.metadata.type.format, literal.hash)

    def read_plain(self, plain: Any) -> Any:
        return self._class.model_validate(plain, context={"deserialize": True})

    def check(self, value: Any) -> None:
        if isinstance(value, self._class):
            return
        fix = ""
        if isinstance(value, str | os.PathLike):
            fix = f"Pass `{self.name}.from_local_sync(...)`, or `{self.name}.from_existing_remote(...)` of an address."
        raise mismatch(self._class, value, fix=fix)
