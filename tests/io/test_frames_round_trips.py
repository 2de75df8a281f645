"""What is in a frame is in it again after it was stored, in the class that is asked for."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Optional, Union

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from flyte.io import DataFrame
from flyte.types._choice import converter_for

CLASSES = [pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.Table]

PANDAS = {
    "numbers": pd.DataFrame({"i": [1, -2, 2**62], "f": [1.5, float("nan"), float("inf")]}),
    "bools": pd.DataFrame({"b": [True, False], "maybe": pd.array([True, None], dtype="boolean")}),
    "nullable": pd.DataFrame({"i": pd.array([1, None], dtype="Int64")}),
    "text": pd.DataFrame({"s": ["x", None, "", "grüße 🎉"]}),
    "times": pd.DataFrame(
        {
            "utc": pd.to_datetime(["2024-01-01", None]).tz_localize("UTC"),
            "zone": pd.to_datetime(["2024-01-01", None]).tz_localize("Europe/Zurich"),
            "naive": pd.to_datetime(["2024-01-01 12:00:00.000001", None]),
            "seconds": pd.array(["2024-01-01", None], dtype="datetime64[s]"),
            "nanoseconds": pd.array(["2024-01-01", None], dtype="datetime64[ns]"),
            "delta": pd.to_timedelta([1, None], unit="s"),
        }
    ),
    "categories": pd.DataFrame(
        {
            "text": pd.Categorical(["x", None, "y"], categories=["unused", "y", "x"], ordered=True),
            "numbers": pd.Categorical([1, None, 2], categories=[3, 2, 1]),
        }
    ),
    "nested": pd.DataFrame({"l": [[1, 2], None, []], "d": [[{"k": 1}], [], None]}),
    "other": pd.DataFrame({"day": [dt.date(2024, 1, 1)], "price": [Decimal("1.10")], "raw": [b"\x00x"]}),
    "empty": pd.DataFrame({"i": pd.array([], dtype="int64"), "s": pd.array([], dtype="str")}),
    "no columns": pd.DataFrame(),
    "rows only": pd.DataFrame(index=range(3)),
    "index": pd.DataFrame({"a": [1, 2]}, index=pd.Index(["p", "q"], name="key")),
    "unnamed index": pd.DataFrame({"a": [1, 2]}, index=["p", "q"]),
    "range": pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(5, 9, 2)),
    "multi-index": pd.DataFrame(
        {"a": [1, 2]}, index=pd.MultiIndex.from_tuples([(1, "x"), (2, "y")], names=["n", None])
    ),
    "names": pd.DataFrame({"é ü🎉": [1], "a.b": [2], "": [3], "a": [4]}),
    "numbered columns": pd.DataFrame({0: [1], 1: [2]}),
    "column levels": pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])),
}
POLARS = {
    "numbers": pl.DataFrame({"i": [1, None], "f": [float("nan"), None], "u": pl.Series([1, 2], dtype=pl.UInt8)}),
    "text": pl.DataFrame({"s": ["x", None]}),
    "categories": pl.DataFrame(
        {
            "c": pl.Series(["x", None, "y"], dtype=pl.Categorical),
            "e": pl.Series(["x", None, "y"], dtype=pl.Enum(["z", "y", "x"])),
        }
    ),
    "times": pl.DataFrame(
        {
            "t": [dt.time(1, 2, 3)],
            "d": [dt.date(2024, 1, 1)],
            "utc": [dt.datetime(2024, 1, 1, tzinfo=dt.UTC)],
            "delta": [dt.timedelta(1)],
        }
    ),
    "nested": pl.DataFrame({"l": [["x"], None, []], "s": [{"a": 1, "b": "x"}, None, {"a": None, "b": ""}]}),
    "array": pl.DataFrame({"a": pl.Series([[1, 2], None], dtype=pl.Array(pl.Int8, 2))}),
    "other": pl.DataFrame({"n": [None], "b": [b"x"], "d": [Decimal("1.10")]}),
    "empty": pl.DataFrame({"a": pl.Series([], dtype=pl.Int8)}),
    "no columns": pl.DataFrame(),
}
ARROW = {
    "kinds": pa.table(
        {
            "dates": pa.array([86_400_000, None], pa.date64()),
            "times": pa.array([1, None], pa.time32("s")),
            "moments": pa.array([1, None], pa.timestamp("s", "UTC")),
            "nested moments": pa.array([[1], None], pa.list_(pa.timestamp("s"))),
            "half": pa.array([1.5, None], pa.float16()),
            "view": pa.array(["a", None], pa.string_view()),
            "fixed": pa.array([b"abc", None], pa.binary(3)),
            "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int8())),
            "nothing": pa.nulls(2),
        }
    ),
    "notes": pa.table({"a": pa.array([1])}).replace_schema_metadata({"made by": "a test"}),
    "numbers as categories": pa.table({"c": pa.array([2.5, None, 1.5]).dictionary_encode()}),
}


def stored_and_read(value: Any, written_as: Any, read_as: Any) -> Any:
    return converter_for(read_as).decode(converter_for(written_as).encode(value))


@pytest.mark.parametrize("name", PANDAS)
def test_pandas_frame_comes_back_as_it_was(raw_data: Path, name: str) -> None:
    frame = PANDAS[name]
    pd.testing.assert_frame_equal(stored_and_read(frame, pd.DataFrame, pd.DataFrame), frame, check_freq=False)


@pytest.mark.parametrize("cls", [pl.DataFrame, pl.LazyFrame])
@pytest.mark.parametrize("name", POLARS)
def test_polars_frame_comes_back_as_it_was(raw_data: Path, name: str, cls: Any) -> None:
    frame = POLARS[name]
    read = stored_and_read(frame.lazy() if cls is pl.LazyFrame else frame, cls, cls)
    assert type(read) is cls
    assert_frame_equal(read.lazy().collect(), frame)


@pytest.mark.parametrize("name", ARROW)
def test_arrow_table_comes_back_as_it_was(raw_data: Path, name: str) -> None:
    table = ARROW[name]
    read = stored_and_read(table, pa.Table, pa.Table)
    assert read.equals(table)
    assert [str(field.type) for field in read.schema if not pa.types.is_nested(field.type)] == [
        str(field.type) for field in table.schema if not pa.types.is_nested(field.type)
    ]
    assert read.schema.metadata == table.schema.metadata


@pytest.mark.parametrize("read_as", CLASSES)
@pytest.mark.parametrize("written_as", CLASSES)
def test_any_class_is_read_from_what_any_other_has_written(raw_data: Path, written_as: Any, read_as: Any) -> None:
    rows = [{"i": 1, "s": "x"}, {"i": None, "s": None}]
    made = {
        pd.DataFrame: pd.DataFrame({"i": pd.array([1, None], dtype="Int64"), "s": ["x", None]}, index=["p", "q"]),
        pl.DataFrame: pl.DataFrame(rows),
        pl.LazyFrame: pl.LazyFrame(rows),
        pa.Table: pa.Table.from_pylist(rows),
    }
    read = stored_and_read(made[written_as], written_as, read_as)
    assert type(read) is read_as
    plain = read.collect() if isinstance(read, pl.LazyFrame) else read
    if isinstance(plain, pd.DataFrame):
        assert plain["i"].isna().tolist() == [False, True]
        assert plain["s"].iloc[0] == "x"
    else:
        found = plain.to_pylist() if isinstance(plain, pa.Table) else plain.to_dicts()
        assert [{key: row[key] for key in ("i", "s")} for row in found] == rows
    if isinstance(plain, pl.DataFrame):
        assert plain.columns == ["i", "s"]


@pytest.mark.parametrize(
    "given", [pl.DataFrame({"a": [1]}), pa.table({"a": [1]}), DataFrame.from_df(pd.DataFrame({"a": [1]}))]
)
def test_who_takes_one_class_may_be_given_another(raw_data: Path, given: Any) -> None:
    read = stored_and_read(given, pd.DataFrame, pd.DataFrame)
    pd.testing.assert_frame_equal(read, pd.DataFrame({"a": [1]}))


@pytest.mark.parametrize("cls", CLASSES)
def test_frame_that_was_read_can_be_changed_and_no_other_reader_sees_it(raw_data: Path, cls: Any) -> None:
    literal = converter_for(pd.DataFrame).encode(pd.DataFrame({"a": [1, 2], "b": [1.0, 2.0]}))
    read = converter_for(cls).decode(literal)
    if cls is pd.DataFrame:
        read.loc[0, "a"] = 9
        read["b"] += 1
        read.iloc[1, 1] = 7
    elif cls is pl.DataFrame:
        read[0, "a"] = 9
    again = converter_for(pd.DataFrame).decode(literal)
    assert again["a"].tolist() == [1, 2]
    assert again["b"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("cls", CLASSES)
def test_annotated_columns_alone_are_read_in_their_order(raw_data: Path, cls: Any) -> None:
    frame = pd.DataFrame({"a": [1], "b": ["x"], "c": [1.5], "a.b": [2]})
    wanted = Annotated[cls, {"c": float, "a": int, "a.b": int}]
    read = stored_and_read(frame, pd.DataFrame, wanted)
    columns = read.collect_schema().names() if cls is pl.LazyFrame else list(read.columns)
    assert (read.column_names if cls is pa.Table else columns) == ["c", "a", "a.b"]


def test_columns_that_the_writer_names_are_what_a_reader_gets(raw_data: Path) -> None:
    frame = pd.DataFrame({"a": [1], "b": ["x"]})
    literal = converter_for(Annotated[pd.DataFrame, {"a": int}]).encode(frame)
    columns = literal.scalar.structured_dataset.metadata.structured_dataset_type.columns
    assert [(each.name, each.literal_type.simple) for each in columns] == [("a", 1)]
    assert list(converter_for(pd.DataFrame).decode(literal).columns) == ["a"]
    assert list(converter_for(Annotated[pd.DataFrame, {"b": str}]).decode(literal).columns) == ["b"]


def test_index_of_pandas_is_read_with_chosen_columns(raw_data: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4]}, index=pd.Index(["p", "q"], name="key"))
    read = stored_and_read(frame, pd.DataFrame, Annotated[pd.DataFrame, {"b": int}])
    pd.testing.assert_frame_equal(read, frame[["b"]])


@pytest.mark.parametrize("read_as", CLASSES)
@pytest.mark.parametrize("written_as", CLASSES)
def test_csv_is_written_and_read_by_every_class(raw_data: Path, written_as: Any, read_as: Any) -> None:
    frame = pd.DataFrame({"i": [1, 2], "s": ["x", "y"]})
    made = converter_for(written_as).decode(converter_for(pd.DataFrame).encode(frame))
    literal = converter_for(Annotated[written_as, "csv"]).encode(made)
    dataset = literal.scalar.structured_dataset
    assert dataset.metadata.structured_dataset_type.format == "csv"
    assert (Path(dataset.uri) / "data.csv").read_text().replace('"', "").splitlines() == ["i,s", "1,x", "2,y"]
    read = converter_for(Annotated[read_as, {"s": str, "i": int}]).decode(literal)
    as_pandas = converter_for(pd.DataFrame).decode(converter_for(read_as).encode(read))
    pd.testing.assert_frame_equal(as_pandas, frame[["s", "i"]])


def test_folder_of_several_files_is_one_table(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "_SUCCESS").touch()
    pd.DataFrame({"a": [1], "b": [1]}).to_parquet(folder / "0.parquet")
    pd.DataFrame({"a": [2], "b": [2]}).to_parquet(folder / "1.parquet")
    for cls in CLASSES:
        read = DataFrame.from_existing_remote(str(folder)).open(Annotated[cls, {"a": int}]).all_sync()
        column = read.collect()["a"] if cls is pl.LazyFrame else read["a"]
        assert list(column.to_pylist() if cls is pa.Table else column) == [1, 2]


@pytest.mark.parametrize(
    ("frame", "name"), [(pd.DataFrame({"a": [1]}), "x.csv"), (pd.DataFrame({"a": [1]}), "x.parquet")]
)
def test_name_of_a_file_says_its_format_where_nothing_else_does(tmp_path: Path, frame: Any, name: str) -> None:
    address = str(tmp_path / name)
    frame.to_csv(address, index=False) if name.endswith("csv") else frame.to_parquet(address)
    read = DataFrame.from_existing_remote(address).open(pd.DataFrame).all_sync()
    pd.testing.assert_frame_equal(read, frame)


def test_union_of_frames_keeps_the_class(raw_data: Path) -> None:
    converter = converter_for(Union[pd.DataFrame, pl.DataFrame, pa.Table, None])
    for value in (pd.DataFrame({"a": [1]}), pl.DataFrame({"a": [1]}), pa.table({"a": [1]})):
        assert type(converter.decode(converter.encode(value))) is type(value)
    assert converter.decode(converter.encode(None)) is None


def test_optional_frame_has_the_wire_form_of_the_official_release(raw_data: Path) -> None:
    literal_type = converter_for(Optional[pd.DataFrame]).literal_type
    assert [variant.structure.tag for variant in literal_type.union_type.variants] == ["DataFrame Transformer", "none"]
    assert not literal_type.union_type.variants[0].HasField("metadata")


@pytest.mark.parametrize("cls", CLASSES)
def test_literal_type_of_a_class_is_tagged_with_its_name(cls: Any) -> None:
    literal_type = converter_for(cls).literal_type
    assert literal_type.structure.tag == f"{cls.__module__}.{cls.__qualname__}"
    assert literal_type.HasField("structured_dataset_type")


def test_frame_is_one_parquet_file_in_a_folder_named_by_content(raw_data: Path) -> None:
    dataset = converter_for(pd.DataFrame).encode(pd.DataFrame({"a": [1]})).scalar.structured_dataset
    assert dataset.metadata.structured_dataset_type.format == "parquet"
    assert Path(dataset.uri).parent == raw_data
    assert len(Path(dataset.uri).name) == 32
    assert [path.name for path in Path(dataset.uri).iterdir()] == ["00000"]


def test_subclass_of_a_frame_is_stored_as_one(raw_data: Path) -> None:
    base: Any = pd.DataFrame
    rows = type("Rows", (base,), {})({"a": [1]})
    read = stored_and_read(rows, pd.DataFrame, pd.DataFrame)
    pd.testing.assert_frame_equal(read, pd.DataFrame({"a": [1]}))


def test_large_text_columns_with_few_values_are_stored_once_per_value(raw_data: Path) -> None:
    few = pd.DataFrame({"s": np.array(["alpha" * 20, "beta" * 20])[np.arange(20_000) % 2]})
    dataset = converter_for(pd.DataFrame).encode(few).scalar.structured_dataset
    assert (Path(dataset.uri) / "00000").stat().st_size < 20_000
