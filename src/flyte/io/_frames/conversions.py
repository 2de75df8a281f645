"""Frames of each library as arrow tables, and back."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from flyte.io._frames.libraries import require
from flyte.types._failure import TypeTransformerFailedError, type_text

PANDAS, POLARS, POLARS_LAZY, ARROW = (
    ("pandas", "DataFrame"),
    ("polars", "DataFrame"),
    ("polars", "LazyFrame"),
    ("pyarrow", "Table"),
)
KINDS = (PANDAS, POLARS, POLARS_LAZY, ARROW)
"""The classes that are known here, by package and name: whoever has a value of one has imported it."""

_UNNAMED_INDEX = re.compile(r"__index_level_\d+__")
_COLUMN_OF_ERROR = re.compile(r"Conversion failed for column (.+?) with type (\S+)")


def kind_of(cls: type) -> tuple[str, str] | None:
    """Which of the classes known here `cls` is; None for any other."""
    kind = (cls.__module__.partition(".")[0], cls.__name__)
    return kind if kind in KINDS else None


def require_libraries(kind: tuple[str, str]) -> None:
    """Nothing, where frames of this kind can be stored here.

    Raises:
        TypeTransformerFailedError: a library is missing; says which.
    """
    require("pyarrow", f"{kind[0]}.{kind[1]} as an input or output", kind[0])


def to_table(frame: Any, kind: tuple[str, str]) -> Any:
    """The arrow table with the content of a frame, as far as possible on the same memory.

    Raises:
        TypeTransformerFailedError: a column has no arrow form; says which.
    """
    return _TO_TABLE[kind](frame)


def from_table(table: Any, kind: tuple[str, str]) -> Any:
    """The frame with the content of a table that nobody else uses."""
    return _FROM_TABLE[kind](table)


def named_columns(names: list[str]) -> list[str]:
    """The columns apart from those that hold a pandas index without a name, which other libraries do not have."""
    return [name for name in names if not _UNNAMED_INDEX.fullmatch(name)]


def refuse_unwritable(schema: Any) -> None:
    """Nothing, when arrow takes all columns of a polars schema: of Python objects it would store the addresses.

    Raises:
        TypeTransformerFailedError: one does.
    """
    import polars

    for name, kind in schema.items():
        if "\0" in name:
            raise _unwritable(name, "its name holds a NUL")
        if kind == polars.Object:
            raise _unwritable(name, "its type is Object, whose values have no form outside this process")


def _pandas_to_table(frame: Any) -> Any:
    import pyarrow

    _refuse_duplicates(list(frame.columns))
    try:
        # Rows without columns have their number in the index alone.
        return pyarrow.Table.from_pandas(frame, preserve_index=None if len(frame.columns) else True)
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
        details = " ".join(str(arg) for arg in error.args)
        found = _COLUMN_OF_ERROR.search(details)
        raise _unwritable(found[1] if found else None, str(error.args[0] if error.args else error)) from error


def _polars_to_table(frame: Any) -> Any:
    import pyarrow

    refuse_unwritable(frame.schema)
    try:
        return frame.to_arrow()
    except pyarrow.ArrowException as error:
        raise _unwritable(None, str(error)) from error


def _arrow_to_table(table: Any) -> Any:
    _refuse_duplicates(table.column_names)
    return table


def _table_to_pandas(table: Any) -> Any:
    require("pandas", "a pandas.DataFrame")
    return table.to_pandas()


def _table_to_polars(table: Any) -> Any:
    require("polars", "a polars.DataFrame")
    import polars

    return polars.from_arrow(table.select(named_columns(table.column_names)))


def _table_to_lazy(table: Any) -> Any:
    return _table_to_polars(table).lazy()


_TO_TABLE: dict[tuple[str, str], Callable[[Any], Any]] = {
    PANDAS: _pandas_to_table,
    POLARS: _polars_to_table,
    POLARS_LAZY: lambda frame: _polars_to_table(frame.collect()),
    ARROW: _arrow_to_table,
}
_FROM_TABLE: dict[tuple[str, str], Callable[[Any], Any]] = {
    PANDAS: _table_to_pandas,
    POLARS: _table_to_polars,
    POLARS_LAZY: _table_to_lazy,
    ARROW: lambda table: table,
}


def _refuse_duplicates(names: list[Any]) -> None:
    seen = set()
    for name in names:
        if name in seen:
            raise TypeTransformerFailedError(
                f"the frame has several columns named {name!r}, which a reader could not tell apart",
                fix=f"Rename or drop all but one of the columns {name!r}.",
            )
        seen.add(name)


def _unwritable(column: str | None, reason: str) -> TypeTransformerFailedError:
    what = f"column {column!r}" if column is not None else "the frame"
    fix = f"Give {what} one type that {type_text(str)} or numbers can hold, such as `.astype(str)`, or drop it."
    if column is None:
        fix = "Give each column one type, such as numbers, text or times."
    return TypeTransformerFailedError(f"{what} cannot be stored: {reason.rstrip('.')}", fix=fix)
