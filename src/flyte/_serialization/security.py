"""Secrets of a task, and the account it runs as."""

from __future__ import annotations

from typing import Any

from flyteidl2.core.security_pb2 import Identity, SecurityContext
from flyteidl2.core.security_pb2 import Secret as SecretMessage

from flyte._authoring.secret import Secret, secrets_of
from flyte._authoring.task import TaskTemplate


def security_of(task: TaskTemplate[Any, Any, Any]) -> SecurityContext | None:
    """Both; None when neither was said."""
    if task.secrets is None and not task.service_account:
        return None
    secrets = [message for secret in secrets_of(task.secrets) for message in _messages(secret)]
    identity = Identity(k8s_service_account=task.service_account) if task.service_account else None
    return SecurityContext(run_as=identity, secrets=secrets)


def _messages(secret: Secret) -> list[SecretMessage]:
    """One for each way in which the task gets the secret: a message says one."""
    messages = []
    if secret.mount is not None:
        messages.append(SecretMessage(group=secret.group, key=secret.key, mount_requirement=SecretMessage.FILE))
    if secret.as_env_var is not None:
        messages.append(
            SecretMessage(
                group=secret.group,
                key=secret.key,
                mount_requirement=SecretMessage.ENV_VAR,
                env_var=secret.as_env_var,
            )
        )
    return messages
