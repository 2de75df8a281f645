"""Data that is too large for a literal: files, folders and frames, passed between tasks by their address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyte.io._dir import Dir, EmptyDir
    from flyte.io._file import File
    from flyte.io._frames.formats import PARQUET
    from flyte.io._frames.model import DataFrame
    from flyte.io._hashing import HashFunction

__all__ = ["PARQUET", "DataFrame", "Dir", "EmptyDir", "File", "HashFunction"]

_MODULES = {
    "DataFrame": "_frames.model",
    "Dir": "_dir",
    "EmptyDir": "_dir",
    "File": "_file",
    "HashFunction": "_hashing",
    "PARQUET": "_frames.formats",
}


def __getattr__(name: str) -> Any:
    # Frames are of no concern to whoever passes files, and neither to whoever imports `flyte`.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
