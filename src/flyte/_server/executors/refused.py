"""Attempts that cannot be started, told as failures of theirs."""

from __future__ import annotations

from flyte._engine.attempts import Failure

INVALID_IMAGE_NAME = "InvalidImageName"
IMAGE_PULL_BACK_OFF = "ImagePullBackOff"
NO_CONTAINERS = "ContainersNotSupported"
SECRET_NOT_FOUND = "SecretNotFound"
CODE_UNAVAILABLE = "CodeBundleError"


class UnrunnableError(Exception):
    """An attempt cannot be run, and no other attempt could; `failure` says why."""

    def __init__(self, code: str, message: str, *, recoverable: bool = False) -> None:
        super().__init__(message)
        self.failure = Failure(code, "user", message, recoverable=recoverable, worker="user")
