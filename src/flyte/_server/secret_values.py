"""The values of the secrets that tasks ask for, for what runs their attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from flyteidl2.core.security_pb2 import Secret

from flyte._store.reader import StoreReader
from flyte._store.served_secrets import SecretKey, Vault, secret_value
from flyte.models import ActionID


class SecretValues:
    """Finds them in the home of a server. Safe to call from any thread."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._vault = Vault(home)

    def __call__(self, action: ActionID, secrets: Sequence[Secret]) -> Mapping[tuple[str, str], bytes]:
        """The values for an action, by group and key; those that nobody has are left out. Blocks.

        Raises:
            StoreError: one is there and cannot be opened.
        """
        values = {}
        with StoreReader(self._home) as reader:
            for secret in secrets:
                wanted = SecretKey(action.project or "", action.domain or "", secret.key)
                value = secret_value(reader, self._vault, wanted, secret.group)
                if value is not None:
                    values[secret.group, secret.key] = value
        return values
