"""Teaching `flyte.io` frames of further classes, formats and kinds of storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    # Who only names the classes in annotations needs no protobuf.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"flyte.io._frames.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
