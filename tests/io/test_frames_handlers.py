"""Encoders and decoders of users: for classes of their own, other formats, and other kinds of storage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from flyteidl2.core.literals_pb2 import Literal, StructuredDataset, StructuredDatasetMetadata
from flyteidl2.core.types_pb2 import StructuredDatasetType

import flyte
import flyte.io.extend
from flyte.io import DataFrame
from flyte.io._frames.registry import registry
from flyte.io.extend import (
    DataFrameDecoder,
    DataFrameEncoder,
    DataFrameTransformerEngine,
    DuplicateHandlerError,
)
from flyte.storage._transfer import new_address
from flyte.types import TypeTransformerFailedError
from flyte.types._choice import converter_for


class Rows:
    """A user's own kind of frame."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows


class RowsEncoder(DataFrameEncoder[Rows]):
    def __init__(self, protocol: str | None = None, format: str = "json") -> None:
        super().__init__(Rows, protocol, format)

    async def encode(self, dataframe: DataFrame, structured_dataset_type: StructuredDatasetType) -> StructuredDataset:
        await asyncio.sleep(0)
        address = dataframe.uri or new_address("rows.json")
        Path(address).write_text(json.dumps(dataframe.val.rows))
        return StructuredDataset(uri=address)


class RowsDecoder(DataFrameDecoder[Rows]):
    def __init__(self) -> None:
        super().__init__(Rows, None, "json")

    async def decode(
        self, flyte_value: StructuredDataset, current_task_metadata: StructuredDatasetMetadata
    ) -> Rows | AsyncIterator[Rows]:
        await asyncio.sleep(0)
        rows = json.loads(Path(flyte_value.uri).read_text())
        names = [each.name for each in current_task_metadata.structured_dataset_type.columns]
        return Rows([{name: row[name] for name in names} for row in rows] if names else rows)


class RowsParts(RowsDecoder):
    async def decode(
        self, flyte_value: StructuredDataset, current_task_metadata: StructuredDatasetMetadata
    ) -> Rows | AsyncIterator[Rows]:
        return self._each(json.loads(Path(flyte_value.uri).read_text()))

    async def _each(self, rows: list[dict[str, Any]]) -> AsyncIterator[Rows]:
        for row in rows:
            yield Rows([row])


@pytest.fixture(autouse=True)
def handlers_go() -> Iterator[None]:
    """What a test registers is gone after it."""
    tables: list[Any] = [registry.encoders, registry.decoders]
    kept = []
    for table in tables:
        kept.append({cls: {key: dict(formats) for key, formats in found.items()} for cls, found in table.items()})
    yield
    for table, before in zip(tables, kept, strict=True):
        table.clear()
        table.update(before)
    defaults: Any
    for defaults in (registry.default_formats, registry.default_protocols, registry.renderers):
        defaults.clear()


@pytest.fixture
def rows_are_frames() -> None:
    DataFrameTransformerEngine.register(RowsEncoder(), default_format_for_type=True)
    DataFrameTransformerEngine.register(RowsDecoder())


env = flyte.TaskEnvironment(name="frames_handlers")


@pytest.mark.usefixtures("rows_are_frames")
def test_class_with_handlers_is_a_type_of_tasks() -> None:
    @env.task
    async def doubled(rows: Rows) -> Rows:
        return Rows(rows.rows * 2)

    run = flyte.run(doubled, Rows([{"a": 1}]))
    assert run.outputs()[0].rows == [{"a": 1}, {"a": 1}]


@pytest.mark.usefixtures("rows_are_frames")
def test_columns_and_format_reach_the_handlers(raw_data: Path) -> None:
    literal = converter_for(Rows).encode(Rows([{"a": 1, "b": 2}]))
    assert literal.scalar.structured_dataset.metadata.structured_dataset_type.format == "json"
    read = converter_for(Annotated[Rows, {"b": int}]).decode(literal)
    assert read.rows == [{"b": 2}]
    tag = converter_for(Rows).literal_type.structure.tag
    assert tag == f"{Rows.__module__}.Rows"


