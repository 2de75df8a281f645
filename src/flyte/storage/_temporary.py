"""Fresh places on this machine for data that is fetched."""

from __future__ import annotations

from pathlib import Path
from random import getrandbits
from tempfile import mkdtemp
from typing import Union


def get_random_local_directory() -> Path:
    """A new temporary folder."""
    return Path(mkdtemp(prefix="flyte-tmp-"))


def get_random_local_path(file_path_or_file_name: Union[Path, str, None] = None) -> Path:
    """A path in a new temporary folder, at which nothing is yet.

    Args:
        file_path_or_file_name: Its last part is kept; None makes one up.
    """
    name = Path(file_path_or_file_name).name if file_path_or_file_name is not None else ""
    return get_random_local_directory() / (name or f"{getrandbits(128):032x}")
