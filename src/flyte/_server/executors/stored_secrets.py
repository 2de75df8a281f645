"""The values of secrets, as the store of a home folder has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from flyteidl2.core.security_pb2 import Secret

from flyte._server.executors.secrets import SecretsOf
from flyte._store.reader import StoreReader
from flyte._store.served_secrets import SecretKey, Vault, secret_value
from flyte.models import ActionID


def secrets_of(home: Path) -> SecretsOf:
    """What looks up the secrets of an action, by group and key; those that nobody has are left out."""
    vault = Vault(home)

    def values_of(action: ActionID, secrets: Sequence[Secret]) -> Mapping[tuple[str, str], bytes]:
        found = {}
        with StoreReader(home) as reader:
            for each in secrets:
                wanted = SecretKey(action.project or "", action.domain or "", each.key)
                value = secret_value(reader, vault, wanted, each.group or None)
                if value is not None:
                    found[each.group, each.key] = value
        return found

    return values_of
