"""How each kind of store is reached: credentials, retries, endpoints."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, ClassVar, Dict, Optional, TypeVar
from urllib.parse import urlsplit

from flyte.errors import InitializationError

_MAX_BACKOFF = timedelta(seconds=16)
_RETRY_FOR = timedelta(minutes=3)

S = TypeVar("S", bound="Storage")


def _seconds(text: str) -> timedelta:
    return timedelta(seconds=float(text))


def _flag(text: str) -> bool:
    values = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    return values[text.lower()]


_VARIABLES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "retries": ("FLYTE_STORAGE_RETRIES", int),
    "backoff": ("FLYTE_STORAGE_BACKOFF_SECONDS", _seconds),
    "enable_debug": ("FLYTE_STORAGE_DEBUG", _flag),
    "endpoint": ("FLYTE_AWS_ENDPOINT", str),
    "access_key_id": ("FLYTE_AWS_ACCESS_KEY_ID", str),
    "secret_access_key": ("FLYTE_AWS_SECRET_ACCESS_KEY", str),
    "addressing_style": ("FLYTE_AWS_S3_ADDRESSING_STYLE", str),
    "region": ("AWS_REGION", str),
    "account_name": ("AZURE_STORAGE_ACCOUNT_NAME", str),
    "account_key": ("AZURE_STORAGE_ACCOUNT_KEY", str),
    "tenant_id": ("AZURE_TENANT_ID", str),
    "client_id": ("AZURE_CLIENT_ID", str),
    "client_secret": ("AZURE_CLIENT_SECRET", str),
}
"""The environment variable of each field, and how its text is read."""


@dataclass(frozen=True)
class Storage:
    """How stores are reached; the base of `S3`, `GCS`, `ABFS` and `Local`.

    Attributes:
        retries: How often a request that failed for a passing reason is tried again.
        backoff: Wait before the first retry; it doubles up to 16 seconds, and after 3 minutes the request fails.
        enable_debug: Every transfer is logged with its size and duration, by logger `flyte.storage` at level INFO.
        attach_execution_metadata: Objects that a task writes carry the names of its run and action as metadata.

    Raises:
        InitializationError: code `InvalidStorageSetting`; `retries` or `backoff` is negative.
    """

    retries: int = 3
    backoff: timedelta = timedelta(seconds=5)
    enable_debug: bool = False
    attach_execution_metadata: bool = True

    protocols: ClassVar[frozenset[str]] = frozenset()
    """The protocols that settings of this class are for."""
    stalled_after: ClassVar[timedelta] = timedelta(seconds=60)
    """A connection that says nothing for so long is dead: the request is tried again."""

    def __post_init__(self) -> None:
        if self.retries < 0 or self.backoff < timedelta(0):
            raise InitializationError(
                "InvalidStorageSetting",
                "user",
                f"{type(self).__name__}(retries={self.retries}, backoff={self.backoff}): neither can be negative.",
            )

    def get_fsspec_kwargs(self, anonymous: bool = False, **kwargs: Any) -> Dict[str, Any]:
        """Arguments for an obstore store, or for obstore's fsspec file systems.

        Args:
            anonymous: Requests are not signed: for public buckets.
            kwargs: Win over what the settings say; `config` is merged.
        """
        config = {**self._config(), **({"skip_signature": True} if anonymous else {}), **kwargs.pop("config", {})}
        arguments: Dict[str, Any] = {
            "retry_config": {
                "max_retries": self.retries,
                "backoff": {"base": 2, "init_backoff": self.backoff, "max_backoff": max(self.backoff, _MAX_BACKOFF)},
                "retry_timeout": _RETRY_FOR,
            },
            # Whole transfers may take hours, as long as something moves.
            "client_options": {"timeout": "99999s", "read_timeout": self.stalled_after, "allow_http": True},
        }
        if config:
            arguments["config"] = config
        return {**arguments, **kwargs}

    @classmethod
    def auto(cls: type[S]) -> S:
        """Read from the environment variables that `docs/data.md` lists.

        Raises:
            InitializationError: code `InvalidStorageSetting`; a variable does not hold what it should.
        """
        return cls(**_from_environment(cls))

    def _config(self) -> Dict[str, Any]:
        return {}


@dataclass(frozen=True)
class S3(Storage):
    """Amazon S3, or a store that speaks its protocol.

    What is not given comes from the usual places: `AWS_*` variables, a profile in the shared credentials file, and on
    Amazon's machines their own identity.

    Attributes:
        endpoint: URL of the store; None is Amazon's.
        access_key_id: With `secret_access_key`, the credentials.
        secret_access_key: See `access_key_id`.
        region: Of the bucket.
        addressing_style: `path` or `virtual`: where the bucket stands in URLs; None is as the endpoint needs it.
    """

    endpoint: Optional[str] = None
    access_key_id: Optional[str] = None
    secret_access_key: Optional[str] = None
    region: Optional[str] = None
    addressing_style: Optional[str] = None

    protocols = frozenset({"s3", "s3a"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.addressing_style not in (None, "auto", "path", "virtual"):
            raise InitializationError(
                "InvalidStorageSetting",
                "user",
                f"S3(addressing_style={self.addressing_style!r}): expected 'path', 'virtual' or 'auto'.",
            )
        if self.endpoint:
            check_endpoint(self.endpoint, f"S3(endpoint={self.endpoint!r})")

    def __repr__(self) -> str:
        return _repr_without(self, "secret_access_key")

    @classmethod
    def auto(cls, region: str | None = None) -> S3:
        """Read from `FLYTE_AWS_*` and `AWS_REGION`; `region` wins over the latter."""
        values = _from_environment(cls)
        return cls(**{**values, **({"region": region} if region else {})})

    @classmethod
    def for_sandbox(cls) -> S3:
        """The store of a development sandbox on this machine, at port 4566."""
        return cls(endpoint="http://localhost:4566", access_key_id="minio", secret_access_key="miniostorage")

    def get_fsspec_kwargs(self, anonymous: bool = False, **kwargs: Any) -> Dict[str, Any]:
        """As for every storage, with keys, endpoint and region; credentials of a profile where no key is given."""
        from flyte.storage._aws_profile import profile_arguments

        arguments = super().get_fsspec_kwargs(anonymous, **kwargs)
        if self.region:
            arguments.setdefault("region", self.region)
        for variable in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
            if os.environ.get(variable):
                check_endpoint(os.environ[variable], f"environment variable {variable} is {os.environ[variable]!r}")
        if not anonymous and not self.access_key_id:
            for name, value in profile_arguments().items():
                if name == "credential_provider":
                    arguments.setdefault(name, value)
                else:
                    arguments.setdefault("config", {}).setdefault(name, value)
        return arguments

    def _config(self) -> Dict[str, Any]:
        config: Dict[str, Any] = {}
        if self.access_key_id:
            config["access_key_id"] = self.access_key_id
        if self.secret_access_key:
            config["secret_access_key"] = self.secret_access_key
        if self.endpoint:
            config["endpoint"] = self.endpoint
        if self.addressing_style in ("path", "virtual"):
            config["virtual_hosted_style_request"] = self.addressing_style == "virtual"
        return config


@dataclass(frozen=True)
class GCS(Storage):
    """Google Cloud Storage, with the credentials of `GOOGLE_APPLICATION_CREDENTIALS`, gcloud, or the machine."""

    protocols = frozenset({"gs"})


@dataclass(frozen=True)
class ABFS(Storage):
    """Azure Blob Storage; what is not given comes from `AZURE_*` variables, the Azure command line, or the machine.

    Attributes:
        account_name: The storage account.
        account_key: Its key.
        tenant_id: With `client_id` and `client_secret`, a service principal instead of the key.
        client_id: See `tenant_id`.
        client_secret: See `tenant_id`.
    """

    account_name: Optional[str] = None
    account_key: Optional[str] = None
    tenant_id: Optional[str] = None
    client_id: Optional[str] = None
    client_secret: Optional[str] = None

    protocols = frozenset({"abfs", "abfss", "adl", "az", "azure"})

    def __repr__(self) -> str:
        return _repr_without(self, "account_key", "client_secret")

    def _config(self) -> Dict[str, Any]:
        names = ("account_name", "account_key", "tenant_id", "client_id", "client_secret")
        return {name: value for name in names if (value := getattr(self, name))}


@dataclass(frozen=True)
class Local(Storage):
    """Folders of this machine. Nothing is tried again there: of what `Storage` sets, only `enable_debug` counts.

    Attributes:
        flush: Data is on the disk, not only with the operating system, before a record points to it; without, a power
            cut may lose data that a record names, and nothing else may.
    """

    flush: bool = True

    protocols = frozenset({"file"})

    def get_fsspec_kwargs(self, anonymous: bool = False, **kwargs: Any) -> Dict[str, Any]:
        """None: a local file system takes no settings."""
        return dict(kwargs)


_KINDS: tuple[type[Storage], ...] = (S3, GCS, ABFS, Local)
_given: Storage | None = None


def check_endpoint(endpoint: str, where: str) -> None:
    """Nothing, when requests can be sent to `endpoint`; obstore dies of one that is no URL.

    Raises:
        InitializationError: code `InvalidStorageSetting`; it is not a URL of a server.
    """
    try:
        url = urlsplit(endpoint)
        is_usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise InitializationError(
            "InvalidStorageSetting", "user", f"{where}: expected the URL of a server, as in http://localhost:9000."
        )


def use_storage(storage: Storage | None) -> None:
    """From now on `storage` is how its kind of store is reached; None takes back what was given before."""
    global _given
    _given = storage


def given_storage() -> Storage | None:
    """What `use_storage` was last given."""
    return _given


def settings_for(protocol: str) -> Storage:
    """The settings for a protocol: those that were given, where they are of its kind, else those of the environment.

    A plain `Storage` was given for every kind, and credentials then come from the environment.
    """
    kind = next((each for each in _KINDS if protocol in each.protocols), Storage)
    if _given is not None and (isinstance(_given, kind)):
        return _given
    found = kind.auto()
    if type(_given) is Storage:
        shared = {each.name: getattr(_given, each.name) for each in fields(Storage)}
        return kind(**{**found.__dict__, **shared})
    return found


def get_configured_fsspec_kwargs(protocol: Optional[str] = None, anonymous: bool = False) -> Dict[str, Any]:
    """Arguments for the store of a protocol, or of the storage that `flyte.init` was given.

    Args:
        protocol: Such as `s3`; None is that of the given storage, and S3 where none was given.
        anonymous: Requests are not signed.
    """
    if protocol is None:
        return (_given or settings_for("s3")).get_fsspec_kwargs(anonymous)
    return settings_for("file" if protocol == "local" else protocol).get_fsspec_kwargs(anonymous)


def log_transfer(address: str, did: str, began: float) -> None:
    """Where debugging is on for the address, the log says that data was read or written since `began` (monotonic)."""
    protocol = address.partition("://")[0]
    if settings_for(protocol).enable_debug:
        logger = logging.getLogger("flyte.storage")
        logger.setLevel(logging.INFO)
        logger.info("%s %s in %.3f s", did, address, time.monotonic() - began)


def _from_environment(kind: type[Storage]) -> Dict[str, Any]:
    values = {}
    for each in fields(kind):
        variable, parse = _VARIABLES.get(each.name, ("", str))
        text = os.environ.get(variable) if variable else None
        if not text:
            continue
        try:
            values[each.name] = parse(text)
        except (ValueError, KeyError, OverflowError):
            raise InitializationError(
                "InvalidStorageSetting",
                "user",
                f"environment variable {variable} is {text!r}, which is no value for {each.name} ({each.type}).",
            ) from None
    return values


def _repr_without(storage: Storage, *secrets: str) -> str:
    """The repr of settings, which ends up in logs, with secrets as stars."""
    shown = ", ".join(
        f"{each.name}={'***' if each.name in secrets and value else repr(value)}"
        for each in fields(storage)
        for value in (getattr(storage, each.name),)
    )
    return f"{type(storage).__name__}({shown})"
