"""Files, folders and frames from the command line: paths and URLs, looked at before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

DataKind = Literal["file", "folder", "table"]

_NAMES: dict[tuple[str, str], DataKind] = {
    ("flyte", "File"): "file",
    ("flyte", "Dir"): "folder",
    ("flyte", "DataFrame"): "table",
    ("pandas", "DataFrame"): "table",
    ("polars", "DataFrame"): "table",
    ("polars", "LazyFrame"): "table",
    ("pyarrow", "Table"): "table",
}
_FORMATS = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet", "": "parquet"}
FORMS: dict[DataKind, str] = {
    "file": "path or URL of a file",
    "folder": "path or URL of a folder",
    "table": "path or URL of a parquet file or folder, or of a .csv file",
}
EXAMPLES: dict[DataKind, str] = {"file": "data.txt", "folder": "pictures", "table": "rows.parquet"}


def data_kind(annotation: Any) -> DataKind | None:
    """What kind of data an annotation asks for; None for any other type."""
    if not isinstance(annotation, type):
        origin = getattr(annotation, "__origin__", None)
        return data_kind(origin) if isinstance(origin, type) else None
    for cls in annotation.__mro__:
        kind = _NAMES.get((cls.__module__.partition(".")[0], cls.__name__))
        if kind is not None:
            return kind
    return None


def data_from_text(text: str, annotation: Any, kind: DataKind) -> Any:
    """The file, folder or frame that a path or URL means. Local data is used where it is, known by its content hash.

    Raises:
        ValueError: there is nothing at a local path, or something of another kind; or the frame cannot be read.
    """
    from flyte.storage._addresses import is_remote, local_path

    address = text
    if not is_remote(text):
        path = local_path(text).expanduser().absolute()
        if not path.exists():
            raise ValueError(f"there is no {'file' if kind == 'table' else kind} {path}")
        if kind != "table" and path.is_dir() != (kind == "folder"):
            raise ValueError(f"{path} is a {'folder' if path.is_dir() else 'file'}, not a {kind}")
        address = str(path)
    if kind == "table":
        return _frame(address, annotation)
    from flyte.io import Dir, File

    cls: type[File[Any]] | type[Dir[Any]] = File if kind == "file" else Dir
    reference = cls.from_existing_remote(address)
    if not is_remote(address):
        reference.hash = _content_hash(Path(address), kind)
    return reference


def _content_hash(path: Path, kind: DataKind) -> str:
    from flyte.storage._digests import digest_of_file, digest_of_folder
    from flyte.storage._local import LOCAL_FILES

    if kind == "file":
        return digest_of_file(path)
    entries = LOCAL_FILES.list_files(str(path))
    return digest_of_folder((entry.relative, digest_of_file(path / entry.relative)) for entry in entries)


def _frame(address: str, annotation: Any) -> Any:
    from flyte.io import DataFrame

    suffix = Path(address).suffix
    if suffix not in _FORMATS:
        raise ValueError(f"{address} is neither parquet nor csv: its name ends in {suffix!r}")
    reference = DataFrame.from_existing_remote(address, format=_FORMATS[suffix])
    if annotation is DataFrame:
        return reference
    return reference.open(annotation).all_sync()
