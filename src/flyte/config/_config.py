"""The settings, each with its key in the file and its environment variables."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Literal, Optional, TypeVar, Union, get_args

from flyte.config import _values
from flyte.config._reader import ConfigFile, get_config_file, invalid

AuthType = Literal["Pkce", "ClientSecret", "ExternalCommand", "DeviceFlow", "Passthrough"]

S = TypeVar("S")


def _read_from(key: str, parse: Callable[[Any], Any], *, env: str | None = None) -> Mapping[str, Any]:
    """Metadata of a field: its key in the file, how to parse it, and a variable that wins over `FLYTE_<KEY>`."""
    variables = (f"FLYTE_{key.upper().replace('.', '_')}",)
    return {"key": key, "parse": parse, "variables": variables if env is None else (env, *variables)}


@dataclass(frozen=True)
class PlatformConfig:
    """The control plane and how to identify oneself to it.

    Attributes:
        endpoint: Its address; without a scheme, `dns:///` is meant.
        insecure: Talk without TLS.
        insecure_skip_verify: Talk with TLS and trust any certificate.
        ca_cert_file_path: Certificates to trust, instead of the system's.
        console_endpoint: Address of its pages, where that is another one.
        command: A program that prints a token.
        proxy_command: A program that prints a token for a proxy in front of it.
        client_id: The OAuth client.
        client_credentials_secret: Its secret.
        scopes: OAuth scopes to ask for.
        auth_mode: How to get a token.
        audience: OAuth audience to ask for.
        rpc_retries: How often a failed call is tried again.
        http_proxy_url: Proxy for getting tokens.
        disable_keyring: Keep no tokens in the system's keyring.
    """

    endpoint: str | None = field(default=None, metadata=_read_from("admin.endpoint", _values.text))
    insecure: bool = field(default=False, metadata=_read_from("admin.insecure", _values.flag))
    insecure_skip_verify: bool = field(default=False, metadata=_read_from("admin.insecureSkipVerify", _values.flag))
    ca_cert_file_path: Optional[str] = field(default=None, metadata=_read_from("admin.caCertFilePath", _values.text))
    console_endpoint: Optional[str] = field(default=None, metadata=_read_from("console.endpoint", _values.text))
    command: Optional[List[str]] = field(
        default=None, metadata=_read_from("admin.command", _values.command, env="FLYTE_AUTH_COMMAND")
    )
    proxy_command: Optional[List[str]] = field(
        default=None, metadata=_read_from("admin.proxyCommand", _values.command, env="FLYTE_AUTH_PROXY_COMMAND")
    )
    client_id: Optional[str] = field(default=None, metadata=_read_from("admin.clientId", _values.text))
    # Not in the repr, which ends up in logs.
    client_credentials_secret: Optional[str] = field(default=None, repr=False)
    scopes: List[str] = field(default_factory=list, metadata=_read_from("admin.scopes", _values.words))
    auth_mode: AuthType = field(
        default="Pkce",
        metadata=_read_from("admin.authType", _values.one_of(*get_args(AuthType)), env="FLYTE_AUTH_TYPE"),
    )
    audience: Optional[str] = None
    rpc_retries: int = 3
    http_proxy_url: Optional[str] = field(default=None, metadata=_read_from("admin.httpProxyURL", _values.text))
    disable_keyring: bool = field(default=False, metadata=_read_from("admin.disableKeyring", _values.flag))

    @classmethod
    def auto(cls, config_file: Union[str, Path, ConfigFile, None] = None) -> PlatformConfig:
        """Read from a file and the environment; a client secret that is found switches `auth_mode` to it."""
        file = get_config_file(config_file)
        config = _read(cls, file)
        secret = _client_secret(file)
        return config.replace(client_credentials_secret=secret, auth_mode="ClientSecret") if secret else config

    def replace(self, **kwargs: Any) -> PlatformConfig:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **kwargs)

    @classmethod
    def for_endpoint(cls, endpoint: str, insecure: bool = False) -> PlatformConfig:
        """The defaults, for the control plane at `endpoint`."""
        return cls(endpoint=endpoint, insecure=insecure)


@dataclass(frozen=True)
class TaskConfig:
    """Where runs go that do not say it themselves."""

    org: str | None = field(default=None, metadata=_read_from("task.org", _values.text))
    project: str | None = field(default=None, metadata=_read_from("task.project", _values.text))
    domain: str | None = field(default=None, metadata=_read_from("task.domain", _values.text))

    @classmethod
    def auto(cls, config_file: Union[str, Path, ConfigFile, None] = None) -> TaskConfig:
        """Read from a file and the environment."""
        return _read(cls, get_config_file(config_file))


@dataclass(frozen=True)
class ImageConfig:
    """How images are built and found.

    Attributes:
        builder: What builds them; None means on this machine.
        image_refs: Addresses of images by the name that `Image.from_ref_name` takes.
        registry: Where built images go that do not say it themselves.
    """

    builder: str | None = field(default=None, metadata=_read_from("image.builder", _values.text))
    image_refs: Dict[str, str] = field(default_factory=dict, metadata=_read_from("image.image_refs", _values.mapping))
    registry: str | None = field(default=None, metadata=_read_from("image.registry", _values.text))

    @classmethod
    def auto(cls, config_file: Union[str, Path, ConfigFile, None] = None) -> ImageConfig:
        """Read from a file and the environment."""
        return _read(cls, get_config_file(config_file))


@dataclass(frozen=True)
class LocalConfig:
    """What local runs leave behind.

    Attributes:
        persistence: Keep a history of them.
        tracked: Report them to the control plane.
        tracked_strict: Failing to report one is an error.
        retention_days: Runs that ended longer ago are deleted; None keeps them.
        retention_runs: Only so many of the newest runs are kept; None keeps all.
        raw_data_path: Prefix for data that tasks store, a folder or a URL; None is a folder of each run.
    """

    persistence: bool = field(default=False, metadata=_read_from("local.persistence", _values.flag))
    tracked: bool = field(default=False, metadata=_read_from("local.tracked", _values.flag))
    tracked_strict: bool = field(default=False, metadata=_read_from("local.tracked_strict", _values.flag))
    retention_days: float | None = field(
        default=None, metadata=_read_from("local.retention_days", _values.positive_number)
    )
    retention_runs: int | None = field(default=None, metadata=_read_from("local.retention_runs", _values.count))
    raw_data_path: str | None = field(default=None, metadata=_read_from("local.raw_data_path", _values.text))

    @classmethod
    def auto(cls, config_file: Union[str, Path, ConfigFile, None] = None) -> LocalConfig:
        """Read from a file and the environment."""
        return _read(cls, get_config_file(config_file))


@dataclass(frozen=True)
class Config:
    """All settings, and the file they came from."""

    platform: PlatformConfig = PlatformConfig()
    task: TaskConfig = TaskConfig()
    image: ImageConfig = ImageConfig()
    local: LocalConfig = LocalConfig()
    source: Path | None = None

    def with_params(
        self,
        platform: PlatformConfig | None = None,
        task: TaskConfig | None = None,
        image: ImageConfig | None = None,
    ) -> Config:
        """A copy with the given sections replaced."""
        return dataclasses.replace(
            self, platform=platform or self.platform, task=task or self.task, image=image or self.image
        )

    @classmethod
    def auto(cls, config_file: Union[str, Path, ConfigFile, None] = None) -> Config:
        """Read the settings; an environment variable wins over the file, whether there is a file or not.

        Args:
            config_file: The file; None looks for one, see `get_config_file`.

        Raises:
            FileNotFoundError: the file does not exist.
            InitializationError: it, or a value in it or in the environment, cannot be understood.
        """
        file = get_config_file(config_file)
        return cls(
            platform=PlatformConfig.auto(file),
            task=TaskConfig.auto(file),
            image=ImageConfig.auto(file),
            local=LocalConfig.auto(file),
            source=file.path if file else None,
        )


def configured_raw_data_path() -> str | None:
    """The setting `local.raw_data_path` alone: a mistake in another one does not keep a run from starting."""
    each = next(each for each in dataclasses.fields(LocalConfig) if each.name == "raw_data_path")
    found = _find(get_config_file(None), each.metadata["key"], each.metadata["variables"])
    return None if found is None else _values.text(found[1])


def _read(section: type[S], file: ConfigFile | None) -> S:
    """A section with every field that the environment or the file sets."""
    values = {}
    for each in dataclasses.fields(section):  # type: ignore[arg-type]  # every section is a dataclass
        if "key" in each.metadata and (found := _find(file, each.metadata["key"], each.metadata["variables"])):
            place, raw = found
            try:
                values[each.name] = each.metadata["parse"](raw)
            except ValueError as error:
                raise invalid(f"{place} is {raw!r}: {error}") from None
    return section(**values)


def _find(file: ConfigFile | None, key: str, variables: tuple[str, ...]) -> tuple[str, Any] | None:
    """Where a setting stands and what it says; an empty variable counts as unset."""
    if given := [(name, value) for name in variables if (value := os.environ.get(name))]:
        (name, value), *others = given
        if any(other != value for _, other in others):
            import logging

            logging.getLogger("flyte").warning("%s and %s differ; %s is used", name, others[0][0], name)
        return f"environment variable {name}", value
    raw = file.get(key) if file else None
    return None if file is None or raw is None else (f"{key!r} in {file.path}", raw)


def _client_secret(file: ConfigFile | None) -> str | None:
    if found := _find(file, "admin.clientSecretLocation", ("FLYTE_ADMIN_CLIENTSECRETLOCATION",)):
        place, location = found
        try:
            return Path(str(location)).expanduser().read_text(encoding="utf-8").rstrip("\n")
        except OSError as error:
            raise invalid(f"{place} is {location!r}, which cannot be read: {error.strerror}") from error
    if found := _find(file, "admin.clientSecretEnvVar", ("FLYTE_ADMIN_CLIENTSECRETENVVAR",)):
        return os.environ.get(str(found[1]))
    return None
