"""What `flyte.init` is told of a control plane, as settings of a session."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from flyte._rpc.endpoints import Endpoint
from flyte._rpc.settings import SessionSettings, is_set
from flyte._rpc.tokens import check_api_key
from flyte.config._config import AuthType
from flyte.errors import InitializationError

if TYPE_CHECKING:
    from flyte.config._config import PlatformConfig, TaskConfig

API_KEY_VARIABLE = "FLYTE_API_KEY"
_IN_CLUSTER_KEYS = ("_UNION_EAGER_API_KEY", "EAGER_API_KEY")
_FLOWS = {"Pkce": "a browser", "ClientSecret": "the credentials of a client", "DeviceFlow": "a code shown on a device"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The arguments of `flyte.init` that are about a control plane; see there."""

    endpoint: str | None
    insecure: bool = False
    org: str | None = None
    project: str | None = None
    domain: str | None = None
    api_key: str | None = None
    auth_type: str | None = None
    command: tuple[str, ...] = ()
    proxy_command: tuple[str, ...] = ()
    insecure_skip_verify: bool = False
    ca_cert_file_path: str | None = None
    rpc_retries: int = 3
    http_proxy_url: str | None = None
    console: str | None = None


def session_of(given: ServerSettings) -> SessionSettings | None:
    """How the control plane is reached; None where there is none.

    Raises:
        InitializationError: settings of a control plane without one, that contradict each other, or that this release
            cannot honour.
    """
    if given.endpoint is None:
        _check_no_endpoint(given)
        return None
    endpoint = Endpoint.parse(given.endpoint, insecure=given.insecure)
    _check_auth(given)
    if given.insecure and (given.insecure_skip_verify or given.ca_cert_file_path):
        raise InitializationError(
            "ContradictingSettings",
            "user",
            "insecure=True is without TLS, so there is no certificate: leave insecure_skip_verify and "
            "ca_cert_file_path out, or insecure.",
        )
    if isinstance(given.rpc_retries, bool) or not isinstance(given.rpc_retries, int) or given.rpc_retries < 0:
        raise InitializationError(
            "InvalidRetries",
            "user",
            f"rpc_retries: expected how often to try again, 0 or more, got {given.rpc_retries!r}.",
        )
    return SessionSettings(
        endpoint=endpoint,
        org=given.org or endpoint.org,
        project=given.project,
        domain=given.domain,
        token=None if given.api_key is None else check_api_key(given.api_key),
        command=given.command,
        proxy_command=given.proxy_command,
        is_passthrough=given.auth_type == "Passthrough",
        ca_cert_file_path=given.ca_cert_file_path,
        insecure_skip_verify=given.insecure_skip_verify,
        http_proxy_url=given.http_proxy_url,
        rpc_retries=given.rpc_retries,
        console=given.console,
    )


def configured_session(platform: PlatformConfig, place: TaskConfig) -> SessionSettings | None:
    """How the control plane of a configuration is reached; None where it names none."""
    if not platform.endpoint:
        return None
    # The default of the configuration is a flow of OAuth: it matters only where no token is at hand.
    auth_type = None if platform.auth_mode == "Pkce" or platform.insecure else platform.auth_mode
    return session_of(
        ServerSettings(
            endpoint=platform.endpoint,
            insecure=platform.insecure,
            org=place.org,
            project=place.project,
            domain=place.domain,
            api_key=os.environ.get(API_KEY_VARIABLE) or None,
            auth_type=auth_type,
            command=tuple(platform.command or ()),
            proxy_command=tuple(platform.proxy_command or ()),
            insecure_skip_verify=platform.insecure_skip_verify and not platform.insecure,
            ca_cert_file_path=None if platform.insecure else platform.ca_cert_file_path,
            rpc_retries=platform.rpc_retries,
            http_proxy_url=platform.http_proxy_url,
            console=platform.console_endpoint,
        )
    )


def cluster_settings(endpoint: str | None, api_key: str | None, *, insecure: bool) -> dict[str, Any]:
    """How a process that a control plane started reaches that one, as arguments of `flyte.init`.

    Raises:
        InitializationError: code `MissingEndpoint`; nothing says where it is.
    """
    found = endpoint or os.environ.get("_U_EP_OVERRIDE") or os.environ.get("FLYTE_ADMIN_ENDPOINT")
    if not found:
        raise InitializationError(
            "MissingEndpoint",
            "user",
            "no control plane is known: give endpoint=..., or set _U_EP_OVERRIDE or FLYTE_ADMIN_ENDPOINT.",
        )
    settings: dict[str, Any] = {"endpoint": found, "insecure": insecure or _is_insecure(found)}
    if is_set("_U_INSECURE_SKIP_VERIFY") and not settings["insecure"]:
        settings["insecure_skip_verify"] = True
    if api_key is None and not os.environ.get("FLYTE_AUTH_TYPE"):
        api_key = next((key for name in _IN_CLUSTER_KEYS if (key := os.environ.get(name))), None)
    if api_key is not None:
        settings["api_key"] = api_key
    return settings


def _is_insecure(endpoint: str) -> bool:
    return is_set("_U_INSECURE") or "localhost" in endpoint or "docker" in endpoint


def _check_no_endpoint(given: ServerSettings) -> None:
    fields = ("insecure", "api_key", "auth_type", "command", "proxy_command", "insecure_skip_verify")
    useless = [name for name in (*fields, "ca_cert_file_path", "http_proxy_url") if getattr(given, name)]
    if useless:
        raise InitializationError(
            "MissingEndpoint",
            "user",
            f"{', '.join(useless)} without a control plane: give endpoint=... too, or use flyte.init_from_config().",
        )


def _check_auth(given: ServerSettings) -> None:
    known = get_args(AuthType)
    if given.auth_type is None:
        return
    if given.auth_type not in known:
        raise InitializationError(
            "InvalidAuthType", "user", f"auth_type {given.auth_type!r}: expected one of {', '.join(known)}."
        )
    if given.auth_type in _FLOWS and given.api_key is None and not given.command:
        raise InitializationError(
            "UnsupportedAuthType",
            "user",
            f"auth_type {given.auth_type!r} gets a token with {_FLOWS[given.auth_type]} from an OAuth server, which "
            f"this release cannot: give a token (api_key=..., {API_KEY_VARIABLE}), or a program that prints one "
            f"(auth_type='ExternalCommand', command=[...]).",
        )
    if given.auth_type == "ExternalCommand" and not given.command:
        raise InitializationError(
            "MissingExternalCommand",
            "user",
            "auth_type 'ExternalCommand' runs a program that prints a token: say which with command=[...], or "
            "admin.command in the configuration.",
        )
