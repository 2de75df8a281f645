"""Frames to storage: the encoder of their class is found and run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyteidl2.core.literals_pb2 import Literal, StructuredDataset
from flyteidl2.core.types_pb2 import StructuredDatasetType

from flyte.io._frames.notes import hash_by, is_hash_method
from flyte.io._frames.registry import registry
from flyte.storage._addresses import protocol_of
from flyte.types._failure import TypeTransformerFailedError, short, type_text
from flyte.types._transformers import coroutine_runner

if TYPE_CHECKING:
    from flyte.io._frames.model import DataFrame


def check_writable(frame: Any) -> None:
    """Nothing, when a value is a frame of a class that somebody writes.

    Raises:
        TypeTransformerFailedError: it is not.
    """
    if not registry.knows(type(frame)):
        raise TypeTransformerFailedError(
            f"{short(frame)} of type {type_text(type(frame))} is not a frame that can be stored",
            fix="Pass a pandas.DataFrame, polars.DataFrame, polars.LazyFrame or pyarrow.Table, or register an encoder "
            "for the class.",
        )


def store(dataframe: DataFrame, wanted: StructuredDatasetType) -> StructuredDataset:
    """The wrapped frame is in storage; `dataframe` says where.

    A frame may have been changed since it was last stored, so it is looked at each time; equal content has one address,
    and is written once.

    Args:
        dataframe: With a frame.
        wanted: Columns and format of the annotation.

    Raises:
        TypeTransformerFailedError: it cannot be stored.
        StorageError: it could not be written.
    """
    if dataframe.val is None:
        dataframe._literal = dataframe._stored()
        return dataframe._literal
    cls = type(dataframe.val)
    described = StructuredDatasetType()
    described.CopyFrom(dataframe._type)
    described.MergeFrom(wanted)
    if wanted.columns:
        del described.columns[:]
        described.columns.extend(wanted.columns)
    format = wanted.format or (dataframe._literal is None and dataframe.format) or registry.default_format(cls)
    dataframe.uri = dataframe._target
    dataframe._fingerprint = None
    encoder = registry.encoder(cls, _protocol(dataframe, cls), format)
    stored: StructuredDataset = coroutine_runner(encoder.encode)(encoder.encode(dataframe, described))
    if not isinstance(stored, StructuredDataset):
        raise TypeTransformerFailedError(f"{encoder!r} returned {short(stored)}, not a StructuredDataset")
    kind = stored.metadata.structured_dataset_type
    kind.format = kind.format or encoder.supported_format or format
    if described.columns and not kind.columns:
        kind.columns.extend(described.columns)
    dataframe.uri, dataframe.format, dataframe._literal = stored.uri, kind.format, stored
    if not isinstance(dataframe._hash_method, str):
        method = dataframe._hash_method
        dataframe.hash = hash_by(method, dataframe.val) if is_hash_method(method) else dataframe._fingerprint
    return stored


def fill(literal: Literal, dataframe: DataFrame, stored: StructuredDataset) -> None:
    """The literal points to a stored frame."""
    literal.scalar.structured_dataset.CopyFrom(stored)
    if dataframe.hash:
        literal.hash = dataframe.hash


def _protocol(dataframe: DataFrame, cls: type) -> str:
    """The kind of storage that a frame goes to."""
    from flyte._context import ctx

    if dataframe.uri:
        return protocol_of(dataframe.uri)
    if cls in registry.default_protocols:
        return registry.default_protocols[cls]
    raw_data_path = ctx().raw_data_path
    return protocol_of(raw_data_path.path) if raw_data_path is not None else "file"
