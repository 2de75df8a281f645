"""How a control plane is reached, and the one that this process was set up for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyte.errors import InitializationError

if TYPE_CHECKING:
    from flyte._rpc.endpoints import Endpoint
    from flyte._rpc.sessions import Session

DEFAULT_PROJECT = "flytesnacks"
DEFAULT_DOMAIN = "development"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """How a control plane is reached.

    Attributes:
        endpoint: Where it is.
        org: What runs and tasks belong to that say nothing else, with `project` and `domain`.
        token: Sent as a bearer token.
        command: A program that prints the token; run when one is needed, and again when that is refused.
        proxy_command: The same for a proxy in front of the control plane.
        is_passthrough: Each call brings its own headers, by `flyte.remote.auth_metadata`.
        ca_cert_file_path: Certificates to trust instead of the system's.
        insecure_skip_verify: Trust any certificate.
        http_proxy_url: A proxy that all requests go through.
        rpc_retries: How often a call that did not get through is tried again.
        console: Address of its pages; None is that of the endpoint.
    """

    endpoint: Endpoint
    org: str | None = None
    project: str | None = None
    domain: str | None = None
    token: str | None = None
    command: tuple[str, ...] = ()
    proxy_command: tuple[str, ...] = ()
    is_passthrough: bool = False
    ca_cert_file_path: str | None = None
    insecure_skip_verify: bool = False
    http_proxy_url: str | None = None
    rpc_retries: int = 3
    console: str | None = None


_settings: SessionSettings | None = None
_session: Session | None = None
_owner_pid = 0


def use_session_settings(settings: SessionSettings | None) -> None:
    """From now on calls go to this control plane; to none with None."""
    global _settings, _session
    _settings = settings
    _session = None


def session_settings() -> SessionSettings | None:
    """How the control plane in force is reached; None without one.

    Where none was chosen, it is the one that has started this process.
    """
    return _settings or settings_of_environment()


def settings_of_environment() -> SessionSettings | None:
    """How a process that a control plane started reaches that one; None where none did."""
    address = os.environ.get("_U_EP_OVERRIDE")
    if not address or not os.environ.get("_U_RUN_BASE"):
        return None
    from flyte._rpc.endpoints import Endpoint

    insecure = "localhost" in address or "docker" in address or is_set("_U_INSECURE")
    return SessionSettings(
        endpoint=Endpoint.parse(address, insecure=insecure),
        org=os.environ.get("_U_ORG_NAME") or None,
        project=os.environ.get("FLYTE_INTERNAL_EXECUTION_PROJECT") or None,
        domain=os.environ.get("FLYTE_INTERNAL_EXECUTION_DOMAIN") or None,
        token=os.environ.get("_UNION_EAGER_API_KEY") or None,
        insecure_skip_verify=not insecure and is_set("_U_INSECURE_SKIP_VERIFY"),
    )


def is_set(variable: str) -> bool:
    """Whether an environment variable says yes."""
    return os.environ.get(variable, "").lower() not in ("", "0", "false", "no")


def current_session() -> Session:
    """The session with the control plane in force.

    Raises:
        InitializationError: code `ClientNotInitializedError`; there is none.
    """
    global _session, _owner_pid
    settings = session_settings()
    if settings is None:
        raise InitializationError(
            "ClientNotInitializedError",
            "user",
            "this needs a control plane, and none is configured: call flyte.init(endpoint=..., insecure=True), name "
            "one in the configuration (`flyte create config`), or start one on this machine with `flyte start`.",
        )
    if _session is None or _owner_pid != os.getpid():
        # Connections of the process that this one was forked from are not for two.
        from flyte._rpc.sessions import Session

        _session, _owner_pid = Session(settings), os.getpid()
    return _session
