"""What `a0` is asked to do: one attempt, its files, and where its task is found."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime

from flyte._authoring.image_cache import ImageCache
from flyte.errors import RuntimeUserError
from flyte.models import ActionID, CheckpointPaths, CodeBundle, PathRewrite
from flyte.models.checkpoints import is_blank
from flyte.storage._addresses import absolute, is_remote, local_path

ATTEMPT_VARIABLE = "FLYTE_ATTEMPT_NUMBER"
REWRITE_VARIABLE = "_F_PATH_REWRITE"

_TEMPLATE = "{{"
_REFUSED_VARIABLES = {
    "_F_EXEC_WRAPPER": "starts the task under another program",
    "_F_E_SSH": "starts a server for a debugger",
    "FLYTE_CLUSTERED_WORKER": "makes this process one of several of a task",
}


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
        image_cache: Images by environment, as built.
        path_rewrite: Where data is read from instead of where it was recorded.
        attempt_number: As the control plane counts; None where it does not say.
        grace_s: How long the task may take to end when it is told to.
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
    image_cache: ImageCache | None
    path_rewrite: PathRewrite | None
    attempt_number: int | None
    grace_s: float
    is_interactive: bool = False


def refuse_variables() -> None:
    """Nothing, when the environment asks for nothing that this program cannot do.

    Raises:
        RuntimeUserError: code `InvalidArgument`; it does.
    """
    for variable, meaning in _REFUSED_VARIABLES.items():
        if os.environ.get(variable):
            raise RuntimeUserError(
                "InvalidArgument",
                f"{variable} is {os.environ[variable]!r}, which {meaning}: this release cannot do that. Unset it.",
            )


def is_placeholder(text: str | None) -> bool:
    """True for what a template has where nobody put a value."""
    return text is not None and text.startswith(_TEMPLATE)


def address(option: str, text: str) -> str:
    """The address that an option gives, also after the task has changed the working directory.

    Raises:
        RuntimeUserError: code `InvalidArgument`; a placeholder was left, or it is empty.
    """
    if is_placeholder(text):
        raise RuntimeUserError(
            "InvalidArgument", f"{option} is {text!r}: whoever starts the process puts an address in its place."
        )
    if is_blank(text):
        raise RuntimeUserError("InvalidArgument", f"{option} is {text!r}: expected an address.")
    return absolute(text)


def path_rewrite() -> PathRewrite | None:
    """What `_F_PATH_REWRITE` says; None where it is unset, or where there is nothing at the new place.

    Raises:
        RuntimeUserError: code `InvalidArgument`; it is malformed.
    """
    pattern = os.environ.get(REWRITE_VARIABLE)
    if not pattern:
        return None
    try:
        rewrite = PathRewrite.from_str(pattern)
    except ValueError as error:
        raise RuntimeUserError("InvalidArgument", f"{REWRITE_VARIABLE}: {error}") from None
    return rewrite if is_remote(rewrite.new_prefix) or local_path(rewrite.new_prefix).exists() else None


def attempt_number() -> int | None:
    """What `FLYTE_ATTEMPT_NUMBER` says.

    Raises:
        RuntimeUserError: code `InvalidArgument`; it is no number.
    """
    text = os.environ.get(ATTEMPT_VARIABLE)
    if not text:
        return None
    if not text.isdecimal():
        raise RuntimeUserError("InvalidArgument", f"{ATTEMPT_VARIABLE} is {text!r}: expected a whole number from 0.")
    return int(text)


def checkpoint_paths(destination: str | None, source: str | None) -> CheckpointPaths | None:
    """The places for checkpoints; None where the caller names none, or left a placeholder."""
    if destination is None or is_blank(destination) or is_placeholder(destination):
        return None
    has_source = source is not None and not is_blank(source) and not is_placeholder(source)
    return CheckpointPaths(absolute(source) if source is not None and has_source else None, absolute(destination))


def start_time(text: str | None) -> datetime:
    """The time in ISO 8601, in UTC; the epoch where there is none, or the placeholder was left.

    Raises:
        RuntimeUserError: code `InvalidArgument`; it is another text.
    """
    if text is None or is_blank(text) or is_placeholder(text):
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
        RuntimeUserError: code `InvalidArgument`; they name two, or left a placeholder.
    """
    if tgz and pkl:
        raise RuntimeUserError("InvalidArgument", f"--tgz {tgz!r} and --pkl {pkl!r} were both given: give one of them.")
    if not tgz and not pkl:
        return None
    tgz, pkl = tgz and address("--tgz", tgz), pkl and address("--pkl", pkl)
    return CodeBundle(computed_version=version, destination=destination, tgz=tgz or None, pkl=pkl or None)
