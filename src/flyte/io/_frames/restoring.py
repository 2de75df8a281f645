"""Columns whose type Parquet does not keep: noted beside the table when it is written, restored when it is read.

Those are categories other than text, or without rows, and times in whole seconds. The note is an arrow stream of a
table without rows; other readers of the file pass over it.
"""

from __future__ import annotations

from typing import Any

_KEY = b"flyte.columns"


def with_note(table: Any) -> Any:
    """The table with a note of its columns that would come back as another type; itself where there are none."""
    import pyarrow

    noted = {
        name: column
        for name, column in zip(table.column_names, table.columns, strict=True)
        if _changes(column.type, table)
    }
    if not noted:
        return table
    arrays = [_without_rows(column) for column in noted.values()]
    batch = pyarrow.record_batch(arrays, names=list(noted))
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return table.replace_schema_metadata({**(table.schema.metadata or {}), _KEY: sink.getvalue().to_pybytes()})


def restored(table: Any) -> Any:
    """The table with the types that the note says, and without the note."""
    import pyarrow

    metadata = dict(table.schema.metadata or {})
    note = metadata.pop(_KEY, None)
    if note is None:
        return table
    types = pyarrow.ipc.open_stream(note).read_all()
    for name in types.column_names:
        index = table.schema.get_field_index(name)
        if index >= 0:
            field = table.schema.field(index).with_type(types.schema.field(name).type)
            table = table.set_column(index, field, _typed(table.column(index), types.column(name)))
    return table.replace_schema_metadata(metadata or None)


def _typed(column: Any, like: Any) -> Any:
    import pyarrow
    from pyarrow import compute

    if not pyarrow.types.is_dictionary(like.type):
        return column.cast(like.type)
    categories = like.chunk(0).dictionary
    chunks = [
        pyarrow.DictionaryArray.from_arrays(
            compute.index_in(chunk, categories).cast(like.type.index_type), categories, ordered=like.type.ordered
        )
        for chunk in column.cast(categories.type).chunks
    ]
    return pyarrow.chunked_array(chunks, like.type)


def _without_rows(column: Any) -> Any:
    import pyarrow

    kind = column.type
    if not pyarrow.types.is_dictionary(kind):
        return pyarrow.array([], kind)
    unified = column.unify_dictionaries()
    categories = unified.chunk(0).dictionary if unified.num_chunks else pyarrow.array([], kind.value_type)
    return pyarrow.DictionaryArray.from_arrays(pyarrow.array([], kind.index_type), categories, ordered=kind.ordered)


def _changes(kind: Any, table: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        is_text = types.is_string(kind.value_type) or types.is_large_string(kind.value_type)
        return not is_text or not table.num_rows
    if types.is_nested(kind):
        return any(_changes(kind.field(index).type, table) for index in range(kind.num_fields))
    in_seconds = (types.is_timestamp(kind) or types.is_time32(kind)) and kind.unit == "s"
    return in_seconds or bool(types.is_date64(kind))
