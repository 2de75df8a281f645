"""The secrets of a task: variables and files of its processes."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence

from flyteidl2.core.security_pb2 import Secret
from flyteidl2.task.task_definition_pb2 import TaskSpec

from flyte._controller.secret_files import SECRETS_VARIABLE, SecretFiles
from flyte._server.executors.refused import SECRET_NOT_FOUND, UnrunnableError
from flyte.models import ActionID

_FILE_NAME = re.compile(r"(?!\.)[\w.-]{1,255}")

SecretsOf = Callable[[ActionID, Sequence[Secret]], Mapping[tuple[str, str], bytes]]
"""The values of secrets for an action, by group (empty for none) and key; those that nobody has are left out.

It is called on a thread.
"""


def no_secrets(action: ActionID, secrets: Sequence[Secret]) -> Mapping[tuple[str, str], bytes]:
    """There are none."""
    return {}


class Secrets:
    """Gives secrets to processes.

    Args:
        values_of: Where their values come from.
    """

    def __init__(self, values_of: SecretsOf = no_secrets) -> None:
        self._values_of = values_of
        self._files: dict[str, SecretFiles] = {}

    def variables(self, action: ActionID, spec: TaskSpec) -> dict[str, str]:
        """The variables by which a task finds its secrets; those that are files are there. Blocks.

        Raises:
            UnrunnableError: code `SecretNotFound`; there is no such secret.
        """
        secrets = spec.task_template.security_context.secrets
        if not secrets:
            return {}
        values = self._values_of(action, secrets)
        for secret in secrets:
            is_name = _FILE_NAME.fullmatch(secret.key) and _FILE_NAME.fullmatch(secret.group or "-")
            if not is_name or (secret.group, secret.key) not in values:
                raise _not_found(secret, spec)
        as_files = [secret for secret in secrets if secret.mount_requirement == Secret.FILE]
        variables: dict[str, str] = {}
        paths: dict[tuple[str, str], str] = {}
        if as_files:
            files = self._files_for({(each.group, each.key): values[each.group, each.key] for each in as_files})
            for each in as_files:
                file = files.write(each.key, each.group or None, values[each.group, each.key])
                paths[each.group, each.key] = str(file)
            variables[SECRETS_VARIABLE] = str(files.folder)
        for each in secrets:
            if each.mount_requirement != Secret.FILE:
                name = each.env_var or each.key.upper().replace("-", "_").replace(".", "_")
                # One that is a file, too, is told by its path, as in isolated runs.
                variables[name] = paths.get((each.group, each.key)) or os.fsdecode(values[each.group, each.key])
        return variables

    def close(self) -> None:
        """No secret that was given as a file is left."""
        for files in self._files.values():
            files.close()
        self._files.clear()

    def _files_for(self, values: Mapping[tuple[str, str], bytes]) -> SecretFiles:
        # Equal secrets share a folder; one whose value has changed is in another.
        key = hashlib.sha256(repr(sorted(values.items())).encode()).hexdigest()
        return self._files.setdefault(key, SecretFiles())


def _not_found(secret: Secret, spec: TaskSpec) -> UnrunnableError:
    group = f" --group {secret.group}" if secret.group else ""
    return UnrunnableError(
        SECRET_NOT_FOUND,
        f"task {spec.task_template.id.name!r} needs the secret {secret.key!r}, which this server does not have: "
        f"`flyte create secret {secret.key}{group}`.",
    )
