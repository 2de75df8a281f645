"""What the calls of an attempt go to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from flyte._worker.no_controller import NoController

if TYPE_CHECKING:
    from flyte._controller.remote import RemoteController

ENDPOINT_VARIABLE = "_U_EP_OVERRIDE"
INSECURE_VARIABLE = "_U_INSECURE"
ACTIONS_VARIABLE = "_U_USE_ACTIONS"
TOKEN_VARIABLE = "_UNION_EAGER_API_KEY"

_WITHOUT_TLS = ("localhost", "docker")
_TRUE = ("1", "true", "t", "yes", "y")


def controller_of(variables: Mapping[str, str] | None = None) -> RemoteController | NoController:
    """The controller that the environment of a process asks for: one of the control plane that it names, or none.

    Making it starts no thread and calls nobody.

    Args:
        variables: Of the environment; default this process's own.
    """
    variables = os.environ if variables is None else variables
    address = variables.get(ENDPOINT_VARIABLE, "").strip()
    if not address:
        return NoController()
    from flyte._controller.remote import RemoteController
    from flyte._rpc.in_task import InTaskEndpoint

    insecure = any(each in address for each in _WITHOUT_TLS) or _is_set(variables, INSECURE_VARIABLE)
    return RemoteController(
        InTaskEndpoint(address, insecure, variables.get(TOKEN_VARIABLE) or None, _is_set(variables, ACTIONS_VARIABLE))
    )


def _is_set(variables: Mapping[str, str], name: str) -> bool:
    return variables.get(name, "").strip().lower() in _TRUE
