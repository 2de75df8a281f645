"""fsspec file systems for those who want one."""

from __future__ import annotations

from typing import Any, Optional

from flyte.storage._addresses import OBJECT_PROTOCOLS, protocol_of
from flyte.storage._failures import data_errors
from flyte.storage._settings import get_configured_fsspec_kwargs


def get_underlying_filesystem(
    protocol: Optional[str] = None, anonymous: bool = False, path: Optional[str] = None, **kwargs: Any
) -> Any:
    """The fsspec file system for a protocol, or for a path; obstore's for object stores.

    Args:
        protocol: Such as `s3` or `file`; None takes that of `path`.
        anonymous: Requests are not signed.
        path: An address; used where no protocol is given.
        kwargs: Win over the configured settings.

    Raises:
        ValueError: neither is given, or fsspec does not know the protocol.
    """
    import fsspec

    if protocol is None:
        if path is None:
            raise ValueError("get_underlying_filesystem needs a protocol or a path")
        protocol = protocol_of(path)
    if protocol in OBJECT_PROTOCOLS:
        from obstore.fsspec import FsspecStore

        with data_errors(path or f"{protocol}://", "reach"):
            made: Any = FsspecStore
            return made(protocol, **{**get_configured_fsspec_kwargs(protocol, anonymous), **kwargs})
    return fsspec.filesystem(protocol, **kwargs)
