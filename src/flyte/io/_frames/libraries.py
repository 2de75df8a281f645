"""The libraries behind frames, none of which `pip install flyte` brings along."""

from __future__ import annotations

from importlib.util import find_spec

from flyte.types._failure import TypeTransformerFailedError

_EXTRAS = {"pandas": "pandas", "polars": "polars", "pyarrow": "pyarrow", "safetensors": "torch"}


def require(library: str, purpose: str, extra: str | None = None) -> None:
    """Nothing, where a library is installed; it is not imported.

    Args:
        library: Its import name.
        purpose: What needs it, as in "<purpose> needs pyarrow".
        extra: The extra of this package that brings it; default the one named for it.

    Raises:
        TypeTransformerFailedError: it is not installed; says how to install it.
    """
    if find_spec(library) is None:
        command = f"pip install 'flyte[{extra or _EXTRAS[library]}]'"
        raise TypeTransformerFailedError(
            f"{purpose} needs {library}, which is not installed: {command}", fix=f"Run: {command}"
        )
