"""Python values to literals and back.

Most programs need nothing of this: annotations say enough. Teach a type of your own with `TypeTransformer` and
`TypeEngine.register`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyte._lazy import bound_lazily

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

__getattr__, __dir__ = bound_lazily(__name__, __name__, _MODULES)
