"""What `a0` is asked to do: one attempt, its files, and where its task is found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from flyte.errors import RuntimeUserError
from flyte.models import ActionID, CheckpointPaths, CodeBundle
from flyte.models.checkpoints import is_blank

_TEMPLATE = "{{"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRequest:
    """One attempt.

    Attributes:
        action: The action that is attempted.
        version: Of the task.
        inputs: Address of its `Inputs`.
        outputs_path: Prefix of what it leaves: `outputs.pb` or `error.pb`, and `report.html`.
        run_base_dir: Where the run keeps the folders of its actions.
        raw_data_path: Prefix for its data.
        checkpoints: Where attempts leave something for the next.
        start_time: Of the run.
        code: The packed code; None where it is in the working directory already.
        resolver: Name of what finds the task.
        resolver_args: By which it is found.
        image_cache: As it travels.
    """

    action: ActionID
    version: str
    inputs: str
    outputs_path: str
    run_base_dir: str
    raw_data_path: str
    checkpoints: CheckpointPaths | None
    start_time: datetime
    code: CodeBundle | None
    resolver: str | None
    resolver_args: tuple[str, ...]
    image_cache: str | None
    is_interactive: bool = False


def checkpoint_paths(destination: str | None, source: str | None) -> CheckpointPaths | None:
    """The places for checkpoints; None where the caller names none, or left a placeholder."""
    if destination is None or is_blank(destination) or destination.startswith(_TEMPLATE):
        return None
    has_source = source is not None and not is_blank(source) and not source.startswith(_TEMPLATE)
    return CheckpointPaths(source if has_source else None, destination)


def start_time(text: str | None) -> datetime:
    """The time in ISO 8601, in UTC; the epoch where there is none, or the placeholder was left.

    Raises:
        RuntimeUserError: code `InvalidArgument`; it is another text.
    """
    if text is None or is_blank(text) or text.startswith(_TEMPLATE):
        return datetime.fromtimestamp(0, UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise RuntimeUserError(
            "InvalidArgument", f"--run-start-time {text!r} is not a time in ISO 8601, such as 2026-01-31T12:00:00Z."
        ) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def code_bundle(version: str, tgz: str | None, pkl: str | None, destination: str) -> CodeBundle | None:
    """The bundle that the arguments name, if they name one.

    Raises:
        RuntimeUserError: code `InvalidArgument`; they name two.
    """
    if tgz and pkl:
        raise RuntimeUserError("InvalidArgument", f"--tgz {tgz!r} and --pkl {pkl!r} were both given: give one of them.")
    if not tgz and not pkl:
        return None
    return CodeBundle(computed_version=version, destination=destination, tgz=tgz or None, pkl=pkl or None)
