"""Bad frames and bad files are refused by name, with the next step, and nothing half-written stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import flyte
from flyte import _faults
from flyte.errors import DataNotFoundError, StorageError, TaskDefinitionError, WrongKindOfDataError
from flyte.io import DataFrame
from flyte.io._frames import libraries
from flyte.types import TypeTransformerFailedError
from flyte.types._choice import converter_for

CLASSES = [pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.Table]


def read(address: Path | str, cls: Any, format: str = "") -> Any:
    frame = DataFrame.from_existing_remote(str(address), format=format).open(cls).all_sync()
    return frame.collect() if isinstance(frame, pl.LazyFrame) else frame


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_missing_address_is_named(tmp_path: Path, cls: Any, format: str) -> None:
    with pytest.raises(DataNotFoundError, match="there is nothing there. Check the path") as raised:
        read(tmp_path / "none", cls, format)
    assert raised.value.address == str(tmp_path / "none")


def test_folder_without_data_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "_SUCCESS").touch()
    with pytest.raises(DataNotFoundError, match="the folder holds no data files"):
        read(tmp_path, pd.DataFrame)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("content", [b"", b"not a table", b"PAR1" + b"\0" * 40 + b"PAR1"])
def test_file_that_is_no_parquet_is_named(tmp_path: Path, cls: Any, content: bytes) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    with pytest.raises(WrongKindOfDataError, match="as Parquet.*run the task that wrote it again") as raised:
        read(path, cls)
    assert raised.value.address == str(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("cls", CLASSES)
def test_truncated_parquet_is_named(tmp_path: Path, cls: Any) -> None:
    path = tmp_path / "x.parquet"
    pd.DataFrame({"a": range(1000)}).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WrongKindOfDataError, match="truncated"):
        read(path, cls)


@pytest.mark.parametrize("cls", [pd.DataFrame, pl.DataFrame, pa.Table])
def test_parquet_with_damaged_pages_is_named(tmp_path: Path, cls: Any) -> None:
    path = tmp_path / "x.parquet"
    pd.DataFrame({"a": [str(i) for i in range(5000)]}).to_parquet(path, compression="gzip")
    data = bytearray(path.read_bytes())
    data[4:2000] = b"\xff" * 1996
    path.write_bytes(data)
    with pytest.raises(WrongKindOfDataError, match="as Parquet"):
        read(path, cls)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_column_that_is_not_there_is_named_with_the_nearest(tmp_path: Path, cls: Any, format: str) -> None:
    path = tmp_path / f"x.{format}"
    frame = pd.DataFrame({"price": [1], "name": ["x"]})
    frame.to_csv(path, index=False) if format == "csv" else frame.to_parquet(path)
    with pytest.raises(WrongKindOfDataError, match="has no column 'prize'.*Did you mean 'price'") as raised:
        read(path, Annotated[cls, {"prize": int}])
    assert raised.value.address == str(path)


@pytest.mark.parametrize("cls", CLASSES)
def test_empty_csv_is_named(tmp_path: Path, cls: Any) -> None:
    path = tmp_path / "x.csv"
    path.touch()
    with pytest.raises(WrongKindOfDataError, match="as CSV"):
        read(path, cls)


def test_csv_that_is_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"a,b\n\xff\xfe,\x80\n")
    with pytest.raises(WrongKindOfDataError, match="as CSV"):
        read(path, pd.DataFrame)


def test_unknown_format_is_told_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(TypeTransformerFailedError, match=r"fmt \['orc'\].*Use one of 'csv', 'parquet'"):
        read(tmp_path, pd.DataFrame, "orc")
    with pytest.raises(TypeTransformerFailedError, match="Did you mean 'parquet'"):
        converter_for(Annotated[pd.DataFrame, "parqet"]).encode(pd.DataFrame({"a": [1]}))


def test_class_that_nothing_reads_is_named(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(TypeTransformerFailedError, match="no DataFrameDecoder for this class"):
        read(tmp_path / "x.parquet", dict)
    with pytest.raises(TypeTransformerFailedError, match="is not a class"):
        read(tmp_path / "x.parquet", 3)


@pytest.mark.parametrize("annotation", [*CLASSES, DataFrame])
def test_value_that_is_no_frame_is_refused(annotation: Any) -> None:
    converter = converter_for(annotation)
    for refuse in (converter.check, converter.encode):
        with pytest.raises(TypeTransformerFailedError, match="Expected value of type"):
            refuse([1, 2])
    with pytest.raises(TypeTransformerFailedError, match="not a frame that can be stored"):
        DataFrame.from_df([1, 2])


def test_raw_frame_where_a_reference_is_due_is_told_how_to_wrap_it(raw_data: Path) -> None:
    with pytest.raises(TypeTransformerFailedError) as raised:
        converter_for(DataFrame).encode(pd.DataFrame({"a": [1]}))
    assert raised.value.fix == "Wrap the frame: flyte.io.DataFrame.from_df(frame)."


def test_literal_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeTransformerFailedError, match="Cannot convert literal"):
        converter_for(pd.DataFrame).decode(converter_for(int).encode(3))


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (pd.DataFrame({"mixed": [1, "x"]}), "column 'mixed' cannot be stored"),
        (pd.DataFrame({"mixed": [object()]}), "column 'mixed' cannot be stored"),
        (pd.DataFrame({"c": [1j]}), "column 'c' cannot be stored"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "several columns named 'a'"),
        (pa.table([[1], [2]], names=["a", "a"]), "several columns named 'a'"),
        (pl.DataFrame({"o": pl.Series([object()], dtype=pl.Object)}), "column 'o' cannot be stored"),
        (pl.LazyFrame({"o": pl.Series([object()], dtype=pl.Object)}), "column 'o' cannot be stored"),
        (pl.DataFrame({"a\0b": [1]}), "its name holds a NUL"),
        (pl.DataFrame({"i": pl.Series([1], dtype=pl.Int128)}), "the frame cannot be stored"),
        (pa.table({"r": pa.array([(1, 2, 3)], pa.month_day_nano_interval())}), "cannot be stored"),
    ],
)
def test_frame_that_cannot_be_stored_is_refused_with_its_column(raw_data: Path, frame: Any, reason: str) -> None:
    with pytest.raises(TypeTransformerFailedError, match=reason) as raised:
        converter_for(type(frame)).encode(frame)
    assert raised.value.fix
    assert left_in(raw_data) == []


def test_arrow_table_with_nested_columns_has_no_csv(raw_data: Path) -> None:
    with pytest.raises(TypeTransformerFailedError, match="cannot be stored as CSV"):
        converter_for(Annotated[pa.Table, "csv"]).encode(pa.table({"l": [[1]]}))
    assert left_in(raw_data) == []


def test_lazy_frame_that_cannot_be_computed_leaves_nothing(raw_data: Path) -> None:
    with pytest.raises(TypeTransformerFailedError, match="cannot be computed"):
        converter_for(pl.LazyFrame).encode(pl.LazyFrame({"a": ["x"]}).with_columns(pl.col("a").cast(pl.Int64)))
    assert left_in(raw_data) == []


@pytest.mark.parametrize("point", ["data.before_write", "data.written"])
@pytest.mark.parametrize("cls", CLASSES)
def test_frame_for_which_the_disk_is_full_leaves_nothing(
    raw_data: Path, monkeypatch: pytest.MonkeyPatch, cls: Any, point: str
) -> None:
    frame = converter_for(cls).decode(converter_for(pd.DataFrame).encode(pd.DataFrame({"a": [1]})))
    changed = frame.slice(0, 0) if cls is pa.Table else frame[:0] if cls is pd.DataFrame else frame.head(0)
    before = left_in(raw_data)
    monkeypatch.setattr(_faults, "_fault", _faults.Fault(f"{point}:{_faults.ENOSPC}"))
    with pytest.raises(StorageError, match="the disk is full"):
        converter_for(cls).encode(changed)
    assert left_in(raw_data) == before


def test_folder_that_cannot_be_written_is_named(raw_data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        converter_for(DataFrame).encode(DataFrame.from_df(pd.DataFrame({"a": [1]}), uri=str(tmp_path / "file")))


def test_missing_library_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    from flyte.io._frames.converter import FrameConverter

    with pytest.raises(TypeTransformerFailedError, match=r"pip install 'flyte\[pandas\]'"):
        FrameConverter(pd.DataFrame, pd.DataFrame)
    with pytest.raises(TypeTransformerFailedError, match=r"pip install 'flyte\[polars\]'"):
        converter_for(DataFrame).encode(DataFrame.from_df(pl.DataFrame({"a": [1]}), uri="x"))


def test_missing_library_is_told_where_the_task_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    env = flyte.TaskEnvironment(name="frames_errors")
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)

    async def take(frame: Annotated[pd.DataFrame, {"only here": int}]) -> None:
        pass

    with pytest.raises(TaskDefinitionError, match=r"(?s)'frame'.*pip install 'flyte\[pandas\]'"):
        env.task(take)


def test_library_is_imported_only_when_it_is_used() -> None:
    program = (
        "import sys, flyte, flyte.io.extend\n"
        "from flyte.io._frames.model import DataFrame\n"
        "from flyte.types._choice import converter_for\n"
        "converter_for(DataFrame)\n"
        "print([name for name in ('pandas', 'polars', 'pyarrow', 'numpy', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def left_in(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*") if path.is_file()) if folder.exists() else []
