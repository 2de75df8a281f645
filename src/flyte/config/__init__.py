"""Settings: one optional YAML file, and environment variables that win over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Union

from flyte.config._config import Config
from flyte.config._reader import ConfigFile, get_config_file, home

__all__ = ["Config", "auto", "get_config_file", "home", "set_if_exists"]


def auto(config_file: Union[str, Path, ConfigFile, None] = None) -> Config:
    """Read the settings: `Config.auto`."""
    return Config.auto(config_file)


def set_if_exists(d: dict[str, Any], k: str, val: Any) -> dict[str, Any]:
    """Put `val` into `d` under `k` if it says something: a flag does, an empty value does not."""
    if val or isinstance(val, bool):
        d[k] = val
    return d