@pytest.mark.usefixtures("rows_are_frames")
def test_frame_of_a_users_class_is_wrapped_and_read_by_reference(raw_data: Path) -> None:
    reference = converter_for(DataFrame).decode(converter_for(DataFrame).encode(DataFrame.from_df(Rows([{"a": 1}]))))
    assert reference.format == "json"
    assert reference.open(Rows).all_sync().rows == [{"a": 1}]


async def test_decoder_of_parts_is_iterated(raw_data: Path) -> None:
    DataFrameTransformerEngine.register(RowsEncoder(), default_for_type=True)
    DataFrameTransformerEngine.register(RowsParts())
    literal = await asyncio.to_thread(converter_for(Rows).encode, Rows([{"a": 1}, {"a": 2}]))
    reference = converter_for(DataFrame).decode(literal)
    assert [part.rows async for part in reference.open(Rows).iter()] == [[{"a": 1}], [{"a": 2}]]
    with pytest.raises(TypeTransformerFailedError, match="part by part"):
        await reference.open(Rows).all()


@pytest.mark.usefixtures("rows_are_frames")
async def test_decoder_of_the_whole_is_not_iterated(raw_data: Path) -> None:
    literal = await asyncio.to_thread(converter_for(Rows).encode, Rows([{"a": 1}]))
    with pytest.raises(TypeTransformerFailedError, match="the whole table"):
        [part async for part in converter_for(DataFrame).decode(literal).open(Rows).iter()]


@pytest.mark.usefixtures("rows_are_frames")
def test_second_handler_of_a_kind_needs_override() -> None:
    with pytest.raises(DuplicateHandlerError, match="override=True"):
        DataFrameTransformerEngine.register(RowsEncoder())
    assert issubclass(DuplicateHandlerError, ValueError)
    other = RowsEncoder()
    DataFrameTransformerEngine.register(other, override=True)
    assert DataFrameTransformerEngine.get_encoder(Rows, "file", "json") is other


def test_built_in_handler_is_replaced_with_override(raw_data: Path) -> None:
    class Upper(DataFrameDecoder[pd.DataFrame]):
        async def decode(
            self, flyte_value: StructuredDataset, current_task_metadata: StructuredDatasetMetadata
        ) -> pd.DataFrame | AsyncIterator[pd.DataFrame]:
            return pd.read_parquet(flyte_value.uri).rename(columns=str.upper)

    decoder = Upper(pd.DataFrame, None, "parquet")
    with pytest.raises(DuplicateHandlerError):
        DataFrameTransformerEngine.register(decoder)
    DataFrameTransformerEngine.register(decoder, override=True)
    literal = converter_for(pd.DataFrame).encode(pd.DataFrame({"a": [1]}))
    assert list(converter_for(pd.DataFrame).decode(literal).columns) == ["A"]


def test_handler_of_one_protocol_is_preferred_for_it() -> None:
    anywhere, s3 = RowsEncoder(), RowsEncoder("s3://")
    DataFrameTransformerEngine.register(anywhere)
    DataFrameTransformerEngine.register(s3)
    get = DataFrameTransformerEngine.get_encoder
    assert get(Rows, "s3", "json") is s3
    assert get(Rows, "file", "json") is anywhere
    local = RowsEncoder()
    DataFrameTransformerEngine.register_for_protocol(local, "/", False, True, False, False)
    assert get(Rows, "file", "json") is local
    assert get(Rows, "gs", "json") is anywhere


def test_decoder_serves_its_additional_protocols() -> None:
    class Remote(RowsDecoder):
        def __init__(self) -> None:
            DataFrameDecoder.__init__(self, Rows, "s3", "json", ["gs://"])

    decoder = Remote()
    DataFrameTransformerEngine.register(decoder)
    assert DataFrameTransformerEngine.get_decoder(Rows, "gs", "json") is decoder
    with pytest.raises(TypeTransformerFailedError):
        DataFrameTransformerEngine.get_decoder(Rows, "file", "json")


