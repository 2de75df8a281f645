"""Equal frames have one address and one hash, however they came about."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyte.io import DataFrame
from flyte.io._frames.fingerprints import Fingerprint, fingerprint_of
from flyte.types._choice import converter_for

moments = st.datetimes(
    min_value=pd.Timestamp("1700-01-01").to_pydatetime(), max_value=pd.Timestamp("2200-01-01").to_pydatetime()
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES: dict[str, tuple[st.SearchStrategy[Any], Any]] = {
    "int": (st.integers(-(2**63), 2**63 - 1), pa.int64()),
    "small": (st.integers(0, 255), pa.uint8()),
    "float": (st.floats(), pa.float64()),
    "bool": (st.booleans(), pa.bool_()),
    "text": (texts, pa.string()),
    "large text": (texts, pa.large_string()),
    "bytes": (st.binary(max_size=5), pa.binary()),
    "moment": (moments, pa.timestamp("us", "Europe/Zurich")),
    "seconds": (moments.map(lambda moment: moment.replace(microsecond=0)), pa.timestamp("s")),
    "list": (st.lists(st.none() | st.integers(-9, 9), max_size=3), pa.list_(pa.int64())),
    "list of texts": (st.lists(st.none() | texts, max_size=3), pa.large_list(pa.string())),
    "struct": (
        st.fixed_dictionaries({"a": st.none() | st.integers(0, 9), "b": st.lists(st.integers(0, 9), max_size=2)}),
        pa.struct([("a", pa.int8()), ("b", pa.list_(pa.int8()))]),
    ),
    "map": (st.lists(st.tuples(texts, st.integers(0, 9)), max_size=2), pa.map_(pa.string(), pa.int8())),
    "category": (st.sampled_from(["x", "y", "z"]), pa.dictionary(pa.int8(), pa.string())),
    "number category": (st.sampled_from([1, 2, 3]), pa.dictionary(pa.int8(), pa.int64())),
    "nothing": (st.none(), pa.null()),
}


@st.composite
def tables(draw: Callable[[st.SearchStrategy[Any]], Any], without: frozenset[str] = frozenset()) -> pa.Table:
    rows = draw(st.integers(0, 6))
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES.keys() - without)), max_size=4))
    names = draw(
        st.lists(texts.filter(lambda name: "\0" not in name), min_size=len(kinds), max_size=len(kinds), unique=True)
    )
    columns = {}
    for name, kind in zip(names, kinds, strict=True):
        values, arrow_type = VALUES[kind]
        drawn = draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
        columns[name] = pa.array(drawn, arrow_type)
    return pa.table(columns)


PER_EXAMPLE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@PER_EXAMPLE
@given(tables())
def test_arrow_table_that_was_stored_and_read_has_the_hash_it_had(raw_data: Path, table: pa.Table) -> None:
    converter = converter_for(pa.Table)
    literal = converter.encode(table)
    again = converter.encode(converter.decode(literal))
    assert again == literal


@PER_EXAMPLE
@given(tables(), st.integers(0, 6), st.integers(0, 6))
def test_fingerprint_does_not_depend_on_chunks_or_offsets(table: pa.Table, cut: int, before: int) -> None:
    padded = pa.concat_tables([table.slice(0, before), table]).slice(min(before, table.num_rows))
    parts = pa.concat_tables([padded.slice(0, cut), padded.slice(cut)])
    assert fingerprint_of(parts) == fingerprint_of(table)


@PER_EXAMPLE
@given(tables(without=frozenset({"map"})))  # pandas cannot store the tuples that it reads a map as
def test_frames_that_were_stored_and_read_keep_their_hash(raw_data: Path, table: pa.Table) -> None:
    for cls in (pd.DataFrame, pl.DataFrame):
        converter = converter_for(cls)
        # The first step into the class may change what the class has no word for; from there on nothing changes.
        literal = converter.encode(converter.decode(converter_for(pa.Table).encode(table)))
        assert converter.encode(converter.decode(literal)) == literal


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"s": pd.Series(["x", None], dtype=object)}),
        pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([(1, "x")], names=["n", None])),
        pd.DataFrame({"c": pd.Categorical(["x", None], categories=["z", "x"], ordered=True)}),
        pd.DataFrame({"c": pd.Categorical([1, None], categories=[2, 1])}),
        pd.DataFrame({"f": [np.nan, -0.0, np.inf]}),
        pd.DataFrame({"t": pd.date_range("2024", periods=2, tz="UTC")}, index=pd.date_range("2024", periods=2)),
        pd.DataFrame(),
    ],
    ids=["objects", "multi-index", "category", "numbers", "floats", "times", "empty"],
)
def test_pandas_frame_that_was_stored_and_read_keeps_its_hash(raw_data: Path, frame: pd.DataFrame) -> None:
    converter = converter_for(pd.DataFrame)
    literal = converter.encode(frame)
    assert literal.hash.startswith("blake3:")
    assert converter.encode(converter.decode(literal)) == literal


def test_lazy_frame_that_was_stored_and_read_keeps_its_hash(raw_data: Path) -> None:
    converter = converter_for(pl.LazyFrame)
    frame = pl.LazyFrame({"a": range(1000), "c": pl.Series(["x", "y"] * 500, dtype=pl.Categorical)})
    literal = converter.encode(frame)
    assert converter.encode(converter.decode(literal)) == literal
    assert converter.encode(frame.filter(pl.col("a") >= 0)) == literal
    assert converter.encode(frame.filter(pl.col("a") > 0)) != literal


def test_batches_give_the_fingerprint_of_the_whole() -> None:
    table = pa.table({"a": range(100), "s": [None if i % 7 == 0 else str(i) for i in range(100)]})
    fingerprint = Fingerprint(table.schema)
    for batch in table.to_batches(max_chunksize=33):
        fingerprint.update(batch)
    assert fingerprint.digest() == fingerprint_of(table)


def test_many_bytes_are_hashed_on_threads_to_the_same_fingerprint() -> None:
    table = pa.table({"a": np.arange(600_000), "b": np.arange(600_000.0)})
    fingerprint = Fingerprint(table.schema)
    for batch in table.to_batches(max_chunksize=1000):
        fingerprint.update(batch)
    assert fingerprint.digest() == fingerprint_of(table)


@pytest.mark.parametrize(
    "other",
    [
        pd.DataFrame({"a": [1, 3], "b": ["x", None]}),
        pd.DataFrame({"a": [1, 2], "b": ["x", ""]}),
        pd.DataFrame({"b": ["x", None], "a": [1, 2]}),
        pd.DataFrame({"a": [1, 2], "c": ["x", None]}),
        pd.DataFrame({"a": [1.0, 2.0], "b": ["x", None]}),
        pd.DataFrame({"a": pd.array([1, 2], dtype="Int64"), "b": ["x", None]}),
        pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=[1, 0]),
        pd.DataFrame({"a": [1, 2, 1], "b": ["x", None, "x"]}),
        pd.DataFrame({"a": [1, 2], "b": pd.Categorical(["x", None])}),
    ],
    ids=["value", "null", "order", "name", "type", "dtype", "index", "rows", "category"],
)
def test_frames_that_differ_have_hashes_that_do(raw_data: Path, other: pd.DataFrame) -> None:
    converter = converter_for(pd.DataFrame)
    one = converter.encode(pd.DataFrame({"a": [1, 2], "b": ["x", None]}))
    assert converter.encode(other).hash != one.hash


def test_shifted_boundaries_between_texts_are_another_content() -> None:
    assert fingerprint_of(pa.table({"s": ["ab", "c"]})) != fingerprint_of(pa.table({"s": ["a", "bc"]}))
    assert fingerprint_of(pa.table({"l": [[1, 2], [3]]})) != fingerprint_of(pa.table({"l": [[1], [2, 3]]}))
    assert fingerprint_of(pa.table({"s": ["", None]})) != fingerprint_of(pa.table({"s": [None, ""]}))


def test_what_is_under_a_null_makes_no_difference() -> None:
    hidden = pa.Array.from_buffers(pa.int64(), 2, [pa.py_buffer(b"\x01"), pa.py_buffer(np.array([1, 99]).tobytes())])
    assert fingerprint_of(pa.table({"a": hidden})) == fingerprint_of(pa.table({"a": pa.array([1, None])}))


def test_equal_frame_is_written_once(raw_data: Path) -> None:
    converter = converter_for(pd.DataFrame)
    first = converter.encode(pd.DataFrame({"a": [1, 2]}))
    file = Path(first.scalar.structured_dataset.uri) / "00000"
    os.utime(file, ns=(1, 1))
    assert converter.encode(pd.DataFrame({"a": [1, 2]})) == first
    assert file.stat().st_mtime_ns == 1
    assert len(list(raw_data.iterdir())) == 1


def test_csv_and_parquet_of_one_frame_have_addresses_of_their_own(raw_data: Path) -> None:
    frame = pd.DataFrame({"a": [1]})
    one = converter_for(pd.DataFrame).encode(frame)
    other = converter_for(Annotated[pd.DataFrame, "csv"]).encode(frame)
    assert one.hash != other.hash
    assert one.scalar.structured_dataset.uri != other.scalar.structured_dataset.uri


class _Rows:
    """A hash method that keeps state: how many rows it has seen since it was reset."""

    def __init__(self) -> None:
        self.rows = 0

    def update(self, data: Any) -> None:
        self.rows += len(data)

    def result(self) -> str:
        return f"{self.rows} rows"

    def reset(self) -> None:
        self.rows = 0


def test_hash_method_of_an_annotation_gives_the_hash(raw_data: Path) -> None:
    converter = converter_for(Annotated[pd.DataFrame, _Rows()])
    assert converter.encode(pd.DataFrame({"a": [1, 2]})).hash == "2 rows"
    assert converter.encode(pd.DataFrame({"a": [3, 4]})).hash == "2 rows"


def test_hash_of_a_wrapped_frame_is_the_one_that_was_given(raw_data: Path) -> None:
    frame = pd.DataFrame({"a": [1]})
    converter = converter_for(DataFrame)
    assert converter.encode(DataFrame.from_local_sync(frame, hash_method="mine")).hash == "mine"
    assert converter.encode(DataFrame.from_local_sync(frame, hash_method=_Rows())).hash == "1 rows"
    assert converter.encode(DataFrame.from_df(frame)).hash == converter_for(pd.DataFrame).encode(frame).hash


def test_reference_without_hash_is_told_by_its_address(tmp_path: Path) -> None:
    literal = converter_for(DataFrame).encode(DataFrame.from_existing_remote(str(tmp_path / "x.parquet")))
    assert literal.hash == ""
    assert converter_for(DataFrame).encode(DataFrame.from_existing_remote("s3://b/x", hash="v1")).hash == "v1"
