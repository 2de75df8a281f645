"""Environment variables and secrets of tasks that share one process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flyte._authoring.secret import Secret, secrets_of
from flyte._store.secrets import SecretStore
from flyte.errors import RuntimeUserError


class ProcessEnvironment:
    """What one local run changed in `os.environ`.

    All tasks of a local run live in this process, so two environments cannot give one variable two values.
    """

    def __init__(self, home: Path, env_vars: Mapping[str, str] | None = None) -> None:
        self._secrets = SecretStore(home)
        self._set_by: dict[str, str] = {}
        self._before: dict[str, str | None] = {}
        self._set(env_vars or {}, "the run")

    def apply(self, task: Any) -> None:
        """The variables of the task's environment are set, and so are those of its secrets.

        A secret whose variable is set already has that value, else that of the store of secrets on this machine.

        Raises:
            RuntimeUserError: code `EnvironmentConflict`, another environment set a variable to another value; code
                `SecretNotFound`, a declared secret is in neither.
        """
        if task.env_vars:
            self._set(task.env_vars, f"the environment of task {task.name!r}")
        if task.secrets:
            self._provide_secrets(task)

    def restore(self) -> None:
        """`os.environ` is as it was before the run, in what the run changed."""
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._before.clear()
        self._set_by.clear()

    def _set(self, env_vars: Mapping[str, str], owner: str) -> None:
        for name, value in env_vars.items():
            first_owner = self._set_by.setdefault(name, owner)
            if first_owner == "the run" != owner:
                continue
            if first_owner != owner and os.environ.get(name) != value:
                raise RuntimeUserError(
                    "EnvironmentConflict",
                    f"{owner} sets {name}={value!r}, but {first_owner} set it to {os.environ.get(name)!r}: local tasks "
                    "share one process. Run them isolated (`flyte run --isolated`, "
                    "`with_runcontext(isolated=True)`), give the variables different names, or set it for the whole "
                    "run (`--env`, `env_vars=`).",
                )
            self._before.setdefault(name, os.environ.get(name))
            os.environ[name] = value

    def _provide_secrets(self, task: Any) -> None:
        for secret in secrets_of(task.secrets):
            if secret.mount is not None:
                raise RuntimeUserError(
                    "SecretNotFound",
                    f"task {task.name!r} wants the secret {secret.key!r} as a file in {secret.mount}, which local runs "
                    "cannot give unless they are isolated: use `--isolated`, or read it from an environment variable, "
                    "with `flyte.Secret(key, as_env_var=...)`.",
                )
            variable = secret.as_env_var
            if variable is None or variable in os.environ:
                continue
            value = self._secrets.load(secret.key, secret.group)
            if value is None:
                raise secret_not_found(task.name, secret)
            self._before.setdefault(variable, None)
            os.environ[variable] = os.fsdecode(value)


def secret_not_found(task_name: str, secret: Secret) -> RuntimeUserError:
    """The error for a secret that this machine does not have."""
    group = f" --group {secret.group}" if secret.group else ""
    variable = f"set the environment variable {secret.as_env_var}, or " if secret.mount is None else ""
    return RuntimeUserError(
        "SecretNotFound",
        f"task {task_name!r} needs the secret {secret.key!r}: {variable}"
        f"keep it on this machine with `flyte create secret {secret.key}{group}`.",
    )
