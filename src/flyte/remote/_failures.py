"""What a run or an action that did not succeed is raised as."""

from __future__ import annotations

from flyteidl2.workflow import run_definition_pb2 as messages

from flyte.errors import BaseRuntimeError, ErrorKind, RunAbortedError, RunNotFoundError, from_code
from flyte.models import ActionPhase

_KINDS: dict[int, ErrorKind] = {
    messages.ErrorInfo.KIND_USER: "user",
    messages.ErrorInfo.KIND_SYSTEM: "system",
}
_TIMED_OUT = "MAX_RUNTIME_EXCEEDED"


def error_of(details: messages.ActionDetails) -> BaseRuntimeError | None:
    """The exception that a task which called this action would see; None where it did not fail, or has not ended."""
    if not details.status.phase:
        return None
    phase = ActionPhase.from_protobuf(details.status.phase)
    info = details.error_info
    match phase:
        case ActionPhase.ABORTED:
            reason = details.abort_info.reason or "no reason given"
            return RunAbortedError(f"{_where(details)} was aborted: {reason}")
        case ActionPhase.TIMED_OUT:
            return from_code(info.code or _TIMED_OUT, info.message or f"{_where(details)} timed out", "user")
        case ActionPhase.FAILED:
            kind = _KINDS.get(info.kind, "unknown")
            message, _, traceback = info.message.partition("\n\nTraceback (most recent call last):\n")
            error = from_code(info.code or "Unknown", message or f"{_where(details)} failed", "user", kind)
            if traceback:
                error.remote_traceback = f"Traceback (most recent call last):\n{traceback}"
            return error
    return None


def _where(details: messages.ActionDetails) -> str:
    if details.id.name == "a0":
        return f"run {details.id.run.name!r}"
    return f"action {details.id.name!r} of run {details.id.run.name!r}"


def no_such_run(name: str, why: BaseRuntimeError) -> RunNotFoundError:
    """The error for a run that is not there."""
    return RunNotFoundError(f"the control plane has no run {name!r}: `flyte get run` lists those there are. ({why})")
