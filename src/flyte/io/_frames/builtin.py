"""The handlers for frames of pandas, polars and pyarrow, in Parquet and CSV."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from flyteidl2.core.literals_pb2 import StructuredDataset, StructuredDatasetMetadata
from flyteidl2.core.types_pb2 import StructuredDatasetType

from flyte.io._frames.conversions import PANDAS, POLARS_LAZY, from_table, kind_of, named_columns, require_libraries
from flyte.io._frames.csv_files import check_header, read_csv
from flyte.io._frames.failures import check_columns
from flyte.io._frames.formats import CSV, PARQUET
from flyte.io._frames.handlers import DataFrameDecoder, DataFrameEncoder
from flyte.io._frames.libraries import require
from flyte.io._frames.model import DataFrame
from flyte.io._frames.parquet_files import read_batches, read_schema, read_table
from flyte.io._frames.placing import files_of, place
from flyte.storage._addresses import OBJECT_PROTOCOLS, is_remote, local_path, protocol_of
from flyte.storage._backend import backend_of

_REACHED_BY_POLARS = OBJECT_PROTOCOLS | {"file"}
_END = object()


def builtin_class(cls: type) -> type | None:
    """The class among the ancestors of `cls`, itself included, whose frames are handled here."""
    return next((ancestor for ancestor in cls.__mro__ if kind_of(ancestor) is not None), None)


def builtin_handlers(cls: type) -> tuple[dict[str, DataFrameEncoder[Any]], dict[str, DataFrameDecoder[Any]]]:
    """The encoders and decoders of a class by format."""
    formats = (PARQUET, CSV)
    return {each: FrameEncoder(cls, each) for each in formats}, {each: FrameDecoder(cls, each) for each in formats}


class FrameEncoder(DataFrameEncoder[Any]):
    """Writes to any address. The content decides where, unless the frame says."""

    def __init__(self, cls: type, format: str) -> None:
        super().__init__(cls, None, format)
        kind = kind_of(cls)
        assert kind is not None
        self._kind = kind

    async def encode(self, dataframe: DataFrame, structured_dataset_type: StructuredDatasetType) -> StructuredDataset:
        require_libraries(self._kind)
        folder, digest = place(dataframe.val, self._kind, self.supported_format, dataframe.uri)
        dataframe._fingerprint = digest
        stored = StructuredDatasetType()
        stored.CopyFrom(structured_dataset_type)
        stored.format = self.supported_format
        return StructuredDataset(uri=folder, metadata=StructuredDatasetMetadata(structured_dataset_type=stored))


class FrameDecoder(DataFrameDecoder[Any]):
    """Reads what any encoder here, or any other program, has written."""

    def __init__(self, cls: type, format: str) -> None:
        super().__init__(cls, None, format)
        kind = kind_of(cls)
        assert kind is not None
        self._kind = kind

    async def decode(
        self, flyte_value: StructuredDataset, current_task_metadata: StructuredDatasetMetadata
    ) -> Any | AsyncIterator[Any]:
        require_libraries(self._kind)
        files = files_of(flyte_value.uri)
        columns = [each.name for each in current_task_metadata.structured_dataset_type.columns]
        if self._kind == POLARS_LAZY and protocol_of(files[0]) in _REACHED_BY_POLARS:
            return self._scan(files, columns)
        if self.supported_format == CSV:
            return self._read_csv(files, columns)
        table = read_table(files, columns, with_index=self._kind == PANDAS)
        return from_table(table, self._kind)

    async def parts(
        self, flyte_value: StructuredDataset, current_task_metadata: StructuredDatasetMetadata
    ) -> AsyncIterator[Any]:
        """The frame, part by part: as its file has them, which is up to a million rows each."""
        if self.supported_format == CSV or self._kind == POLARS_LAZY:
            yield await asyncio.to_thread(asyncio.run, self.decode(flyte_value, current_task_metadata))
            return
        require_libraries(self._kind)
        columns = [each.name for each in current_task_metadata.structured_dataset_type.columns]
        for address in await asyncio.to_thread(files_of, flyte_value.uri):
            batches = read_batches(address, columns, with_index=self._kind == PANDAS)
            while (table := await asyncio.to_thread(next, batches, _END)) is not _END:
                yield await asyncio.to_thread(from_table, table, self._kind)

    def _read_csv(self, files: list[str], columns: list[str]) -> Any:
        frames = [read_csv(address, self._kind, columns) for address in files]
        if len(frames) == 1:
            return frames[0]
        match self._kind[0]:
            case "pandas":
                import pandas

                return pandas.concat(frames, ignore_index=True)
            case "polars":
                import polars

                return polars.concat(frames, how="vertical_relaxed")
        import pyarrow

        return pyarrow.concat_tables(frames, promote_options="permissive")

    def _scan(self, files: list[str], columns: list[str]) -> Any:
        """A LazyFrame over the files themselves: it reads what its steps need when it is collected."""
        require("polars", "a polars.LazyFrame")
        import polars

        options = backend_of(files[0]).arguments_for_polars(files[0])
        sources = files if is_remote(files[0]) else [str(local_path(file)) for file in files]
        if self.supported_format == CSV:
            for file in files:
                check_header(file, columns)
            return polars.scan_csv(sources, try_parse_dates=True, glob=False, **options).select(columns or polars.all())
        names = [read_schema(file).names for file in files]
        for file, found in zip(files, names, strict=True):
            check_columns(file, columns, found)
        frame = polars.scan_parquet(sources, hive_partitioning=False, glob=False, **options)
        return frame.select(columns or named_columns(names[0]))
