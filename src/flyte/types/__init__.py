"""Python values to literals and back.

Most programs need nothing of this: annotations say enough. Teach a type of your own with `TypeTransformer` and
`TypeEngine.register`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyte.types._engine import TypeEngine
    from flyte.types._failure import TypeTransformerFailedError
    from flyte.types._pickles import FlytePickle
    from flyte.types._remote_interface import guess_interface
    from flyte.types._rendering import Renderable
    from flyte.types._text import literal_string_repr
    from flyte.types._transformers import TypeTransformer

__all__ = [
    "FlytePickle",
    "Renderable",
    "TypeEngine",
    "TypeTransformer",
    "TypeTransformerFailedError",
    "guess_interface",
    "literal_string_repr",
]

_MODULES = {
    "FlytePickle": "_pickles",
    "Renderable": "_rendering",
    "TypeEngine": "_engine",
    "TypeTransformer": "_transformers",
    "TypeTransformerFailedError": "_failure",
    "guess_interface": "_remote_interface",
    "literal_string_repr": "_text",
}


def __getattr__(name: str) -> Any:
    # `import flyte.types` loads no protobuf; the first use of a name does.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
