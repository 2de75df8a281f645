"""`flyte.init`: settings that hold for every run of this process."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyte._context import ctx
from flyte._logging import set_log_levels
from flyte._rpc.settings import SessionSettings, use_session_settings
from flyte._rpc.tokens import check_api_key
from flyte._run.connecting import API_KEY_VARIABLE, ServerSettings, cluster_settings, configured_session, session_of
from flyte._run.refusals import refuse_given
from flyte.config._config import TaskConfig
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
        rpc_retries: int = 3,
        http_proxy_url: str | None = None,
        disable_keyring: bool = False,
        storage: Storage | None = None,
        image_builder: str | None = None,
        images: Mapping[str, str] | None = None,
        image_registry: str | None = None,
        local_tracked: bool = False,
        local_tracked_strict: bool = False,
    ) -> None:
        """This process is set up for runs; not needed for local ones. The last call wins. Safe from any thread.

        No control plane is called: that happens when one is first needed.

        Args:
            org: Organisation of runs and tasks; default the one that the endpoint's host names, if it does.
            project: Project of runs and tasks.
            domain: Domain of runs and tasks.
            root_dir: Folder that the project's modules are imported from, appended to `sys.path`; default the
                current one.
            log_level: Level of `flyte.system_logger`, as `logging` numbers them.
            user_log_level: Level of `flyte.logger`.
            sync_local_sys_paths: False leaves `sys.path` as it is.
            local_persistence: Local runs are recorded. They always are.
            endpoint: Address of a control plane, `host:port`. With it runs are remote unless they say otherwise.
            api_key: A token, sent as a bearer token; of `flyte create token`.
            headless: There is nobody at a browser. None is ever opened.
            insecure: The control plane is called without TLS.
            insecure_skip_verify: With TLS, whatever its certificate.
            ca_cert_file_path: Certificates to trust instead of the system's.
            auth_type: How a token is got: `ExternalCommand` runs `command`, `Passthrough` leaves it to each call
                (`flyte.remote.auth_metadata`). The OAuth flows `Pkce`, `ClientSecret` and `DeviceFlow` are refused.
            command: A program that prints a token.
            proxy_command: A program that prints a token for a proxy before the control plane.
            client_id: Of an OAuth client; refused.
            client_credentials_secret: Of an OAuth client; refused.
            rpc_retries: How often a call that did not get through is tried again.
            http_proxy_url: A proxy for all requests.
            disable_keyring: Keep no tokens. None are ever kept.
            storage: How data in object stores is reached: an `S3`, `GCS`, `ABFS` or `Local` of `flyte.storage`, or a
                plain `Storage` for all of them. Default is what the environment says.
            image_builder: What builds images, as `image.builder` of the configuration.
            images: What `Image.from_ref_name` stands for, by name, besides what the configuration says.
            image_registry: Where built images go, as `image.registry` of the configuration.
            local_tracked: For local runs that report to a control plane; refused.
            local_tracked_strict: As `local_tracked`.

        Raises:
            InitializationError: something was given that this release cannot honour, or that makes no sense.
        """
        del headless, disable_keyring
        refuse_given(
            client_id=client_id,
            client_credentials_secret=client_credentials_secret,
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
        session = session_of(
            ServerSettings(
                endpoint=endpoint,
                insecure=insecure,
                org=org,
                project=project,
                domain=domain,
                api_key=api_key,
                auth_type=auth_type,
                command=tuple(command or ()),
                proxy_command=tuple(proxy_command or ()),
                insecure_skip_verify=insecure_skip_verify,
                ca_cert_file_path=ca_cert_file_path,
                rpc_retries=rpc_retries,
                http_proxy_url=http_proxy_url,
            )
        )
        new = Settings(org, project, domain, root_dir, endpoint, storage=_checked(storage), is_initialized=True)
        _set(new, session, log_level, user_log_level, add_root=sync_local_sys_paths)
        use_image_config(None, images, builder=image_builder, registry=image_registry)

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

        A configured endpoint makes runs remote by default. `FLYTE_API_KEY` is the token for it, where it is set.

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
        named = TaskConfig(org or config.task.org, project or config.task.project, domain or config.task.domain)
        session = configured_session(config.platform, named)
        _set(
            Settings(
                org=named.org,
                project=named.project,
                domain=named.domain,
                root_dir=root_dir,
                endpoint=config.platform.endpoint,
                local=config.local,
                storage=_checked(storage),
                is_initialized=True,
            ),
            session,
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


def _set(
    new: Settings,
    session: SessionSettings | None,
    log_level: int | None,
    user_log_level: int | None,
    *,
    add_root: bool = True,
) -> None:
    global _settings
    with _lock:
        _settings = new
        use_session_settings(session)
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
        use_session_settings(None)
        use_storage(None)
        use_image_config(None)


class _InitFromApiKey:
    def __call__(
        self,
        api_key: str | None = None,
        project: str | None = None,
        domain: str | None = None,
        root_dir: Path | None = None,
        log_level: int | None = None,
        *,
        storage: Storage | None = None,
        image_builder: str | None = None,
        images: Mapping[str, str] | None = None,
        sync_local_sys_paths: bool = True,
        insecure_skip_verify: bool = False,
        ca_cert_file_path: str | None = None,
    ) -> None:
        """This process is set up for the control plane of the configuration, with a token.

        Args:
            api_key: The token; default `FLYTE_API_KEY`.
            project: As in `init`.
            domain: As in `init`.
            root_dir: As in `init`.
            log_level: As in `init`.
            storage: As in `init`.
            image_builder: As in `init`.
            images: As in `init`.
            sync_local_sys_paths: As in `init`.
            insecure_skip_verify: As in `init`.
            ca_cert_file_path: As in `init`.

        Raises:
            InitializationError: code `MissingApiKeyError`, there is no token; code `MissingEndpoint`, no control plane
                is configured.
        """
        token = api_key or os.environ.get(API_KEY_VARIABLE)
        if not token:
            raise InitializationError(
                "MissingApiKeyError",
                "user",
                f"there is no API key: give one, or set {API_KEY_VARIABLE}. `flyte create token` makes one.",
            )
        check_api_key(token)
        config = _load_config(None, root_dir)
        if not config.platform.endpoint:
            raise InitializationError(
                "MissingEndpoint",
                "user",
                "an API key is a token and names no control plane: set admin.endpoint in the configuration or "
                "FLYTE_ADMIN_ENDPOINT, or use flyte.init(endpoint=..., api_key=...).",
            )
        # What is configured for TLS matters only with it, as in `init_from_config`.
        platform, is_tls = config.platform, not config.platform.insecure
        init(
            org=config.task.org,
            project=project or config.task.project,
            domain=domain or config.task.domain,
            root_dir=root_dir,
            log_level=log_level,
            endpoint=config.platform.endpoint,
            insecure=config.platform.insecure,
            api_key=token,
            insecure_skip_verify=insecure_skip_verify or (is_tls and platform.insecure_skip_verify),
            ca_cert_file_path=ca_cert_file_path or (platform.ca_cert_file_path if is_tls else None),
            proxy_command=list(platform.proxy_command or ()),
            rpc_retries=config.platform.rpc_retries,
            http_proxy_url=config.platform.http_proxy_url,
            storage=storage,
            image_builder=image_builder or config.image.builder,
            images={**config.image.image_refs, **(images or {})},
            image_registry=config.image.registry,
            sync_local_sys_paths=sync_local_sys_paths,
        )

    async def aio(self, *args: Any, **kwargs: Any) -> None:
        """The same, awaitable."""
        self(*args, **kwargs)


class _InitInCluster:
    def __call__(
        self,
        org: str | None = None,
        project: str | None = None,
        domain: str | None = None,
        api_key: str | None = None,
        endpoint: str | None = None,
        insecure: bool = False,
    ) -> dict[str, Any]:
        """This process, which a control plane started, is set up for that one; what is not given is in its environment.

        Args:
            org: As in `init`.
            project: As in `init`.
            domain: As in `init`.
            api_key: As in `init`.
            endpoint: As in `init`.
            insecure: As in `init`.

        Returns:
            How the control plane is reached.

        Raises:
            InitializationError: code `MissingEndpoint`; the environment names no control plane.
        """
        reached = cluster_settings(endpoint, api_key, insecure=insecure)
        init(
            org=org or os.environ.get("_U_ORG_NAME"),
            project=project or os.environ.get("FLYTE_INTERNAL_EXECUTION_PROJECT"),
            domain=domain or os.environ.get("FLYTE_INTERNAL_EXECUTION_DOMAIN"),
            **reached,
        )
        return reached

    async def aio(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The same, awaitable."""
        return self(*args, **kwargs)


