"""Frames from storage: the decoder of the class that is wanted is found and run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from flyteidl2.core.literals_pb2 import StructuredDataset, StructuredDatasetMetadata
from flyteidl2.core.types_pb2 import StructuredDatasetType

from flyte.io._frames.conversions import from_table, kind_of, to_table
from flyte.io._frames.formats import format_of_name
from flyte.io._frames.handlers import DataFrameDecoder
from flyte.io._frames.notes import read_notes, taken_apart
from flyte.io._frames.registry import registry
from flyte.storage._addresses import protocol_of, rewritten
from flyte.types._failure import TypeTransformerFailedError, type_text
from flyte.types._transformers import coroutine_runner

if TYPE_CHECKING:
    from flyte.io._frames.model import DataFrame


def load(dataframe: DataFrame, annotation: Any) -> Any:
    """The table of a reference, or the frame it wraps, as a class; columns beside the class in `Annotated` are chosen.

    Raises:
        StorageError: it cannot be read, or lacks a column.
        TypeTransformerFailedError: nothing reads such a class.
    """
    cls, wanted = _class_and_type(annotation)
    frame = dataframe.val
    if frame is None:
        return decode(dataframe._stored(), cls, wanted)
    if isinstance(frame, cls) and not wanted.columns:
        return frame
    kind, wanted_kind = kind_of(type(frame)), kind_of(cls)
    if kind is not None and wanted_kind is not None and not wanted.columns:
        return from_table(to_table(frame, kind), wanted_kind)
    from flyte.io._frames.encoding import store

    return decode(store(dataframe, StructuredDatasetType()), cls, wanted)


def decode(stored: StructuredDataset, cls: type, wanted: StructuredDatasetType) -> Any:
    """The table in storage as a class.

    Args:
        stored: Where it is.
        cls: The class.
        wanted: The columns that are wanted; those that the writer named, or else all, if there are none.

    Raises:
        StorageError: it cannot be read, or lacks a column.
        TypeTransformerFailedError: nothing reads such a class.
    """
    decoder, stored, metadata = _prepared(stored, cls, wanted)
    decoded = coroutine_runner(decoder.decode)(decoder.decode(stored, metadata))
    if isinstance(decoded, AsyncIterator):
        raise TypeTransformerFailedError(
            f"{decoder!r} gives the table part by part", fix="Take flyte.io.DataFrame, and `open(...).iter()` of it."
        )
    return decoded


async def parts(dataframe: DataFrame, annotation: Any) -> AsyncIterator[Any]:
    """The table part by part.

    Raises:
        StorageError: it cannot be read, or lacks a column.
        TypeTransformerFailedError: nothing reads such a class, or not in parts.
    """
    cls, wanted = _class_and_type(annotation)
    if dataframe.val is not None:
        yield load(dataframe, annotation)
        return
    async for part in decoded_parts(dataframe._stored(), cls, wanted):
        yield part


async def decoded_parts(stored: StructuredDataset, cls: type, wanted: StructuredDatasetType) -> AsyncIterator[Any]:
    """The table in storage, part by part."""
    from flyte.io._frames.builtin import FrameDecoder

    decoder, stored, metadata = _prepared(stored, cls, wanted)
    given = (
        decoder.parts(stored, metadata) if isinstance(decoder, FrameDecoder) else await decoder.decode(stored, metadata)
    )
    if not isinstance(given, AsyncIterator):
        raise TypeTransformerFailedError(f"{decoder!r} gives the whole table", fix="Use `await dataframe.all()`.")
    async for part in given:
        yield part


def _prepared(
    stored: StructuredDataset, cls: type, wanted: StructuredDatasetType
) -> tuple[DataFrameDecoder[Any], StructuredDataset, StructuredDatasetMetadata]:
    """The decoder for a stored table, and what to hand it."""
    recorded = stored.metadata.structured_dataset_type
    format = recorded.format or format_of_name(stored.uri)
    decoder = registry.decoder(cls, protocol_of(rewritten(stored.uri)), format)
    metadata = StructuredDatasetMetadata()
    metadata.structured_dataset_type.CopyFrom(wanted if wanted.columns else recorded)
    metadata.structured_dataset_type.format = format
    moved = StructuredDataset()
    moved.CopyFrom(stored)
    moved.uri = rewritten(stored.uri)
    return decoder, moved, metadata


def _class_and_type(annotation: Any) -> tuple[type, StructuredDatasetType]:
    bare, cls, notes = taken_apart(annotation)
    if not isinstance(cls, type):
        raise TypeTransformerFailedError(f"{type_text(bare)} is not a class to read a table as")
    return cls, read_notes(notes).structured_type()
