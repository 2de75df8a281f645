"""Where the file of a frame goes, and where the files of one are."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from shutil import rmtree
from typing import Any

from flyte.errors import DataNotFoundError
from flyte.io._frames.conversions import POLARS, POLARS_LAZY, refuse_unwritable, to_table
from flyte.io._frames.csv_files import write_csv
from flyte.io._frames.fingerprints import Fingerprint, fingerprint_of
from flyte.io._frames.formats import CSV, FILE_NAMES
from flyte.io._frames.parquet_files import COMPRESSION, write_table
from flyte.io._local_files import new_local_file
from flyte.storage._addresses import absolute, below, is_remote, local_path, rewritten
from flyte.storage._backend import Tuning, backend_of
from flyte.storage._failures import data_errors, not_found
from flyte.storage._flushing import wait_until_flushed
from flyte.storage._temporary import get_random_local_directory
from flyte.storage._transfer import content_address
from flyte.types._failure import TypeTransformerFailedError

_serials = count()
_TRIES = 10


def place(frame: Any, kind: tuple[str, str], format: str, folder: str | None) -> tuple[str, str]:
    """A frame is in storage: its folder, and the fingerprint of its content.

    Args:
        frame: To be written.
        kind: Its class.
        format: Of the file.
        folder: Where to; without one that is decided by the content, and what is there already is not written again.

    Raises:
        TypeTransformerFailedError: it has no stored form.
        NotInTaskContextError: no folder is given, and no task is running here.
        StorageError: it cannot be written.
    """
    if kind == POLARS_LAZY and format != CSV:
        return _place_lazy(frame, format, folder)
    if kind == POLARS_LAZY:
        frame, kind = frame.collect(), POLARS
    table = to_table(frame, kind)
    digest = fingerprint_of(table, CSV if format == CSV else "")
    if format == CSV:
        write: Callable[[str], None] = lambda address: write_csv(frame, kind, address)  # noqa: E731
    else:
        write = lambda address: write_table(table, address)  # noqa: E731
    return _place(digest, format, folder, write), digest


def files_of(uri: str) -> list[str]:
    """The addresses of the data files of a frame: `uri` itself, or those in the folder that it is, in order.

    Raises:
        DataNotFoundError: there is nothing there, or nothing in it.
    """
    uri = rewritten(uri)
    backend = backend_of(uri)
    found = backend.find(uri)
    if found is None:
        raise not_found(uri, "read")
    if found.kind == "file":
        return [uri]
    names = [entry.relative for entry in backend.list_files(uri)]
    # Files that start so are notes of the writer, such as `_SUCCESS`, or not complete.
    shown = [name for name in names if not any(part.startswith(("_", ".")) for part in name.split("/"))]
    if not shown:
        raise DataNotFoundError(uri, f"cannot read {uri}: the folder holds no data files. Check the path.")
    return [below(uri, name) for name in shown]


def _place(digest: str, format: str, folder: str | None, write: Callable[[str], None]) -> str:
    """The folder of the file that `write` makes, if it is not there."""
    if folder is None:
        folder = content_address(digest)
        address = below(folder, FILE_NAMES[format])
        if backend_of(address).find(address) is None:
            write(address)
    else:
        folder = absolute(folder)
        address = below(folder, FILE_NAMES[format])
        write(address)
    # Whoever gets the address may record it.
    wait_until_flushed(address)
    return folder


def _place_lazy(frame: Any, format: str, folder: str | None) -> tuple[str, str]:
    """As `place`, for a LazyFrame: it is computed into a file, part by part, and what came out is hashed there."""
    refuse_unwritable(frame.collect_schema())
    temporary, clean_up = _temporary_file(folder)
    try:
        try:
            frame.sink_parquet(temporary, compression=COMPRESSION, maintain_order=True)
        except OSError:
            with data_errors(temporary, "write"):
                raise
        except Exception as error:
            if type(error).__module__.partition(".")[0] != "polars":
                raise
            raise TypeTransformerFailedError(
                f"the LazyFrame cannot be computed: {str(error).splitlines()[0].rstrip('.')}",
                fix="Try `.collect()` where it is made, which shows the step that fails.",
            ) from error
        digest = _fingerprint_of_file(temporary)
        return _place(digest, format, folder, lambda address: _move(temporary, address)), digest
    finally:
        clean_up()


def _temporary_file(folder: str | None) -> tuple[Path, Callable[[], None]]:
    """A path for a file on its way, on the disk where it will stay if that is local, and what removes it."""
    from flyte._context import ctx

    raw_data_path = ctx().raw_data_path
    root = folder or (raw_data_path.path if raw_data_path is not None else None)
    if root is None or is_remote(root):
        temporary = get_random_local_directory()
    else:
        temporary = local_path(absolute(root)) / f".lazy.{os.getpid()}.{next(_serials)}.tmp"
        temporary.mkdir(parents=True)
    return temporary / FILE_NAMES["parquet"], partial(_remove, temporary)


def _remove(folder: Path) -> None:
    """The folder is gone. A thread of polars may make its file after the failure was told, while this looks at it; once
    the folder is gone, it cannot."""
    for _ in range(_TRIES):
        rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


def _move(source: Path, address: str) -> None:
    if is_remote(address):
        backend_of(address).store_file(source, address, Tuning())
        return
    with new_local_file(address) as temporary:
        source.replace(temporary)


def _fingerprint_of_file(path: Path) -> str:
    from pyarrow import parquet

    with parquet.ParquetFile(path, memory_map=True) as file:
        schema = _without_categories(file.schema_arrow)
        fingerprint = Fingerprint(schema, "lazy")
        for batch in file.iter_batches(1 << 17):
            fingerprint.update(batch.cast(schema))
        return fingerprint.digest()


def _without_categories(schema: Any) -> Any:
    """The schema with categories as their values: a batch knows only some of them."""
    import pyarrow

    fields = [
        field.with_type(field.type.value_type) if pyarrow.types.is_dictionary(field.type) else field for field in schema
    ]
    return pyarrow.schema(fields, schema.metadata)
