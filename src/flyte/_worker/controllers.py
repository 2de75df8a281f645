"""What the calls of an attempt go to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from flyte._controller.remote.attempts import Place
from flyte._worker.no_controller import NoController
from flyte._worker.request import AttemptRequest

if TYPE_CHECKING:
    from flyte._controller.remote import RemoteController
    from flyte._rpc.settings import SessionSettings

ENDPOINT_VARIABLE = "_U_EP_OVERRIDE"
INSECURE_VARIABLE = "_U_INSECURE"
UNVERIFIED_VARIABLE = "_U_INSECURE_SKIP_VERIFY"
ACTIONS_VARIABLE = "_U_USE_ACTIONS"
TOKEN_VARIABLES = ("_UNION_EAGER_API_KEY", "EAGER_API_KEY", "FLYTE_API_KEY")

_WITHOUT_TLS = ("localhost", "docker")

_of_process: RemoteController | None = None


def controller_of(request: AttemptRequest) -> RemoteController | NoController:
    """The controller of an attempt, in a process of its own or beside others in a worker that is reused.

    It is that of the control plane that the environment names, one for all attempts of the process; where it names
    none, one that refuses. Making it starts no thread and calls nobody.

    Raises:
        InitializationError: the environment names one that cannot be.
    """
    global _of_process
    if not os.environ.get(ENDPOINT_VARIABLE, "").strip():
        return NoController()
    if _of_process is None:
        from flyte._controller.remote import RemoteController

        _of_process = RemoteController(_settings(), uses_actions=_is_set(ACTIONS_VARIABLE))
    return _of_process


def place_of(request: AttemptRequest) -> Place:
    """Where an attempt runs, for the calls that it makes; to be asked before it can change the working directory."""
    code = request.code
    root = code.downloaded_path if code is not None and code.downloaded_path is not None else Path.cwd()
    return Place(
        action=request.action,
        run_base_dir=request.run_base_dir,
        version=request.version,
        code=code,
        root_dir=root,
        image_cache=request.image_cache,
        is_interactive=request.is_interactive,
    )


def _settings() -> SessionSettings:
    from flyte._rpc.endpoints import Endpoint
    from flyte._rpc.settings import SessionSettings
    from flyte.config._config import PlatformConfig

    address = os.environ[ENDPOINT_VARIABLE].strip()
    insecure = any(each in address for each in _WITHOUT_TLS) or _is_set(INSECURE_VARIABLE)
    platform = PlatformConfig.auto()
    return SessionSettings(
        endpoint=Endpoint.parse(address, insecure=insecure),
        token=next((token for name in TOKEN_VARIABLES if (token := os.environ.get(name))), None),
        command=tuple(platform.command or ()),
        proxy_command=tuple(platform.proxy_command or ()),
        ca_cert_file_path=None if insecure else platform.ca_cert_file_path,
        insecure_skip_verify=not insecure and (_is_set(UNVERIFIED_VARIABLE) or platform.insecure_skip_verify),
    )


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() not in ("", "0", "false", "no")
