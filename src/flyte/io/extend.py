"""Teaching `flyte.io` frames of further classes, formats and kinds of storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyte._lazy import bound_lazily

if TYPE_CHECKING:
    from flyte.io._frames.engine import DataFrameTransformerEngine
    from flyte.io._frames.handlers import DataFrameDecoder, DataFrameEncoder
    from flyte.io._frames.registry import DuplicateHandlerError

__all__ = ["DataFrameDecoder", "DataFrameEncoder", "DataFrameTransformerEngine", "DuplicateHandlerError"]

_MODULES = {
    "DataFrameDecoder": "handlers",
    "DataFrameEncoder": "handlers",
    "DataFrameTransformerEngine": "engine",
    "DuplicateHandlerError": "registry",
}

__getattr__, __dir__ = bound_lazily(__name__, "flyte.io._frames", _MODULES)
