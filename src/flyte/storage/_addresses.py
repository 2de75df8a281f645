"""Addresses of data: local paths, `file://` URLs, and URLs such as `s3://bucket/key`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Union

from flyte.errors import InvalidAddressError

LOCAL_PROTOCOLS = frozenset({"file", "local"})
OBJECT_PROTOCOLS = frozenset({"abfs", "abfss", "adl", "az", "azure", "gs", "s3", "s3a"})
"""The stores that obstore reaches; every other protocol goes through fsspec."""

_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")


def protocol_of(address: Union[Path, str]) -> str:
    """`file` for a path of this machine, else what stands before `://`, in lower case."""
    match = _URL.match(os.fspath(address))
    protocol = match[1].lower() if match else "file"
    return "file" if protocol in LOCAL_PROTOCOLS else protocol


def is_remote(path: Union[Path, str]) -> bool:
    """True for a URL of anything but this machine's files."""
    return protocol_of(path) != "file"


def local_path(address: Union[Path, str]) -> Path:
    """The path that a local address means; `~` is left as it is.

    Raises:
        InvalidAddressError: it is empty, or holds a NUL.
    """
    text = os.fspath(address)
    match = _URL.match(text)
    path = text[match.end() :] if match else text
    if not path or "\0" in path:
        raise InvalidAddressError(text, f"{text!r} is not a path: give the path of a file or folder.")
    return Path(path)


def absolute(address: Union[Path, str]) -> str:
    """The address with which any process finds what this one means: local paths from the root, URLs as they are."""
    return os.fspath(address) if is_remote(address) else os.path.abspath(local_path(address))


def base_name(address: str) -> str:
    """The last part of an address; empty for a bucket or a root."""
    match = _URL.match(address)
    rest = address[match.end() :] if match else address
    rest = rest.rstrip("/")
    if match and is_remote(address) and "/" not in rest:
        return ""
    return rest.rpartition("/")[2]


def join(*paths: str) -> str:
    """The parts as one address: of a URL with single slashes, of a path as `os.path.join` does it.

    Raises:
        InvalidAddressError: a URL, or a part that starts with a slash, stands behind a URL.
    """
    if not paths or not is_remote(paths[0]):
        return os.path.join(*paths) if paths else ""
    address = paths[0]
    for part in paths[1:]:
        if part.startswith("/") or _URL.match(part):
            raise InvalidAddressError(part, f"{part!r} is an address of its own: join {address!r} with relative parts.")
        address = f"{address.rstrip('/')}/{part}" if part else address
    return address


def below(folder: str, relative: str) -> str:
    """The address of what has the relative path `relative` in a folder.

    Raises:
        InvalidAddressError: `relative` is empty or absolute, or leads out of the folder.
    """
    return join(folder, checked_relative(relative))


def checked_relative(relative: str) -> str:
    """`relative` itself, which stays in whatever folder it is taken from.

    Raises:
        InvalidAddressError: it is empty, absolute or a URL, holds a NUL or a backslash, or has a part `..`.
    """
    parts = relative.split("/")
    if not relative or relative.startswith("/") or _URL.match(relative) or "\0" in relative:
        reason = "it is not a relative path"
    elif ".." in parts or "\\" in relative:
        reason = "it may lead out of its folder"
    elif any(part in ("", ".") for part in parts):
        reason = "it has an empty part"
    else:
        return relative
    raise InvalidAddressError(relative, f"{relative!r} cannot name a file in a folder: {reason}.")


def parents_of(relative: str) -> list[str]:
    """The folders that a relative path leads through, from the outermost."""
    parts = relative.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def rewritten(address: str) -> str:
    """Where the data recorded at `address` is for the running task, by the `PathRewrite` of its raw data path."""
    from flyte._context import current_scope

    scope = current_scope()
    rewrite = None if scope is None else scope.context().raw_data_path.path_rewrite
    if rewrite is not None and address.startswith(rewrite.old_prefix):
        return rewrite.new_prefix + address[len(rewrite.old_prefix) :]
    return address
