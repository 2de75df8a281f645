"""Which configuration file is in use, and what is in it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from flyte.errors import InitializationError

HOME_ENV_VAR = "FLYTE_HOME"
UCTL_CONFIG_ENV_VAR = "UCTL_CONFIG"
FLYTECTL_CONFIG_ENV_VAR = "FLYTECTL_CONFIG"


def home() -> Path:
    """The folder for all that Flyte keeps on this machine, which may not exist yet: `FLYTE_HOME`, else `~/.flyte`."""
    return Path(os.environ.get(HOME_ENV_VAR) or "~/.flyte").expanduser().absolute()


class ConfigFile:
    """A YAML file of settings, read when first asked.

    Raises:
        FileNotFoundError: there is no such file.
    """

    def __init__(self, location: str) -> None:
        self.path = Path(location)
        if not self.path.is_file():
            raise FileNotFoundError(errno.ENOENT, "No such configuration file", location)

    @cached_property
    def yaml_config(self) -> dict[str, Any]:
        """The whole file; empty for an empty one.

        Raises:
            InitializationError: it is not YAML, or not a mapping.
        """
        import yaml

        try:
            content = yaml.safe_load(self.path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise invalid(f"configuration file {_position(self.path, error)} is not valid YAML: {error}") from None
        if content is None:
            return {}
        if not isinstance(content, dict):
            raise invalid(
                f"configuration file {self.path} holds a {type(content).__name__}, expected sections such as "
                f"'admin:' and 'task:'. `docs/configuration.md` shows a complete file."
            )
        return content

    def get(self, key: str) -> Any:
        """The value of a dotted key such as `admin.endpoint`, as YAML gives it; None where there is none.

        Raises:
            InitializationError: a section on the way is not a mapping.
        """
        value: Any = self.yaml_config
        for part in key.split("."):
            if value is None:
                return None
            if not isinstance(value, dict):
                raise invalid(
                    f"configuration file {self.path}: the section of {key!r} is {value!r}, expected a mapping"
                )
            value = value.get(part)
        return value


def get_config_file(c: str | Path | ConfigFile | None) -> ConfigFile | None:
    """The file to use: the one given, else the first one found; None when there is none.

    Looked for, in this order: `config.yaml`, `.flyte/config.yaml`, `.flyte/config.yaml` at the root of the git
    repository, the files that `UCTL_CONFIG` and `FLYTECTL_CONFIG` name, `~/.union/config.yaml`, `config.yaml` in
    `home()`.

    Raises:
        FileNotFoundError: a file that was given, or that a variable names, does not exist.
    """
    if isinstance(c, ConfigFile):
        return c
    if c is not None:
        return ConfigFile(str(c))
    for path, must_exist in _candidates():
        if must_exist or path.is_file():
            return ConfigFile(str(path))
    return None


def _candidates() -> Iterator[tuple[Path, bool]]:
    """Where to look, and whether the file has to be there."""
    here = Path.cwd()
    yield here / "config.yaml", False
    yield here / ".flyte" / "config.yaml", False
    if repository := next((each for each in (here, *here.parents) if (each / ".git").exists()), None):
        yield repository / ".flyte" / "config.yaml", False
    for variable in (UCTL_CONFIG_ENV_VAR, FLYTECTL_CONFIG_ENV_VAR):
        if named := os.environ.get(variable):
            yield Path(named).expanduser(), True
    yield Path("~/.union/config.yaml").expanduser(), False
    yield home() / "config.yaml", False


def invalid(message: str) -> InitializationError:
    """The error for a setting that cannot be used."""
    return InitializationError("InvalidConfig", "user", message)


def _position(path: Path, error: Any) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
