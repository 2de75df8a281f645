"""`flyte.init`: settings that hold for every run of this process."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyte._logging import set_log_levels
from flyte._run.refusals import refuse_given
from flyte.config._in_force import use_image_config
from flyte.errors import InitializationError
from flyte.storage._settings import Storage, use_storage

if TYPE_CHECKING:
    from flyte.config import Config
    from flyte.config._config import LocalConfig


@dataclass(frozen=True, slots=True)
class Settings:
    """What `init` was told.

    Attributes:
        endpoint: The control plane that was configured; None for local runs.
        local: The section of the configuration; None before any was read.
        storage: How object stores are reached; None is what the environment says.
    """

    org: str | None = None
    project: str | None = None
    domain: str | None = None
    root_dir: Path | None = None
    endpoint: str | None = None
    local: LocalConfig | None = None
    storage: Storage | None = None
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
        *,
        sync_local_sys_paths: bool = True,
        local_persistence: bool = True,
        endpoint: str | None = None,
        api_key: str | None = None,
        headless: bool = False,
        insecure: bool = False,
        insecure_skip_verify: bool = False,
        ca_cert_file_path: str | None = None,
        auth_type: str | None = None,
        command: list[str] | None = None,
        proxy_command: list[str] | None = None,
        client_id: str | None = None,
        client_credentials_secret: str | None = None,
        http_proxy_url: str | None = None,
        storage: Storage | None = None,
        image_builder: str | None = None,
        images: Mapping[str, str] | None = None,
        image_registry: str | None = None,
        local_tracked: bool = False,
        local_tracked_strict: bool = False,
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
            sync_local_sys_paths: False leaves `sys.path` as it is.
            local_persistence: Local runs are recorded. They always are.
            endpoint: Address of a control plane; refused, with all that follow, when given: this release has no client
                for one, and images are set up in the configuration.
            api_key: For a control plane.
            headless: For a control plane.
            insecure: For a control plane.
            insecure_skip_verify: For a control plane.
            ca_cert_file_path: For a control plane.
            auth_type: For a control plane.
            command: For a control plane.
            proxy_command: For a control plane.
            client_id: For a control plane.
            client_credentials_secret: For a control plane.
            http_proxy_url: For a control plane.
            storage: How data in object stores is reached: an `S3`, `GCS`, `ABFS` or `Local` of `flyte.storage`, or a
                plain `Storage` for all of them. Default is what the environment says.
            image_builder: For built images.
            images: What `Image.from_ref_name` stands for, by name, besides what the configuration says.
            image_registry: For built images.
            local_tracked: For local runs that report to a control plane.
            local_tracked_strict: For local runs that report to a control plane.

        Raises:
            InitializationError: something was given that this release cannot honour.
        """
        refuse_given(
            endpoint=endpoint,
            api_key=api_key,
            headless=headless,
            insecure=insecure,
            insecure_skip_verify=insecure_skip_verify,
            ca_cert_file_path=ca_cert_file_path,
            auth_type=auth_type,
            command=command,
            proxy_command=proxy_command,
            client_id=client_id,
            client_credentials_secret=client_credentials_secret,
            http_proxy_url=http_proxy_url,
            image_builder=image_builder,
            image_registry=image_registry,
            local_tracked=local_tracked,
            local_tracked_strict=local_tracked_strict,
        )
        if not local_persistence:
            raise InitializationError(
                "LocalPersistenceRequired",
                "user",
                "local_persistence=False is not possible: every run is recorded. Point FLYTE_HOME at a temporary "
                "folder to keep nothing.",
            )
        new = Settings(org, project, domain, root_dir, storage=_checked(storage), is_initialized=True)
        _set(new, log_level, user_log_level, add_root=sync_local_sys_paths)
        use_image_config(None, images)

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
        storage: Storage | None = None,
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
            storage: As in `init`.

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
                local=config.local,
                storage=_checked(storage),
                is_initialized=True,
            ),
            log_level,
            user_log_level,
        )
        use_image_config(config.image)

    async def aio(self, *args: Any, **kwargs: Any) -> None:
        """The same, awaitable."""
        self(*args, **kwargs)


def _checked(storage: Storage | None) -> Storage | None:
    if storage is not None and not isinstance(storage, Storage):
        raise InitializationError(
            "InvalidStorageSetting",
            "user",
            f"storage is {storage!r}: expected S3(...), GCS(...), ABFS(...) or Local(...) of flyte.storage.",
        )
    return storage


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


def _set(new: Settings, log_level: int | None, user_log_level: int | None, *, add_root: bool = True) -> None:
    global _settings
    with _lock:
        _settings = new
        use_storage(new.storage)
        root = str((new.root_dir or Path.cwd()).resolve())
        if add_root and root not in sys.path:
            sys.path.append(root)
        set_log_levels(log_level, user_log_level)


def reset() -> None:
    """The settings are those of a fresh process."""
    global _settings
    with _lock:
        _settings = replace(Settings())
        use_storage(None)
        use_image_config(None)


init = _Init()
init_from_config = _InitFromConfig()
