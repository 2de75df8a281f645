"""Frames as inputs and outputs of tasks."""

from __future__ import annotations

from typing import Any

from flyteidl2.core.literals_pb2 import Literal, StructuredDataset, StructuredDatasetMetadata
from flyteidl2.core.types_pb2 import LiteralType, StructuredDatasetType

from flyte.io._frames.conversions import kind_of, require_libraries
from flyte.io._frames.decoding import decode
from flyte.io._frames.encoding import check_writable, fill, store
from flyte.io._frames.model import DataFrame
from flyte.io._frames.notes import hash_by, read_notes
from flyte.io._frames.registry import registry
from flyte.storage._addresses import rewritten
from flyte.types._converter import PlainConverter
from flyte.types._failure import TypeTransformerFailedError, mismatch, type_text

NAME = "DataFrame Transformer"


class FrameConverter(PlainConverter):
    """`flyte.io.DataFrame`, and the classes of other libraries whose values are frames.

    Whoever takes a frame names the class to get it as, and may be given one of another: the data is the same.

    Args:
        python_type: The annotation, without `Annotated`.
        cls: The class whose handlers serve it; for a subclass that is one above.
        notes: What stood beside it in `Annotated`.

    Raises:
        TypeTransformerFailedError: a library that is needed is not installed.
    """

    name = NAME
    blocking = True

    def __init__(self, python_type: Any, cls: type, notes: tuple[Any, ...] = ()) -> None:
        self.python_type = python_type
        self.value_type = python_type if isinstance(python_type, type) else cls
        self._class = cls
        self._notes = read_notes(notes)
        self._wanted = self._notes.structured_type()
        self._is_reference = issubclass(cls, DataFrame)
        if (kind := kind_of(cls)) is not None:
            require_libraries(kind)

    def build_literal_type(self) -> LiteralType:
        literal_type = LiteralType(structured_dataset_type=self._wanted)
        if not self._is_reference:
            literal_type.structure.tag = f"{self._class.__module__}.{self._class.__qualname__}"
        return literal_type

    def check(self, value: Any) -> None:
        if isinstance(value, DataFrame):
            return
        if self._is_reference:
            fix = "Wrap the frame: flyte.io.DataFrame.from_df(frame)." if registry.knows(type(value)) else ""
            raise mismatch(self.python_type, value, fix=fix)
        if not isinstance(value, self._class) and not registry.knows(type(value)):
            raise mismatch(
                self.python_type, value, fix=f"Pass a {type_text(self.python_type)}, or a frame of another library."
            )

    def write(self, value: Any, literal: Literal) -> None:
        self.check(value)
        method = self._notes.hash_method
        if isinstance(value, DataFrame):
            dataframe = value
        else:
            check_writable(value)
            dataframe = DataFrame.wrap_df(value)
        stored = dataframe._stored() if dataframe.val is None else store(dataframe, self._wanted)
        fill(literal, dataframe, stored)
        if method is not None and dataframe.val is not None:
            literal.hash = hash_by(method, dataframe.val)

    def read(self, literal: Literal) -> Any:
        if not literal.scalar.HasField("structured_dataset"):
            return self.read_other(literal)
        return self._read(literal.scalar.structured_dataset, literal.hash or None)

    def read_plain(self, plain: Any) -> Any:
        """The frame of a record's field: its address and format."""
        described = DataFrame.model_validate(plain)
        if not described.uri:
            raise TypeTransformerFailedError(f"{plain!r} has no address of a frame")
        kind = StructuredDatasetType(format=described.format or "")
        return self._read(
            StructuredDataset(uri=described.uri, metadata=StructuredDatasetMetadata(structured_dataset_type=kind)),
            described.hash,
        )

    def _read(self, stored: StructuredDataset, hash: str | None) -> Any:
        if not self._is_reference:
            return decode(stored, self._class, self._wanted)
        reference = DataFrame(
            uri=rewritten(stored.uri), format=stored.metadata.structured_dataset_type.format, hash=hash
        )
        reference._literal = StructuredDataset()
        reference._literal.CopyFrom(stored)
        if self._wanted.columns:
            kind = reference._literal.metadata.structured_dataset_type
            del kind.columns[:]
            kind.columns.extend(self._wanted.columns)
        return reference
