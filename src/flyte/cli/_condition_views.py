"""`flyte get condition`: what a run asks people, and what they answered."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flyte.cli._documents import Column, print_details, print_document, print_table
from flyte.cli._invocation import OutputFormat
from flyte.cli._literals import show_value
from flyte.cli._moments import show_local
from flyte.cli._recorded import open_recorded
from flyte.cli._terminal import note

if TYPE_CHECKING:
    from flyte._store.conditions import StoredCondition
    from flyte._store.records import StoredRun


def is_expired(condition: StoredCondition) -> bool:
    """Whether its time is over, although nothing may have recorded that."""
    return condition.expires_at is not None and condition.expires_at <= datetime.now(UTC)


def status(run: StoredRun, condition: StoredCondition) -> str:
    """Where a condition stands, in a word or two."""
    if condition.answer is not None:
        return f"answered with {show_value(json.loads(condition.answer))}"
    if condition.phase.is_terminal:
        return condition.phase.value.replace("_", " ")
    if is_expired(condition):
        return "timed out"
    return "open, the run is interrupted" if run.is_interrupted else "open"


def show_conditions(run_name: str, output: OutputFormat) -> None:
    """The conditions of a run, as a table or a JSON list."""
    with open_recorded(run_name) as (store, run):
        conditions = store.list_conditions(run)
    if output.is_document:
        print_document([_document(run, condition) for condition in conditions], output)
    elif conditions:
        columns = [
            Column("Action", is_kept_whole=True),
            Column("Prompt"),
            Column("Type"),
            Column("Status"),
            Column("Until", is_kept_whole=True, is_optional=True),
        ]
        print_table(columns, [_row(run, condition) for condition in conditions], output)
        if any(condition.is_open and not is_expired(condition) for condition in conditions):
            note(f"To answer: flyte signal condition {run.name} ACTION VALUE")
    else:
        note(f"Run {run_name} asks nothing.")


def show_condition(run_name: str, action_name: str, output: OutputFormat) -> None:
    """One condition."""
    with open_recorded(run_name) as (store, run):
        condition = store.load_condition(run, action_name)
    if output.is_document:
        print_document(_document(run, condition), output)
        return
    print_details(
        [
            ("Action", condition.action_name),
            ("Run", run.name),
            ("Condition", condition.name),
            ("Prompt", condition.prompt),
            ("Description", condition.description),
            ("Type", condition.data_type),
            ("Status", status(run, condition)),
            ("Asked", show_local(condition.created_at)),
            ("Until", show_local(condition.expires_at)),
            ("Answered", show_local(condition.answered_at)),
        ]
    )


def _row(run: StoredRun, condition: StoredCondition) -> list[str]:
    return [
        condition.action_name,
        condition.prompt,
        condition.data_type,
        status(run, condition),
        show_local(condition.expires_at),
    ]


def _document(run: StoredRun, condition: StoredCondition) -> dict[str, Any]:
    return {
        "action": condition.action_name,
        "run": run.name,
        "name": condition.name,
        "prompt": condition.prompt,
        "prompt_type": condition.prompt_type,
        "description": condition.description,
        "type": condition.data_type,
        "is_open": condition.is_open and not is_expired(condition),
        "phase": condition.phase.value,
        "answer": None if condition.answer is None else json.loads(condition.answer),
        "created_at": condition.created_at.isoformat(),
        "expires_at": condition.expires_at.isoformat() if condition.expires_at else None,
        "answered_at": condition.answered_at.isoformat() if condition.answered_at else None,
    }
