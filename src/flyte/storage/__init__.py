"""Files, folders and objects at any address: on this machine, in S3, Google's and Azure's stores, or where fsspec goes.

`flyte.io` is what tasks pass around; these functions are for data that you address yourself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyte._lazy import bound_lazily

if TYPE_CHECKING:
    from flyte.storage._addresses import is_remote, join
    from flyte.storage._file_systems import get_underlying_filesystem
    from flyte.storage._settings import ABFS, GCS, S3, Local, Storage, get_configured_fsspec_kwargs
    from flyte.storage._temporary import get_random_local_directory, get_random_local_path
    from flyte.storage._transfer import exists, exists_sync, get, get_stream, open, put, put_stream

__all__ = [
    "ABFS",
    "GCS",
    "S3",
    "Local",
    "Storage",
    "exists",
    "exists_sync",
    "get",
    "get_configured_fsspec_kwargs",
    "get_random_local_directory",
    "get_random_local_path",
    "get_stream",
    "get_underlying_filesystem",
    "is_remote",
    "join",
    "open",
    "put",
    "put_stream",
]

_MODULES = {
    **dict.fromkeys(("ABFS", "GCS", "S3", "Local", "Storage", "get_configured_fsspec_kwargs"), "_settings"),
    **dict.fromkeys(("exists", "exists_sync", "get", "get_stream", "open", "put", "put_stream"), "_transfer"),
    **dict.fromkeys(("get_random_local_directory", "get_random_local_path"), "_temporary"),
    **dict.fromkeys(("is_remote", "join"), "_addresses"),
    "get_underlying_filesystem": "_file_systems",
}

__getattr__, __dir__ = bound_lazily(__name__, __name__, _MODULES)
