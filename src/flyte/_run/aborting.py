"""Ending a run, or one of its actions, from another process."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from flyte._engine.names import ROOT_ACTION
from flyte._store.aborts import AbortRequest, abort_ownerless, aborted_error, ask_to_abort
from flyte._store.owners import this_process
from flyte._store.reader import StoreReader
from flyte._store.records import ActionKind, StoredRun
from flyte._store.writer import Change, Writer
from flyte.errors import RunAbortedError, RuntimeUserError
from flyte.models import ActionPhase

WAIT_S = 5.0
"""How long the owner has to react: it looks twice a second, and gives its actions two seconds."""

_LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class AbortOutcome:
    """What became of a request.

    Attributes:
        phase: Of the run or action, when the owner had its time to react.
        is_ownerless: The process of the run was gone.
    """

    phase: ActionPhase
    is_ownerless: bool = False


def abort(home: Path, run_name: str, action_name: str = ROOT_ACTION, reason: str = "") -> AbortOutcome:
    """The process that executes the run has been asked to end it, or one action of it, and had time to do so.

    A run whose process is gone is recorded as aborted.

    Raises:
        RunNotFoundError: there is no such run or action.
        RuntimeUserError: code `NothingToAbort`; it is over, or it is no task.
    """
    with StoreReader(home) as reader:
        run = reader.load_run(run_name)
        _check_action(reader, run, action_name)
        if run.is_interrupted and _abort_ownerless(home, run, reason):
            return AbortOutcome(ActionPhase.ABORTED, is_ownerless=True)
        if not _write(home, ask_to_abort(AbortRequest(run.run_id, action_name, reason))):
            raise _nothing_to_abort(f"run {run_name!r} ended a moment ago.")
        return AbortOutcome(_wait(reader, run_name, action_name))


def _check_action(reader: StoreReader, run: StoredRun, action_name: str) -> None:
    if run.phase.is_terminal:
        raise _nothing_to_abort(f"run {run.name!r} is over: it is {run.phase.value}.")
    if action_name == ROOT_ACTION:
        return
    action = reader.load_action(run, action_name)
    if action.kind is not ActionKind.TASK:
        raise _nothing_to_abort(
            f"action {action_name!r} is no task but a {action.kind.name.lower()}: abort {action.parent_name!r}, which "
            "called it."
        )
    if action.phase.is_terminal:
        raise _nothing_to_abort(f"action {action_name!r} is over: it is {action.phase.value}.")
    if run.is_interrupted:
        raise _nothing_to_abort(
            f"nothing of run {run.name!r} goes on, its process is gone: `flyte abort run {run.name}` records that, "
            f"`flyte resume {run.name}` goes on with it."
        )


def _abort_ownerless(home: Path, run: StoredRun, reason: str) -> bool:
    error = RunAbortedError(f"the run was aborted: {reason}")
    now_us = time.time_ns() // 1000
    return bool(_write(home, abort_ownerless(run, this_process(), now_us, aborted_error(error))))


def _write(home: Path, change: Change) -> object:
    writer = Writer(home)
    try:
        return writer.write(change)
    finally:
        writer.close()


def _wait(reader: StoreReader, run_name: str, action_name: str) -> ActionPhase:
    give_up_at = time.monotonic() + WAIT_S
    while True:
        run = reader.load_run(run_name)
        phase = run.phase if action_name == ROOT_ACTION else reader.load_action(run, action_name).phase
        if phase.is_terminal or time.monotonic() > give_up_at:
            return phase
        time.sleep(_LOOK_EVERY_S)


def _nothing_to_abort(why: str) -> RuntimeUserError:
    return RuntimeUserError("NothingToAbort", f"{why} There is nothing to abort.")
