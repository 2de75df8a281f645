"""`flyte get action` and `flyte get io`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from flyte._store.records import StoredAction, StoredAttempt, StoredRun
from flyte.cli._cache_words import cache_word
from flyte.cli._documents import Column, print_details, print_document, print_table
from flyte.cli._invocation import OutputFormat
from flyte.cli._literals import inputs_of, outputs_of, show_value
from flyte.cli._moments import show_duration, show_local
from flyte.cli._recorded import Records, error_document, load_payload, one_line, open_recorded, times_document
from flyte.cli._terminal import note
from flyte.models import ActionPhase

_ERROR_CHARACTERS = 60


def show_actions(run_name: str, phases: Sequence[str], after: str | None, limit: int, output: OutputFormat) -> None:
    """A page of the actions of a run, as a table or a JSON list; how many more there are, on stderr."""
    wanted = [ActionPhase(phase) for phase in phases]
    with open_recorded(run_name) as (store, run):
        after_id = store.load_action(run, after).action_id if after else None
        actions = store.list_actions(run, wanted, after_id, limit + 1)
        counts = store.count_actions(run) if len(actions) > limit else {}
    shown = actions[:limit]
    if output.is_document:
        print_document([_document(run, action) for action in shown], output)
    elif shown:
        print_table(_columns(), [_row(run, action) for action in shown], output)
    else:
        note(f"Run {run_name} has no such action.")
    if len(actions) > limit:
        total = sum(
            number for of_task in counts.values() for phase, number in of_task.items() if not wanted or phase in wanted
        )
        note(f"{len(shown):,} of {total:,} actions. The next ones: --after {shown[-1].name}")


def _columns() -> list[Column]:
    return [
        Column("Name", is_kept_whole=True),
        Column("Task"),
        Column("Phase"),
        Column("Attempt", is_number=True, is_optional=True),
        Column("Cache", is_optional=True),
        Column("Group", is_optional=True),
        Column("Started", is_number=True),
        Column("Duration", is_number=True),
        Column("Error", is_cut=True, is_optional=True),
    ]


def _status(run: StoredRun, action: StoredAction) -> str:
    # Its process is gone: nothing runs any more, and nobody recorded how it ended.
    return "interrupted" if run.is_interrupted and not action.phase.is_terminal else action.phase.value


def _row(run: StoredRun, action: StoredAction) -> list[str]:
    error = action.error
    since_start = _duration(run.created_at, action.started_at)
    return [
        action.name,
        action.task_name,
        _status(run, action),
        str(action.attempt_no) if action.attempt_no > 1 else "",
        cache_word(action.cache_status) if action.cache_status else "",
        action.group_name or "",
        f"+{since_start}" if since_start else "",
        _duration(action.started_at, action.ended_at),
        one_line(f"{error.code}: {error.message}", _ERROR_CHARACTERS) if error else "",
    ]


def _duration(started_at: datetime | None, ended_at: datetime | None) -> str:
    return show_duration((ended_at - started_at).total_seconds()) if started_at and ended_at else ""


def _document(run: StoredRun, action: StoredAction) -> dict[str, Any]:
    return {
        "name": action.name,
        "run": run.name,
        "task": action.task_name,
        "kind": action.kind.name.lower(),
        "phase": _status(run, action),
        "attempt": action.attempt_no,
        "cache": cache_word(action.cache_status),
        "parent": action.parent_name,
        "group": action.group_name,
        "started_at": action.started_at.isoformat() if action.started_at else None,
        **times_document(action.created_at, action.ended_at),
        "error": error_document(action.error),
    }


def show_action(run_name: str, action_name: str, output: OutputFormat) -> None:
    """One action, with its error and traceback where it failed."""
    with open_recorded(run_name) as (store, run):
        action = store.load_action(run, action_name)
        attempts = store.list_attempts(action)
    if output.is_document:
        documents = [_attempt_document(run, action, attempt) for attempt in attempts]
        print_document(_document(run, action) | {"attempts": documents}, output)
        return
    print_details(
        [
            ("Action", action.name),
            ("Run", run.name),
            ("Task", action.task_name),
            ("Phase", _status(run, action)),
            ("Attempt", str(action.attempt_no)),
            ("Cache", cache_word(action.cache_status)),
            ("Parent", action.parent_name or ""),
            ("Group", action.group_name or ""),
            ("Created", show_local(action.created_at)),
            ("Ended", show_local(action.ended_at)),
            ("Duration", _duration(action.started_at, action.ended_at)),
            ("Error", f"{action.error.code}: {action.error.message}" if action.error else ""),
        ],
    )
    if len(attempts) > 1:
        print()
        columns = [
            Column("Attempt", is_number=True),
            Column("Phase"),
            Column("Started", is_number=True),
            Column("Duration", is_number=True),
            Column("Error", is_cut=True, is_optional=True),
        ]
        print_table(columns, [_attempt_row(run, action, attempt) for attempt in attempts], output)
    if action.error and action.error.traceback:
        print(f"\n{action.error.traceback.rstrip()}")


def _attempt_row(run: StoredRun, action: StoredAction, attempt: StoredAttempt) -> list[str]:
    since_start = _duration(run.created_at, attempt.started_at)
    return [
        str(attempt.attempt_no),
        _attempt_status(run, action, attempt),
        f"+{since_start}" if since_start else "",
        _duration(attempt.started_at, attempt.ended_at),
        one_line(f"{attempt.error.code}: {attempt.error.message}", _ERROR_CHARACTERS) if attempt.error else "",
    ]


def _attempt_document(run: StoredRun, action: StoredAction, attempt: StoredAttempt) -> dict[str, Any]:
    return {
        "attempt": attempt.attempt_no,
        "phase": _attempt_status(run, action, attempt),
        "started_at": attempt.started_at.isoformat() if attempt.started_at else None,
        "ended_at": attempt.ended_at.isoformat() if attempt.ended_at else None,
        "error": error_document(attempt.error),
    }


def _attempt_status(run: StoredRun, action: StoredAction, attempt: StoredAttempt) -> str:
    if attempt.attempt_no == action.attempt_no:
        return _status(run, action)
    # Another one has followed, so nothing of it runs: its process ended before it did.
    return attempt.phase.value if attempt.phase.is_terminal else "interrupted"


def show_io(run_name: str, action_name: str, sides: Sequence[str], output: OutputFormat) -> None:
    """The values that went into an action and that came out of it."""
    with open_recorded(run_name) as (store, run):
        action = store.load_action(run, action_name)
        values = {side: _values(store, run, action, side) for side in sides}
    if output.is_document:
        print_document(values, output)
        return
    if any(values.values()):
        columns = [Column("", is_kept_whole=True), Column("Name", is_kept_whole=True), Column("Value")]
        rows = [
            [side.removesuffix("s"), name, show_value(value)] for side in sides for name, value in values[side].items()
        ]
        print_table(columns, rows, output)
    ended = action.phase.value.replace("_", " ")
    if "outputs" in sides and not action.phase.is_terminal:
        note(f"Action {action.name} has no outputs: it is {_status(run, action)}.")
    elif "outputs" in sides and action.error:
        note(f"Action {action.name} has no outputs: it {ended} with {action.error.code}.")
    elif not any(values.values()):
        note(f"Action {action.name} has no {' and no '.join(sides)}.")


def _values(store: Records, run: StoredRun, action: StoredAction, side: str) -> dict[str, Any]:
    payload = load_payload(store, run, action, side)
    return inputs_of(payload) if side == "inputs" else outputs_of(payload)
