"""Tables in Parquet files at any address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flyte.errors import StorageError
from flyte.io._frames.failures import check_columns, unreadable
from flyte.io._frames.restoring import restored, with_note
from flyte.io._local_files import new_local_file
from flyte.storage._addresses import is_remote, local_path
from flyte.storage._backend import backend_of
from flyte.storage._failures import data_errors
from flyte.storage._open_files import DEFAULT_BLOCK_BYTES, opened

COMPRESSION = "lz4"
"""Costs next to nothing, here and for the reader; every Parquet library reads it."""

_SAMPLE_ROWS = 10_000
_MAX_PACKED = 0.9
"""A column is compressed where that leaves less than this part of a sample."""

_MAX_DISTINCT = 0.1
"""Text is stored once per distinct value where a sample has fewer of them than this part of its rows."""


def write_table(table: Any, address: str) -> None:
    """The file at the address holds a table, whole.

    Raises:
        TypeTransformerFailedError: Parquet has no form for a column.
        StorageError: it cannot be written.
    """
    import pyarrow
    from pyarrow import parquet

    from flyte.types._failure import TypeTransformerFailedError

    options = {"compression": _compressions(table), "use_dictionary": _repetitive_columns(table)}
    try:
        # pyarrow writes a file that it opens itself without coming back to Python for each page.
        with opened(address, "wb") if is_remote(address) else new_local_file(address) as target:
            parquet.write_table(with_note(table), target, **options)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError) as error:
        raise TypeTransformerFailedError(
            f"the frame cannot be stored as Parquet: {str(error).splitlines()[0].rstrip('.')}",
            fix="Convert the column to a type that Parquet has.",
        ) from error


def read_table(addresses: list[str], columns: list[str], *, with_index: bool) -> Any:
    """The table in files, one below the other.

    Args:
        addresses: Of the files, in order.
        columns: The columns to read, in this order; none for all.
        with_index: The columns of a pandas index are read even when they are not asked for.

    Raises:
        StorageError: a file cannot be read, is not Parquet, or lacks a column.
    """
    import pyarrow

    tables = [_read_one(address, columns, with_index=with_index) for address in addresses]
    if len(tables) == 1:
        return tables[0]
    try:
        return pyarrow.concat_tables(tables, promote_options="permissive")
    except pyarrow.ArrowException as error:
        raise unreadable(addresses[0], "a part of the same table as the files beside it", error) from error


def read_schema(address: str) -> Any:
    """The arrow schema of a file.

    Raises:
        StorageError: it cannot be read, or is not Parquet.
    """
    with _parquet_file(address) as file:
        return file.schema_arrow


def read_batches(address: str, columns: list[str], *, with_index: bool) -> Iterator[Any]:
    """The tables of a file's row groups, in order."""
    with _parquet_file(address) as file:
        check_columns(address, columns, file.schema_arrow.names)
        for index in range(file.num_row_groups):
            yield _selected(file.read_row_group(index, columns or None, use_pandas_metadata=with_index), columns)


def _read_one(address: str, columns: list[str], *, with_index: bool) -> Any:
    with _parquet_file(address) as file:
        check_columns(address, columns, file.schema_arrow.names)
        return _selected(file.read(columns or None, use_pandas_metadata=with_index), columns)


def _selected(table: Any, columns: list[str]) -> Any:
    """A table with its columns in the order asked for; those of an index stay behind them."""
    if columns:
        table = table.select([*columns, *(name for name in table.column_names if name not in columns)])
    return restored(table)


@contextmanager
def _parquet_file(address: str) -> Iterator[Any]:
    import pyarrow
    from pyarrow import parquet

    # pyarrow maps a local file itself, and reads several columns at once.
    source: Any = backend_of(address).open_reader(address, DEFAULT_BLOCK_BYTES) if is_remote(address) else None
    try:
        with (
            data_errors(address, "read"),
            parquet.ParquetFile(source or str(local_path(address)), memory_map=source is None) as file,
        ):
            yield file
    except StorageError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno is None and not is_remote(address):
            raise unreadable(address, "Parquet", cause) from error
        raise
    except pyarrow.ArrowException as error:
        raise unreadable(address, "Parquet", error) from error
    finally:
        if source is not None:
            source.close()


def _compressions(table: Any) -> str | dict[str, str]:
    """For each column whether it is compressed, which costs the time for another read where nothing is gained."""
    from pyarrow import types

    if any(types.is_nested(kind) for kind in table.schema.types):
        return COMPRESSION
    sample = table.slice(0, _SAMPLE_ROWS).combine_chunks()
    return {
        name: COMPRESSION if _stream_bytes(column, COMPRESSION) < _stream_bytes(column, None) * _MAX_PACKED else "none"
        for name in sample.column_names
        for column in (sample.select([name]),)
    }


def _stream_bytes(table: Any, compression: str | None) -> int:
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(
        sink, table.schema, options=pyarrow.ipc.IpcWriteOptions(compression=compression)
    ) as stream:
        stream.write_table(table)
    size: int = sink.getvalue().size
    return size


def _repetitive_columns(table: Any) -> list[str]:
    from pyarrow import compute, types

    chosen = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        if types.is_dictionary(kind):
            chosen.append(name)
        elif types.is_string(kind) or types.is_large_string(kind):
            sample = column.slice(0, _SAMPLE_ROWS)
            if compute.count_distinct(sample).as_py() <= len(sample) * _MAX_DISTINCT:
                chosen.append(name)
    return chosen
