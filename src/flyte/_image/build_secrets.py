"""Secrets that open the way to the software of an image: given to the programs that fetch it, and kept nowhere."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from flyte._authoring.image_layers import Layer
from flyte._authoring.secret import Secret
from flyte._store.secrets import SecretStore
from flyte.errors import ImageBuildError

_HIDDEN = "****"


def secrets_of_layer(layer: Layer) -> tuple[Secret, ...]:
    """The secrets that a layer asks for."""
    secrets: tuple[Secret, ...] = getattr(layer, "secret_mounts", ())
    return secrets


def secret_values(layer: Layer, home: Path) -> dict[str, str]:
    """Variables with the values of a layer's secrets: those of this process, else those kept on this machine.

    Raises:
        ImageBuildError: one is in neither, or is asked for as a file.
        StoreError: the secrets of this machine may be read by others.
    """
    return {_variable(secret, layer): value_of_secret(secret, layer, home) for secret in secrets_of_layer(layer)}


def _variable(secret: Secret, layer: Layer) -> str:
    if secret.as_env_var is None:
        raise ImageBuildError(
            f"image layer {layer.kind}: the secret {secret.key!r} is asked for as a file in {secret.mount}; "
            f"an environment is built with secrets as variables. Use Secret({secret.key!r}, as_env_var='...')."
        )
    return secret.as_env_var


def value_of_secret(secret: Secret, layer: Layer, home: Path) -> str:
    """The value of one secret.

    Raises:
        ImageBuildError: it is neither in the environment nor kept on this machine.
        StoreError: the secrets of this machine may be read by others.
    """
    value = os.environ.get(secret.as_env_var) if secret.as_env_var else None
    if value is not None:
        return value
    kept = SecretStore(home).load(secret.key, secret.group)
    if kept is None:
        group = f" --group {secret.group}" if secret.group else ""
        raise ImageBuildError(
            f"image layer {layer.kind} needs the secret {secret.key!r}: {_variable_to_set(secret)}keep it on this "
            f"machine with `flyte create secret {secret.key}{group}`."
        )
    return os.fsdecode(kept)


def _variable_to_set(secret: Secret) -> str:
    return f"set the environment variable {secret.as_env_var}, or " if secret.as_env_var else ""


def hidden(text: str, secrets: Mapping[str, str] | Iterable[str]) -> str:
    """The text, without the values of secrets."""
    values = secrets.values() if isinstance(secrets, Mapping) else secrets
    for value in sorted(filter(None, values), key=len, reverse=True):
        text = text.replace(value, _HIDDEN)
    return text