def test_handler_without_format_takes_any() -> None:
    encoder = RowsEncoder(format="")
    DataFrameTransformerEngine.register(encoder)
    assert DataFrameTransformerEngine.get_encoder(Rows, "file", "orc") is encoder


def test_only_handlers_are_registered() -> None:
    handler: Any = object()
    with pytest.raises(TypeError, match="neither a DataFrameEncoder nor a DataFrameDecoder"):
        DataFrameTransformerEngine.register(handler)


@pytest.mark.usefixtures("rows_are_frames")
@pytest.mark.parametrize(
    ("cls", "format", "advice"),
    [(Rows, "jsn", "Did you mean 'json'"), (Rows, "orc", "Use one of 'json'"), (int, "parquet", "Register one for it")],
)
def test_missing_handler_is_told_with_the_next_step(cls: type, format: str, advice: str) -> None:
    for get in (DataFrameTransformerEngine.get_encoder, DataFrameTransformerEngine.get_decoder):
        with pytest.raises(ValueError, match=advice) as raised:
            get(cls, "file", format)
        assert "Failed to find a handler for" in str(raised.value)


async def test_engine_converts_by_hand(raw_data: Path) -> None:
    engine = DataFrameTransformerEngine()
    frame = pd.DataFrame({"a": [1, 2]})
    literal = await engine.to_literal(frame, pd.DataFrame, engine.get_literal_type(pd.DataFrame))
    assert type(await engine.to_python_value(literal, pl.DataFrame)) is pl.DataFrame
    dataset = literal.scalar.structured_dataset
    assert (await engine.open_as(dataset, pa.Table, dataset.metadata)).num_rows == 2
    assert [len(part) async for part in engine.iter_as(dataset, pd.DataFrame, dataset.metadata)] == [2]
    as_csv = await engine.encode(DataFrame.from_df(frame), pd.DataFrame, "file", "csv", StructuredDatasetType())
    assert isinstance(as_csv, Literal)
    assert as_csv.scalar.structured_dataset.metadata.structured_dataset_type.format == "csv"
    assert engine.guess_python_type(engine.get_literal_type(pd.DataFrame)) is DataFrame
    with pytest.raises(ValueError, match="cannot reverse"):
        engine.guess_python_type(converter_for(int).literal_type)


def test_type_message_has_columns_format_and_schema() -> None:
    message = DataFrameTransformerEngine().get_structured_dataset_type(
        "csv", pa.schema([("a", pa.int64()), ("b", pa.string())])
    )
    assert message.format == "csv"
    assert (message.external_schema_type, message.external_schema_bytes) == ("arrow", b"a: int64\nb: string")
    annotated = converter_for(Annotated[pd.DataFrame, pa.schema([("a", pa.int64())]), "csv"]).literal_type
    assert annotated.structured_dataset_type.external_schema_bytes == b"a: int64"


def test_frame_is_shown_by_its_renderer_or_by_itself() -> None:
    class Size:
        def to_html(self, python_value: Any) -> str:
            return f"<b>{len(python_value)}</b>"

    engine = DataFrameTransformerEngine()
    frame = pd.DataFrame({"a": [1, 2]})
    assert "<table" in engine.to_html(frame, pd.DataFrame)
    DataFrameTransformerEngine.register_renderer(pd.DataFrame, Size())
    assert engine.to_html(frame, pd.DataFrame) == "<b>2</b>"
    assert engine.to_html(DataFrame.from_df(frame), DataFrame) == "<b>2</b>"
    assert engine.to_html(DataFrame(uri="<x>"), DataFrame).startswith("DataFrame(uri=&#x27;&lt;x&gt;")


def test_extend_exports_what_users_build_on() -> None:
    assert sorted(flyte.io.extend.__all__) == flyte.io.extend.__all__
    assert set(dir(flyte.io.extend)) == {
        "DataFrameDecoder",
        "DataFrameEncoder",
        "DataFrameTransformerEngine",
        "DuplicateHandlerError",
    }
    for name in flyte.io.extend.__all__:
        assert getattr(flyte.io.extend, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        flyte.io.extend.Nothing  # noqa: B018
