"""Data that is too large for a literal: files, folders and frames, passed between tasks by their address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyte._lazy import bound_lazily

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

__getattr__, __dir__ = bound_lazily(__name__, __name__, _MODULES)
