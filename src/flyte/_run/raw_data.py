"""Where a run puts data that is too large for its records, and what of that is recorded for a resumed one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from flyte._run.initialization import settings
from flyte.models import PathRewrite, RawDataPath
from flyte.storage._addresses import is_remote, local_path

REWRITE_VARIABLE = "_F_PATH_REWRITE"
"""`old->new`: addresses that start with `old` are read from `new`, where that is there."""


def as_raw_data_path(given: str | Path | RawDataPath | None) -> RawDataPath | None:
    """What `with_runcontext` was given, local paths from the root."""
    if given is None:
        return None
    if isinstance(given, RawDataPath):
        return replace(given, path=resolved(given.path))
    return RawDataPath(path=resolved(str(given)))


def chosen_raw_data_path(given: RawDataPath | None) -> RawDataPath | None:
    """The raw data path that was given, else the one that is configured; None leaves data in the folder of the run.

    A rewrite comes from what was given, else from the environment.

    Raises:
        ValueError: the variable is not of the form `old->new`.
    """
    from flyte.config._config import configured_raw_data_path

    chosen = given
    if chosen is None:
        local = settings().local
        chosen = as_raw_data_path(configured_raw_data_path() if local is None else local.raw_data_path)
    rewrite = None if given is None else given.path_rewrite
    if chosen is None or rewrite is not None:
        return chosen
    return replace(chosen, path_rewrite=rewrite_of_environment())


def default_raw_data_path(folder: Path) -> RawDataPath:
    """The raw data path of a run for which none was chosen."""
    return RawDataPath(path=str(folder), path_rewrite=rewrite_of_environment())


def rewrite_of_environment() -> PathRewrite | None:
    """What `_F_PATH_REWRITE` says; None where it is unset, or where there is nothing at the new place."""
    pattern = os.environ.get(REWRITE_VARIABLE)
    if not pattern:
        return None
    rewrite = PathRewrite.from_str(pattern)
    return rewrite if is_remote(rewrite.new_prefix) or local_path(rewrite.new_prefix).exists() else None


def raw_data_settings(raw_data_path: RawDataPath | None) -> dict[str, Any]:
    """What a run records of its raw data path."""
    rewrite = None if raw_data_path is None else raw_data_path.path_rewrite
    return {
        "raw_data_path": None if raw_data_path is None else raw_data_path.path,
        "path_rewrite": None if rewrite is None else [rewrite.old_prefix, rewrite.new_prefix],
    }


def recorded_raw_data_path(kept: Mapping[str, Any]) -> RawDataPath | None:
    """The raw data path that `raw_data_settings` recorded."""
    if kept["raw_data_path"] is None:
        return None
    rewrite = kept.get("path_rewrite")
    return RawDataPath(path=kept["raw_data_path"], path_rewrite=None if rewrite is None else PathRewrite(*rewrite))


def resolved(path: str) -> str:
    """A local path from the root, whatever process reads it; a URL as it is."""
    return path if is_remote(path) else str(local_path(path).expanduser().resolve())
