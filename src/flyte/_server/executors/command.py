"""The command line and the variables of one attempt."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from urllib.parse import urlsplit

from flyte._server.executors.orders import AttemptOrder

_PLACEHOLDER = re.compile(r"\{\{\s*\.(\w+)\s*\}\}")
_UNINHERITED = re.compile(
    r"(FLYTE(?!_AWS_|_GCP_|_AZURE_)|_?UNION_|_U_|_F_|LOG_|USER_LOG_)"
    r"|(FLYTECTL_CONFIG|ACTION_NAME|RUN_NAME)$"
)
"""Variables of the server that say what it is, and not what its machine is."""

_OF_ATTEMPT = ("ACTION_NAME", "RUN_NAME", "_U_RUN_BASE", "FLYTE_ATTEMPT_NUMBER")


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """How an attempt reaches the control plane.

    Attributes:
        endpoint: Its address, as `host:port` or a URL.
        variables: What else an attempt needs for it, such as a token.
    """

    endpoint: str
    variables: Mapping[str, str]

    def all_variables(self) -> dict[str, str]:
        """Those of the endpoint, too."""
        found = {"_U_EP_OVERRIDE": self.endpoint}
        is_url = "://" in self.endpoint
        url = urlsplit(self.endpoint if is_url else f"//{self.endpoint}")
        if url.scheme not in ("https", "dns+tls") and "localhost" not in self.endpoint:
            # With a host of that name, plain HTTP goes without saying.
            found["_U_INSECURE"] = "1"
        return found | dict(self.variables)


def filled(arguments: tuple[str, ...], order: AttemptOrder) -> list[str]:
    """The command line with what the placeholders stand for; those that nobody knows stay."""
    action = order.action
    values = {
        "input": order.inputs_uri,
        "outputPrefix": order.outputs_path,
        "rawOutputDataPrefix": order.raw_data_path,
        "checkpointOutputPrefix": order.checkpoint_path,
        "prevCheckpointPrefix": order.prev_checkpoint or "",
        "runName": action.run_name or "",
        "actionName": action.name,
        "runStartTime": order.run_started_at.astimezone(UTC).isoformat(),
        "executionProject": action.project or "",
        "executionDomain": action.domain or "",
        "executionOrg": action.org or "",
        "podName": f"{action.run_name}-{action.name}-{order.attempt_no}",
    }
    return [_PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text) for text in arguments]


def inherited_variables(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Those of this process that attempts have too: of the machine and its stores, none that name a control plane."""
    variables = os.environ if environ is None else environ
    found = {name: value for name, value in variables.items() if not _UNINHERITED.match(name)}
    return found | {"FSSPEC_FILE_AUTO_MKDIR": "true", "DO_NOT_TRACK": "1"}


def shared_variables(order: AttemptOrder, of_task: Mapping[str, str], plane: ControlPlane) -> dict[str, str]:
    """Those that attempts at the same task in the same run have in common."""
    action = order.action
    own = {
        "FLYTE_INTERNAL_EXECUTION_PROJECT": action.project or "",
        "FLYTE_INTERNAL_EXECUTION_DOMAIN": action.domain or "",
        "_U_ORG_NAME": action.org or "",
        **plane.all_variables(),
    }
    asked = {name: value for name, value in {**of_task, **order.env_vars}.items() if name not in _OF_ATTEMPT}
    # Whoever runs the task may have the other family of services.
    return {"_U_USE_ACTIONS": "1"} | asked | own


def attempt_variables(order: AttemptOrder) -> dict[str, str]:
    """Those of one attempt alone. Its number there is from 0, as in local runs."""
    values = (
        order.action.name,
        order.action.run_name or "",
        order.run_base_dir,
        str(order.attempt_no - 1),
    )
    return dict(zip(_OF_ATTEMPT, values, strict=True))
