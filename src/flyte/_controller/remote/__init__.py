"""The controller of code whose calls a control plane carries out."""

from flyte._controller.remote.attempts import Place as Place
from flyte._controller.remote.attempts import RemoteAttempt as RemoteAttempt
from flyte._controller.remote.controller import RemoteController as RemoteController

__all__ = ["Place", "RemoteAttempt", "RemoteController"]
