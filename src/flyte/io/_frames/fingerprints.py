"""Content hashes of tables.

A fingerprint does not depend on how a table is cut into chunks, on what is stored under a null, or on which version of
a library made it, so that writing a table, reading it and taking it again gives the same one.

It is the BLAKE3 hash of the schema, the number of rows, and for each column the hashes of four streams: the positions
of its nulls, the values of fixed width or the bytes of text, the lengths of texts and lists, and the categories. Lists
and structs have the streams of what is in them too.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flyte.storage._digests import PREFIX

_MANY_BYTES = 4 << 20
"""From this size on, the columns of a table are hashed on several threads."""


class Fingerprint:
    """Hashes the batches of a table, in order.

    Args:
        schema: Of the table, an arrow one.
        form: Anything else that tells what is stored from other forms of the same table.
    """

    def __init__(self, schema: Any, form: str = "") -> None:
        self._head = json.dumps([form, _schema_document(schema)], sort_keys=True).encode()
        self._columns = [_Column() for _ in schema]
        self._rows = 0

    def update(self, table: Any) -> None:
        """The next rows: an arrow table or record batch."""
        self._rows += table.num_rows
        if table.nbytes < _MANY_BYTES or len(self._columns) < 2:
            for column, values in zip(self._columns, table.columns, strict=True):
                column.update(values)
            return
        with ThreadPoolExecutor(min(len(self._columns), os.cpu_count() or 1), "flyte-hash") as threads:
            list(threads.map(_Column.update, self._columns, table.columns))

    def digest(self) -> str:
        """The fingerprint of everything so far."""
        from blake3 import blake3

        hasher = blake3(self._head)
        hasher.update(b"%d" % self._rows)
        for column in self._columns:
            hasher.update(column.digest())
        return PREFIX + hasher.hexdigest()


def fingerprint_of(table: Any, form: str = "") -> str:
    """The fingerprint of an arrow table."""
    fingerprint = Fingerprint(table.schema, form)
    fingerprint.update(table)
    return fingerprint.digest()


class _Column:
    """The streams of one column, or of what is inside one."""

    def __init__(self) -> None:
        from blake3 import blake3

        self._rows = 0
        self._nulls, self._values, self._lengths, self._categories = blake3(), blake3(), blake3(), blake3()
        self._inner: list[_Column] = []

    def update(self, values: Any) -> None:
        """The next values: an array, or a chunked one."""
        import pyarrow

        if isinstance(values, pyarrow.ChunkedArray):
            if pyarrow.types.is_dictionary(values.type):
                values = values.unify_dictionaries()
                if values.num_chunks:
                    self._add_categories(values.chunk(0).dictionary)
            for chunk in values.chunks:
                self._add(chunk)
        else:
            if pyarrow.types.is_dictionary(values.type):
                self._add_categories(values.dictionary)
            self._add(values)

    def digest(self) -> bytes:
        """The hash of all streams."""
        from blake3 import blake3

        hasher = blake3(b"%d:%d;" % (self._rows, len(self._inner)))
        for stream in (self._nulls, self._values, self._lengths, self._categories):
            hasher.update(stream.digest())
        for column in self._inner:
            hasher.update(column.digest())
        return hasher.digest()

    def _add_categories(self, categories: Any) -> None:
        if not len(categories):
            return  # as if there were no chunk to have them
        column = _Column()
        column.update(categories)
        self._categories.update(column.digest())

    def _add(self, array: Any) -> None:
        import pyarrow
        from pyarrow import types

        kind = array.type
        if isinstance(kind, pyarrow.BaseExtensionType):
            array, kind = array.storage, array.type.storage_type
        if types.is_dictionary(kind):
            array, kind = array.indices, kind.index_type
        if array.null_count:
            self._add_nulls(array)
        if types.is_string_view(kind) or types.is_binary_view(kind):
            array = array.cast(pyarrow.large_string() if types.is_string_view(kind) else pyarrow.large_binary())
            kind = array.type
        if types.is_null(kind):
            pass
        elif _is_text(kind):
            self._add_texts(array)
        elif types.is_struct(kind):
            self._add_inner(array.flatten())
        elif types.is_nested(kind):
            self._add_lists(array)
        else:
            self._add_fixed(array)
        self._rows += len(array)

    def _add_nulls(self, array: Any) -> None:
        import numpy

        missing = numpy.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))
        self._nulls.update(_bytes_of((missing + self._rows).astype("<i8")))

    def _add_texts(self, array: Any) -> None:
        import numpy
        from pyarrow import types

        if array.null_count:
            array = array.fill_null("" if types.is_string(array.type) or types.is_large_string(array.type) else b"")
        wide = types.is_large_string(array.type) or types.is_large_binary(array.type)
        _, offset_buffer, data = array.buffers()
        if not len(array):
            return
        offsets = numpy.frombuffer(offset_buffer, "<i8" if wide else "<i4")
        offsets = offsets[array.offset : array.offset + len(array) + 1]
        self._lengths.update(_bytes_of(numpy.diff(offsets).astype("<u4")))
        if data is not None:
            self._values.update(memoryview(data).cast("B")[int(offsets[0]) : int(offsets[-1])])

    def _add_lists(self, array: Any) -> None:
        import pyarrow
        from pyarrow import compute, types

        if types.is_map(array.type):
            item = pyarrow.struct([array.type.key_field, array.type.item_field])
            array = array.cast(pyarrow.list_(pyarrow.field("entries", item, nullable=False)))
        lengths = compute.list_value_length(array).fill_null(0).cast(pyarrow.int64())
        self._lengths.update(_bytes_of(lengths.to_numpy()))
        self._add_inner([array.flatten()])

    def _add_inner(self, arrays: list[Any]) -> None:
        if not self._inner:
            self._inner = [_Column() for _ in arrays]
        for column, array in zip(self._inner, arrays, strict=True):
            column._add(_decoded(array))

    def _add_fixed(self, array: Any) -> None:
        import numpy
        import pyarrow

        if pyarrow.types.is_boolean(array.type):
            array = array.cast(pyarrow.uint8())
        buffer = array.buffers()[1]
        width = array.type.byte_width
        if buffer is None or not len(array) or not width:
            return
        raw = memoryview(buffer).cast("B")[array.offset * width : (array.offset + len(array)) * width]
        if array.null_count:
            values = numpy.frombuffer(raw, f"V{width}").copy()
            values.view("u1").reshape(-1, width)[array.is_null().to_numpy(zero_copy_only=False)] = 0
            self._values.update(_bytes_of(values))
        else:
            self._values.update(raw)


def _decoded(array: Any) -> Any:
    """Categories inside lists and structs may differ from chunk to chunk, so there their values count."""
    import pyarrow

    return array.dictionary_decode() if pyarrow.types.is_dictionary(array.type) else array


def _bytes_of(array: Any) -> memoryview:
    """The memory of a numpy array."""
    return memoryview(array.view("u1"))


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return any(
        is_kind(kind) for is_kind in (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    )


def _schema_document(schema: Any) -> Any:
    """What of a schema a Parquet file keeps, as plain data."""
    metadata = dict(schema.metadata or {})
    pandas = metadata.pop(b"pandas", None)
    return {
        "fields": [_field_document(field) for field in schema],
        "metadata": _texts(metadata),
        "pandas": _pandas_document(json.loads(pandas)) if pandas is not None else None,
    }


def _field_document(field: Any) -> Any:
    metadata = {key: value for key, value in (field.metadata or {}).items() if key != b"PARQUET:field_id"}
    return [field.name, _type_document(field.type), field.nullable, _texts(metadata)]


def _texts(metadata: dict[bytes, bytes]) -> dict[str, str]:
    return {key.decode("latin-1"): value.decode("latin-1") for key, value in metadata.items()}


def _type_document(kind: Any) -> Any:
    """A type; the names that lists and maps give what is in them are not kept by Parquet."""
    import pyarrow
    from pyarrow import types

    if types.is_struct(kind):
        return ["struct", *(_field_document(kind.field(index)) for index in range(kind.num_fields))]
    if types.is_map(kind):
        return ["map", _type_document(kind.key_type), _type_document(kind.item_type)]
    if types.is_dictionary(kind):
        return ["dictionary", _text_type(kind.value_type), kind.ordered]
    if isinstance(kind, pyarrow.BaseExtensionType):
        return [str(kind), _type_document(kind.storage_type)]
    if types.is_nested(kind) and kind.num_fields == 1:
        size = kind.list_size if types.is_fixed_size_list(kind) else None
        return [type(kind).__name__, size, _type_document(kind.value_type)]
    return _text_type(kind)


def _text_type(kind: Any) -> str:
    from pyarrow import types

    # pandas takes text of either width for the same, and gives back the other one.
    return "string" if types.is_string(kind) or types.is_large_string(kind) else str(kind)


def _pandas_document(notes: dict[str, Any]) -> dict[str, Any]:
    """What pandas notes beside a table, without the versions; text is text, whichever dtype holds it."""
    columns = []
    for column in notes.get("columns", []):
        if (column["pandas_type"], column["numpy_type"]) in (
            ("unicode", "object"),
            ("object", "str"),
            ("unicode", "str"),
        ):
            column = {**column, "pandas_type": "text", "numpy_type": "text"}
        columns.append(column)
    kept = {key: value for key, value in notes.items() if key not in ("creator", "pandas_version", "columns")}
    return {**kept, "columns": columns}
