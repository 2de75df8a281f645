"""Rows of runs that other processes execute."""

from __future__ import annotations

import sqlite3
from typing import Any

from flyte._store.owners import this_process
from flyte._store.records import ActionKind, ActionRecord, NewRun, Owner, action_id
from flyte._store.writer import Change, end_run, insert_run
from flyte.models import ActionPhase

CREATED_US = 1_700_000_000_000_000

GONE = Owner(this_process().host, "another boot", 1, 1)
"""A process that is gone: the machine was started again since."""


def root_row(
    run_id: int,
    *,
    name: str = "a0",
    sequence_no: int = 1,
    kind: int = ActionKind.TASK,
    phase: ActionPhase = ActionPhase.RUNNING,
) -> tuple[Any, ...]:
    """The row of an action; by default of the root."""
    return ActionRecord(
        action_id=action_id(run_id, sequence_no),
        run_id=run_id,
        name=name,
        parent_id=None if sequence_no == 1 else action_id(run_id, 1),
        kind=kind,
        task_name="env.root",
        group_name=None,
        phase=phase.to_protobuf_value(),
        attempt_no=1,
        created_us=CREATED_US,
        started_us=CREATED_US + 1,
        ended_us=CREATED_US + 2 if phase.is_terminal else None,
    ).row()


def local_run(
    name: str,
    *,
    phase: ActionPhase = ActionPhase.RUNNING,
    is_alive: bool = True,
    labels: dict[str, str] | None = None,
    task_name: str = "env.root",
) -> Change:
    """A change that adds a run with its root action; its result is the `run_id`."""
    run = NewRun(
        name=name,
        task_name=task_name,
        mode="local",
        created_us=CREATED_US,
        owner=this_process() if is_alive else GONE,
        labels=labels or {},
    )

    def change(connection: sqlite3.Connection) -> int:
        run_id = insert_run(run, lambda run_id: root_row(run_id, phase=phase))(connection)
        if phase.is_terminal:
            end_run(run_id, phase.to_protobuf_value(), CREATED_US + 2)(connection)
        return int(run_id)

    return change
