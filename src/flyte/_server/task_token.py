"""What attempts of a server show it where requests need a token."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path

from flyte._server.signing import kept_secret

TOKEN_FILE = "task.token"


def task_token(home: Path) -> str:
    """The token of a home's attempts. It outlives the server, as attempts do."""
    return kept_secret(home / TOKEN_FILE, f"flyte_task_{secrets.token_urlsafe(32)}".encode()).decode("ascii")


def token_variables(home: Path) -> Mapping[str, str]:
    """The variables by which clients in attempts send it: they name a program that prints it."""
    return {
        "FLYTE_AUTH_TYPE": "ExternalCommand",
        "FLYTE_AUTH_COMMAND": json.dumps(["cat", str(home / TOKEN_FILE)]),
    }
