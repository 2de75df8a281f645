"""`flyte.init`: settings that hold for every run of this process."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flyte.errors import InitializationError

if TYPE_CHECKING:
    from flyte.config import Config

LogFormat = Literal["console", "json"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What `init` was told.

    Attributes:
        endpoint: The control plane that was configured; None for local runs.
    """

    org: str | None = None
    project: str | None = None
    domain: str | None = None
    root_dir: Path | None = None
    endpoint: str | None = None
    is_initialized: bool = False


_settings = Settings()
_lock = threading.Lock()


def settings() -> Settings:
    """The settings now in force."""
    return _settings


def is_initialized() -> bool:
    """Whether `init` or one of its forms was called in this process."""
    return _settings.is_initialized


class _Init:
    def __call__(
        self,
        org: str | None = None,
        project: str | None = None,
        domain: str | None = None,
        root_dir: Path | None = None,
        log_level: int | None = None,
        user_log_level: int | None = None,
        endpoint: str | None = None,
        api_key: str | None = None,
        local_persistence: bool = True,
    ) -> None:
        """This process is set up for runs; not needed for local ones. The last call wins. Safe from any thread.

        Args:
            org: Organisation recorded with each run.
            project: Project recorded with each run.
            domain: Domain recorded with each run.
            root_dir: Folder that the project's modules are imported from, appended to `sys.path`; default the
                current one.
            log_level: Level of `flyte.system_logger`, as `logging` numbers them.
            user_log_level: Level of `flyte.logger`.
            endpoint: Address of a control plane.
            api_key: Key for one.
            local_persistence: Local runs are recorded. They always are.

        Raises:
            InitializationError: a control plane was asked for, which this release has no client for, or recording was
                to be switched off.
        """
        _refuse_control_plane({"endpoint": endpoint, "api_key": api_key})
        if not local_persistence:
            raise InitializationError(
                "LocalPersistenceRequired",
                "user",
                "local_persistence=False is not possible: every run is recorded. Point FLYTE_HOME at a temporary "
                "folder to keep nothing.",
            )
        _set(Settings(org, project, domain, root_dir, is_initialized=True), log_level, user_log_level)

    async def aio(self, *args: Any, **kwargs: Any) -> None:
        """The same, awaitable."""
        self(*args, **kwargs)


class _InitFromConfig:
    def __call__(
        self,
        path_or_config: str | Path | Config | None = None,
        root_dir: Path | None = None,
        log_level: int | None = None,
        user_log_level: int | None = None,
        org: str | None = None,
        project: str | None = None,
        domain: str | None = None,
    ) -> None:
        """This process is set up from a configuration file, or as `docs/configuration.md` says where one is found.

        A configured endpoint makes runs remote by default; this release can only run them with `mode="local"`.

        Args:
            path_or_config: A file, relative to `root_dir` where that is given; or a `Config`; None searches for a file.
            root_dir: As in `init`.
            log_level: As in `init`.
            user_log_level: As in `init`.
            org: Wins over the file's.
            project: Wins over the file's.
            domain: Wins over the file's.

        Raises:
            InitializationError: code `ConfigFileNotFoundError`, the file that was named does not exist.
        """
        config = _load_config(path_or_config, root_dir)
        _set(
            Settings(
                org=org or config.task.org,
                project=project or config.task.project,
                domain=domain or config.task.domain,
                root_dir=root_dir,
                endpoint=config.platform.endpoint,
                is_initialized=True,
            ),
            log_level,
            user_log_level,
        )

    async def aio(self, *args: Any, **kwargs: Any) -> None:
        """The same, awaitable."""
        self(*args, **kwargs)


def _load_config(path_or_config: str | Path | Config | None, root_dir: Path | None) -> Config:
    from flyte.config import Config, auto

    if isinstance(path_or_config, Config):
        return path_or_config
    if path_or_config is None:
        return auto()
    path = Path(path_or_config)
    if root_dir is not None and not path.is_absolute():
        path = root_dir / path
    if not path.exists():
        raise InitializationError(
            "ConfigFileNotFoundError",
            "user",
            f"there is no configuration file {path}: give the path of one, or leave it out to have it searched for.",
        )
    return auto(path)


def _set(new: Settings, log_level: int | None, user_log_level: int | None) -> None:
    global _settings
    with _lock:
        _settings = new
        root = str((new.root_dir or Path.cwd()).resolve())
        if root not in sys.path:
            sys.path.append(root)
        for name, level in (("flyte", log_level), ("flyte.user", user_log_level)):
            if level is not None:
                logging.getLogger(name).setLevel(level)


def reset() -> None:
    """The settings are those of a fresh process."""
    global _settings
    with _lock:
        _settings = replace(Settings())


def _refuse_control_plane(arguments: Mapping[str, object]) -> None:
    for name, value in arguments.items():
        if value is not None:
            raise InitializationError(
                "ClientNotAvailableError",
                "user",
                f"{name}={value!r} asks for a control plane, and this release has no client for one: leave it out to "
                "run locally.",
            )


init = _Init()
init_from_config = _InitFromConfig()