class _InitPassthrough:
    def __call__(
        self,
        endpoint: str | None = None,
        org: str | None = None,
        project: str | None = None,
        domain: str | None = None,
        insecure: bool = False,
    ) -> dict[str, Any]:
        """This process calls a control plane on behalf of others: each call is made inside `auth_metadata(...)`.

        Args:
            endpoint: As in `init`; default `_U_EP_OVERRIDE` or `FLYTE_ADMIN_ENDPOINT`.
            org: As in `init`.
            project: As in `init`.
            domain: As in `init`.
            insecure: As in `init`.

        Returns:
            How the control plane is reached.

        Raises:
            InitializationError: code `MissingEndpoint`; none is given.
        """
        reached = cluster_settings(endpoint, None, insecure=insecure)
        reached.pop("api_key", None)
        reached["auth_type"] = "Passthrough"
        init(org=org, project=project, domain=domain, **reached)
        return reached

    async def aio(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The same, awaitable."""
        return self(*args, **kwargs)


def current_project() -> str:
    """The project of the running action, else that of `init`.

    Raises:
        InitializationError: neither names one.
    """
    return _current("project")


def current_domain() -> str:
    """The domain of the running action, else that of `init`.

    Raises:
        InitializationError: neither names one.
    """
    return _current("domain")


def _current(what: str) -> str:
    action = ctx().action
    found = getattr(action, what, None) if action is not None else None
    found = found or getattr(_settings, what)
    if not found:
        raise InitializationError(
            f"Missing{what.capitalize()}",
            "user",
            f"no {what} is known: no task is running here, and flyte.init was given none ({what}=...).",
        )
    return str(found)


init = _Init()
init_from_api_key = _InitFromApiKey()
init_from_config = _InitFromConfig()
init_in_cluster = _InitInCluster()
init_passthrough = _InitPassthrough()
