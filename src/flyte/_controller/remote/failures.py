"""What calls are raised as whose action did not succeed, or that the control plane would not take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl2.common.phase_pb2 import ActionPhase as PhaseMessage
from flyteidl2.core.execution_pb2 import ContainerError, ErrorDocument, ExecutionError
from flyteidl2.workflow.state_service_pb2 import ActionUpdate

from flyte.errors import (
    ActionAbortedError,
    BaseRuntimeError,
    ErrorKind,
    NonRecoverableError,
    RunAbortedError,
    RuntimeSystemError,
    TaskTimeoutError,
    from_code,
)
from flyte.errors._base import FROM_USER_CODE

if TYPE_CHECKING:
    from connectrpc.errors import ConnectError

_KINDS: dict[int, ErrorKind] = {ExecutionError.USER: "user", ExecutionError.SYSTEM: "system"}


def error_of_update(update: ActionUpdate, what: str) -> BaseRuntimeError | None:
    """What the caller gets for an action that ended so; None where it failed and nothing says why.

    Args:
        what: Of which kind and name it is, for messages.
    """
    name, phase = update.action_id.name, update.phase
    reason = update.error.message
    if phase == PhaseMessage.ACTION_PHASE_ABORTED:
        return ActionAbortedError(f"action {name} ({what}) was aborted{f': {reason}' if reason else '.'}")
    if update.HasField("error"):
        return error_of_message(update.error)
    if phase == PhaseMessage.ACTION_PHASE_TIMED_OUT:
        return TaskTimeoutError(f"action {name} ({what}) timed out.")
    return None


def error_of_message(error: ExecutionError) -> BaseRuntimeError:
    """The error of an action as a local run raises it."""
    kind = _KINDS.get(error.kind, "unknown")
    return from_code(error.code, error.message, error.worker or (FROM_USER_CODE if kind == "user" else None), kind)


def error_of_document(document: ErrorDocument) -> BaseRuntimeError:
    """The error that a file says an attempt ended with."""
    error = document.error
    return error_of_message(ExecutionError(code=error.code, message=error.message, kind=error.origin))


def replayed_error(update: ActionUpdate) -> BaseRuntimeError | None:
    """What a trace is raised as that has failed before, where running it again could not end differently."""
    if not update.HasField("error") or update.error.recoverability == ContainerError.RECOVERABLE:
        return None
    error = error_of_message(update.error)
    # It kept its class when it was raised the first time, and so it does now.
    return NonRecoverableError(str(error), error.code) if error.kind == "user" else error


def refused(error: ConnectError, what: str) -> BaseRuntimeError:
    """What a call is raised as that the control plane does not take, however often it is asked."""
    from connectrpc.code import Code

    if error.code is Code.ABORTED:
        return RunAbortedError(f"{what} was not carried out: the run is over or was aborted ({error.message}).")
    return RuntimeSystemError(
        "".join(word.capitalize() for word in str(error.code.value).split("_")),
        f"the control plane did not take {what}: {error.message}",
    )


def unreachable(error: BaseException | None, seconds: float) -> RuntimeSystemError:
    """What calls are raised as when the control plane has been away for too long."""
    return RuntimeSystemError(
        "ControlPlaneUnreachable",
        f"the control plane has not answered for {seconds:.0f} s ({error or 'it ended each stream at once'}): what it "
        "was asked for may go on there, and the run can be recovered when it is back.",
    )
