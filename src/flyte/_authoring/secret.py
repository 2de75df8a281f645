"""Secrets that a task needs."""

from __future__ import annotations

import hashlib
import pathlib
import re
from dataclasses import dataclass
from typing import List, Optional, Union

from flyte._authoring.expectations import expect, expect_optional_str

SECRETS_MOUNT = pathlib.Path("/etc/flyte/secrets")
_ENV_VAR = re.compile(r"^[A-Z_][A-Z0-9_]*$")


@dataclass(frozen=True)
class Secret:
    """A secret of the control plane, given to the task as an environment variable or as a file.

    Attributes:
        key: Name of the secret.
        group: Name space of the key.
        mount: The folder to put it into, `/etc/flyte/secrets`; without one it becomes an environment variable.
        as_env_var: Name of that variable; by default group and key in capitals, with `-` as `_`.

    Raises:
        ValueError: the folder is another one, or the name is not one of an environment variable.
        TypeError: a field is of another type.
    """

    key: str
    group: Optional[str] = None
    mount: pathlib.Path | None = None
    as_env_var: Optional[str] = None

    def __post_init__(self) -> None:
        expect(isinstance(self.key, str), "Secret.key", "a str", self.key)
        expect_optional_str("Secret.group", self.group)
        expect_optional_str("Secret.as_env_var", self.as_env_var)
        if self.mount is not None:
            object.__setattr__(self, "mount", _mount(self.mount))
        elif self.as_env_var is None:
            name = f"{self.group}_{self.key}" if self.group else self.key
            object.__setattr__(self, "as_env_var", name.replace("-", "_").upper())
        if self.as_env_var is not None and not _ENV_VAR.fullmatch(self.as_env_var):
            raise ValueError(
                f"secret {self.key!r}: {self.as_env_var!r} is not the name of an environment variable, it must match "
                f"{_ENV_VAR.pattern}; give one with as_env_var="
            )

    def stable_hash(self) -> str:
        """SHA-256 in hex, the same in every process."""
        parts = (self.key, self.group, self.mount, self.as_env_var)
        return hashlib.sha256("|".join(str(part or "") for part in parts).encode()).hexdigest()

    def __hash__(self) -> int:
        return int(self.stable_hash()[:15], 16)


SecretRequest = Union[str, Secret, List[Union[str, Secret]]]
"""What `secrets=` accepts; a bare string is the key of a secret."""


def secrets_of(request: SecretRequest | None, what: str = "secrets") -> tuple[Secret, ...]:
    """The secrets that `request` means.

    Raises:
        TypeError: it is neither a key nor a secret nor a list of them.
        ValueError: a key cannot be the name of an environment variable.
    """
    if request is None:
        return ()
    requested = request if isinstance(request, list | tuple) else (request,)
    for each in requested:
        expect(isinstance(each, str | Secret), what, "a str, a flyte.Secret or a list of them", each)
    return tuple(Secret(each) if isinstance(each, str) else each for each in requested)


def _mount(mount: object) -> pathlib.Path:
    expect(isinstance(mount, str | pathlib.PurePath), "Secret.mount", "a pathlib.Path", mount)
    if str(mount) != str(SECRETS_MOUNT):
        raise ValueError(f"secrets can only be mounted at {SECRETS_MOUNT}, got mount={str(mount)!r}")
    return SECRETS_MOUNT
