"""Frames in CSV files at any address, written and read by their own library: each has its own idea of types."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Any

from flyte.io._frames.conversions import ARROW, PANDAS, POLARS, POLARS_LAZY
from flyte.io._frames.failures import check_columns, unreadable
from flyte.storage._open_files import opened
from flyte.types._failure import TypeTransformerFailedError


def write_csv(frame: Any, kind: tuple[str, str], address: str) -> None:
    """The file at the address holds a frame, whole; a pandas index is left out.

    Raises:
        TypeTransformerFailedError: a column has no form in CSV.
        StorageError: it cannot be written.
    """
    try:
        with opened(address, "wb") as file:
            _WRITERS[kind](frame, file)
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("polars", "pyarrow"):
            raise
        raise TypeTransformerFailedError(
            f"the frame cannot be stored as CSV: {str(error).splitlines()[0].rstrip('.')}",
            fix="Store it as Parquet, or convert the column to text.",
        ) from error


def read_csv(address: str, kind: tuple[str, str], columns: list[str]) -> Any:
    """The frame in a file.

    Args:
        address: Of the file.
        kind: The class to read it as.
        columns: The columns to read, in this order; none for all.

    Raises:
        StorageError: it cannot be read, is not CSV, or lacks a column.
    """
    check_header(address, columns)
    try:
        with opened(address, "rb") as file:
            return _READERS[kind](file, columns)
    except Exception as error:
        package = type(error).__module__.partition(".")[0]
        if package in ("pandas", "polars", "pyarrow") or isinstance(error, UnicodeError):
            raise unreadable(address, "CSV", error) from error
        raise


def check_header(address: str, columns: list[str]) -> None:
    """Nothing, when the first line of a file names all the columns.

    Raises:
        StorageError: it does not, or cannot be read.
    """
    with opened(address, "r", errors="surrogateescape", newline="") as text:
        header = next(csv.reader(text), None)
    if header is None:
        raise unreadable(address, "CSV", ValueError("it is empty"))
    check_columns(address, columns, header)


def _write_arrow(table: Any, file: Any) -> None:
    from pyarrow import csv as arrow_csv

    arrow_csv.write_csv(table, file)


def _read_pandas(file: Any, columns: list[str]) -> Any:
    import pandas

    frame = pandas.read_csv(file, usecols=columns or None)
    return frame[columns] if columns else frame


def _read_polars(file: Any, columns: list[str]) -> Any:
    import polars

    frame = polars.read_csv(file.read(), columns=columns or None, try_parse_dates=True)
    return frame.select(columns) if columns else frame


def _read_arrow(file: Any, columns: list[str]) -> Any:
    from pyarrow import csv as arrow_csv

    return arrow_csv.read_csv(file, convert_options=arrow_csv.ConvertOptions(include_columns=columns))


_WRITERS: dict[tuple[str, str], Callable[[Any, Any], None]] = {
    PANDAS: lambda frame, file: frame.to_csv(file, index=False),
    POLARS: lambda frame, file: frame.write_csv(file),
    POLARS_LAZY: lambda frame, file: frame.collect().write_csv(file),
    ARROW: _write_arrow,
}
_READERS: dict[tuple[str, str], Callable[[Any, list[str]], Any]] = {
    PANDAS: _read_pandas,
    POLARS: _read_polars,
    POLARS_LAZY: lambda file, columns: _read_polars(file, columns).lazy(),
    ARROW: _read_arrow,
}
