"""`flyte.io.DataFrame`: wrapped frames, references, and both inside records."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from pathlib import Path
from typing import Annotated, Any, List, NamedTuple, Optional

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from flyteidl2.core.types_pb2 import LiteralType
from pydantic import BaseModel

from flyte._context import ActionScope, ctx, enter_scope, leave_scope
from flyte.errors import NotInTaskContextError
from flyte.io import DataFrame
from flyte.models import PathRewrite, RawDataPath
from flyte.types import TypeEngine, TypeTransformerFailedError
from flyte.types._choice import converter_for

FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", None]})


class Model(BaseModel):
    frame: DataFrame
    other: Optional[DataFrame] = None


@dataclasses.dataclass
class Record:
    frame: DataFrame
    frames: list[DataFrame] = dataclasses.field(default_factory=list)


class Pair(NamedTuple):
    name: str
    frame: DataFrame


def test_schema_is_the_one_of_the_official_release() -> None:
    text = [{"type": "string"}, {"type": "null"}]
    assert DataFrame.model_json_schema() == {
        "description": "A table at an address.",
        "properties": {
            "uri": {"anyOf": text, "default": None, "title": "Uri"},
            "format": {"anyOf": text, "default": "", "title": "Format"},
            "hash": {"anyOf": text, "default": None, "title": "Hash"},
        },
        "title": "DataFrame",
        "type": "object",
        "x-flyte-type": "dataframe",
    }
    assert DataFrame.schema_match(DataFrame.model_json_schema())
    assert not DataFrame.schema_match({"title": "DataFrame", "type": "object"})
    assert not DataFrame.schema_match({})


def test_wrapped_frame_is_stored_when_it_is_converted(raw_data: Path) -> None:
    wrapped = DataFrame.from_df(FRAME)
    assert wrapped.val is FRAME
    assert wrapped.uri is None
    assert wrapped.literal is None
    literal = converter_for(DataFrame).encode(wrapped)
    assert wrapped.literal == literal.scalar.structured_dataset
    assert wrapped.uri == literal.scalar.structured_dataset.uri
    assert wrapped.format == "parquet"
    assert wrapped.hash == literal.hash
    assert wrapped.metadata is not None
    assert wrapped.metadata.structured_dataset_type.format == "parquet"


def test_wrapped_frame_that_was_changed_is_stored_as_it_is_now(raw_data: Path) -> None:
    wrapped = DataFrame.from_df(FRAME.copy())
    converter = converter_for(DataFrame)
    before = converter.encode(wrapped)
    wrapped.val.loc[0, "a"] = 9
    after = converter.encode(wrapped)
    assert after != before
    assert converter.decode(after).open(pd.DataFrame).all_sync()["a"].tolist() == [9, 2]


def test_reference_is_passed_on_as_it_is(raw_data: Path) -> None:
    converter = converter_for(DataFrame)
    literal = converter.encode(DataFrame.from_df(FRAME))
    reference = converter.decode(literal)
    assert (reference.val, reference.format, reference.hash) == (None, "parquet", literal.hash)
    assert converter.encode(reference) == literal


@pytest.mark.parametrize("cls", [pd.DataFrame, pl.DataFrame, pa.Table])
async def test_reference_is_read_as_the_class_that_is_chosen(raw_data: Path, cls: type) -> None:
    reference = converter_for(DataFrame).decode(converter_for(DataFrame).encode(DataFrame.from_df(FRAME)))
    opened = reference.open(cls)
    assert opened is reference
    assert type(await opened.all()) is cls
    assert type(opened.all_sync()) is cls
    columns: Any = Annotated[(cls, OrderedDict(b=str))]
    assert (await reference.open(columns).all()).shape == (2, 1)


def test_wrapped_frame_is_given_back_in_the_class_that_is_chosen() -> None:
    wrapped = DataFrame.from_df(FRAME)
    assert wrapped.open(pd.DataFrame).all_sync() is FRAME
    assert wrapped.open(pl.DataFrame).all_sync().to_dicts() == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]


def test_without_a_class_nothing_is_read() -> None:
    with pytest.raises(ValueError, match=r"Call open\(pandas.DataFrame\)"):
        DataFrame.from_existing_remote("x").all_sync()


async def test_parts_of_a_table_are_read_one_by_one(tmp_path: Path) -> None:
    pa.parquet.write_table(pa.table({"a": range(10), "b": range(10)}), tmp_path / "x.parquet", row_group_size=4)
    reference = DataFrame.from_existing_remote(str(tmp_path / "x.parquet"))
    parts = [part async for part in reference.open(Annotated[pd.DataFrame, {"b": int}]).iter()]
    assert [part["b"].tolist() for part in parts] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    wrapped = [part async for part in DataFrame.from_df(FRAME).open(pd.DataFrame).iter()]
    assert len(wrapped) == 1
    assert wrapped[0] is FRAME


async def test_frame_is_wrapped_in_a_task_and_stored_on_demand(raw_data: Path) -> None:
    wrapped = await DataFrame.from_local(FRAME, columns=OrderedDict(a=int))
    assert wrapped.lazy_uploader is None
    await wrapped.set_literal(LiteralType(structured_dataset_type={}))
    assert wrapped.literal is not None
    assert [each.name for each in wrapped.literal.metadata.structured_dataset_type.columns] == ["a"]
    assert list(wrapped.open(pd.DataFrame).all_sync().columns) == ["a", "b"]
    reference = converter_for(DataFrame).decode(converter_for(DataFrame).encode(wrapped))
    assert list(reference.open(pd.DataFrame).all_sync().columns) == ["a"]


async def test_frame_wrapped_outside_a_task_has_what_stores_it_later(tmp_path: Path) -> None:
    wrapped = await DataFrame.from_local(FRAME, remote_destination=str(tmp_path / "there"))
    upload = wrapped.lazy_uploader
    assert upload is not None
    assert await upload() is wrapped
    assert wrapped.lazy_uploader is None
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "there" / "00000"), FRAME)


async def test_outside_a_task_a_frame_needs_an_address() -> None:
    with pytest.raises(NotInTaskContextError, match="raw data path"):
        await DataFrame.from_local_sync(FRAME).set_literal(LiteralType(structured_dataset_type={}))


def test_frame_is_stored_in_the_folder_that_is_given(raw_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    dataset = converter_for(DataFrame).encode(DataFrame.from_df(FRAME, uri=str(folder))).scalar.structured_dataset
    assert dataset.uri == str(folder)
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "00000"), FRAME)
    assert not raw_data.exists()


@pytest.mark.parametrize("make", [lambda frame: Record(frame, [frame]), lambda frame: Model(frame=frame)])
def test_frame_in_a_record_is_stored_with_it(raw_data: Path, make: Any) -> None:
    record = make(DataFrame.from_df(FRAME))
    converter = converter_for(type(record))
    assert converter.blocking
    read = converter.decode(converter.encode(record))
    assert read.frame.format == "parquet"
    assert read.frame.uri.startswith(str(raw_data))
    assert read.frame.literal is not None
    pd.testing.assert_frame_equal(read.frame.open(pd.DataFrame).all_sync(), FRAME)
    assert converter.encode(read) == converter.encode(record)


def test_frame_in_a_tuple_or_list_or_dict_is_stored_with_it(raw_data: Path) -> None:
    read = converter_for(Pair).decode(converter_for(Pair).encode(Pair("x", DataFrame.from_df(FRAME))))
    pd.testing.assert_frame_equal(read.frame.open(pd.DataFrame).all_sync(), FRAME)
    for annotation, value in ((list[pd.DataFrame], [FRAME]), (dict[str, pd.DataFrame], {"k": FRAME})):
        converter = converter_for(annotation)
        again = converter.decode(converter.encode(value))
        pd.testing.assert_frame_equal(again[0] if isinstance(again, list) else again["k"], FRAME)


def test_plain_form_is_address_and_format(raw_data: Path) -> None:
    reference = DataFrame.from_existing_remote("s3://b/x.csv", format="csv", hash="v1")
    assert reference.model_dump() == {"uri": "s3://b/x.csv", "format": "csv"}
    wrapped = DataFrame.from_df(FRAME)
    assert wrapped.model_dump()["format"] == "parquet"
    assert wrapped.model_dump()["uri"] == wrapped.uri


def test_reference_of_a_record_field_is_read_where_a_frame_is_due(raw_data: Path) -> None:
    stored = converter_for(Record).encode(Record(DataFrame.from_df(FRAME)))
    record = converter_for(Record).decode(stored)
    field = converter_for(dict).encode({"uri": record.frame.uri, "format": "parquet"})
    pd.testing.assert_frame_equal(converter_for(pd.DataFrame).decode(field), FRAME)


def test_frame_has_no_columns_of_its_own() -> None:
    assert DataFrame.columns() == {}
    assert DataFrame.column_names() == []


def test_empty_frame_reference_is_refused() -> None:
    with pytest.raises(TypeTransformerFailedError, match="neither a frame nor an address"):
        converter_for(DataFrame).encode(DataFrame())


def test_type_is_guessed() -> None:
    assert TypeEngine.guess_python_type(TypeEngine.to_literal_type(pd.DataFrame)) is DataFrame
    assert TypeEngine.guess_python_type(TypeEngine.to_literal_type(DataFrame)) is DataFrame
    assert TypeEngine.guess_python_type(TypeEngine.to_literal_type(list[pl.DataFrame])) == List[DataFrame]


def test_moved_data_is_read_where_it_is_now(raw_data: Path, tmp_path: Path) -> None:
    literal = converter_for(pd.DataFrame).encode(FRAME)
    raw_data.rename(tmp_path / "moved")
    rewrite = PathRewrite(str(raw_data), str(tmp_path / "moved"))
    controller: Any = None
    context = ctx().replace(raw_data_path=RawDataPath(path=str(raw_data), path_rewrite=rewrite))
    token = enter_scope(ActionScope("a0", controller, lambda scope: context))
    try:
        pd.testing.assert_frame_equal(converter_for(pd.DataFrame).decode(literal), FRAME)
        reference = converter_for(DataFrame).decode(literal)
        assert reference.uri.startswith(str(tmp_path / "moved"))
        pd.testing.assert_frame_equal(reference.open(pd.DataFrame).all_sync(), FRAME)
        assert converter_for(DataFrame).encode(reference) == literal
    finally:
        leave_scope(token)
