"""Runs and actions as the control plane lists them: those that it serves, and those of processes on this machine."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

from flyteidl2.task.run_pb2 import RunSpec
from flyteidl2.task.task_definition_pb2 import TaskSpec
from flyteidl2.workflow.run_definition_pb2 import ActionSpec

from flyte._store.queries import Page, Query, page_of
from flyte._store.reader import StoreReader, stored_run
from flyte._store.records import SEQUENCE_BITS, ActionKind, ErrorRecord, StoredRun, action_id
from flyte._store.statements import statement
from flyte.models import ActionPhase

LOCAL = "local"
"""The mode of runs that no server serves."""

_ALL = -1


@dataclass(frozen=True, slots=True)
class ListedCondition:
    """What a condition asks, as its row has it; `answer` is JSON."""

    name: str
    prompt: str
    prompt_type: str
    data_type: str
    description: str
    expires_us: int | None
    answer: str | None


@dataclass(frozen=True, slots=True)
class ListedAction:
    """An action without its payloads.

    Attributes:
        target: What was asked for; None of a local run.
        spec_digest: Of its task's spec, which `load_spec` gives.
        output_uri: As in `served_action`; empty of a local run.
    """

    action_id: int
    run_id: int
    name: str
    parent_id: int | None
    parent_name: str | None
    kind: ActionKind
    task_name: str
    group_name: str | None
    phase: ActionPhase
    attempt_no: int
    created_us: int
    started_us: int | None
    ended_us: int | None
    error: ErrorRecord | None
    cache_status: int
    target: ActionSpec | None
    spec_digest: bytes | None
    recovered_from: str | None
    output_uri: str
    abort_reason: str | None
    aborted_by: str | None
    signalled_by: str | None
    condition: ListedCondition | None

    @property
    def state(self) -> tuple[int | None, ...]:
        """The columns of `action_states` after the first."""
        phase = self.phase.to_protobuf_value()
        return phase, self.attempt_no, self.started_us, self.ended_us, self.cache_status

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> ListedAction:
        """The action in a row of `page_of_actions`."""
        condition = None
        if row["condition_name"] is not None:
            condition = ListedCondition(
                row["condition_name"],
                *(row[name] for name in ("prompt", "prompt_type", "data_type", "description", "expires_us", "answer")),
            )
        return cls(
            action_id=row["action_id"],
            run_id=row["run_id"],
            name=row["name"],
            parent_id=row["parent_id"],
            parent_name=row["parent_name"],
            kind=ActionKind(row["kind"]),
            task_name=row["task_name"],
            group_name=row["group_name"],
            phase=ActionPhase.from_protobuf(row["phase"]),
            attempt_no=row["attempt_no"],
            created_us=row["created_us"],
            started_us=row["started_us"],
            ended_us=row["ended_us"],
            error=None if row["error"] is None else ErrorRecord.from_json(row["error"]),
            cache_status=row["cache_status"],
            target=None if row["target"] is None else ActionSpec.FromString(row["target"]),
            spec_digest=row["spec_digest"],
            recovered_from=row["recovered_from"],
            output_uri=row["output_uri"] or "",
            abort_reason=row["abort_reason"],
            aborted_by=row["aborted_by"],
            signalled_by=row["signalled_by"],
            condition=condition,
        )


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run with its root action.

    Attributes:
        root: None where the run was deleted meanwhile.
        spec: Of the root's task; None of a local run, or of one whose spec is gone.
        run_spec: How it is run; empty of a local run.
        base_dir: Address of the folder that its actions have theirs in; None of a local run.
    """

    run: StoredRun
    root: ListedAction | None
    spec: TaskSpec | None
    run_spec: RunSpec
    source: int
    created_by: str
    trigger_name: str | None
    base_dir: str | None
    abort_reason: str | None
    aborted_by: str | None

    @property
    def is_local(self) -> bool:
        """Whether another process executes it."""
        return self.run.mode == LOCAL


def list_runs(reader: StoreReader, query: Query) -> tuple[list[ListedRun], Page]:
    """One page of runs; the conditions may name `run` and `served_run`."""
    page = page_of(reader, "page_of_runs", query, "run_id")
    roots = _actions_by_id(reader, [action_id(row["run_id"], 1) for row in page.rows])
    return [_listed_run(reader, row, roots.get(action_id(row["run_id"], 1))) for row in page.rows], page


def find_run(reader: StoreReader, name: str) -> ListedRun | None:
    """The run of that name."""
    query = Query(key="run.run_id", sort="run.run_id", conditions=["run.name = :name"], parameters={"name": name})
    runs, _ = list_runs(reader, query)
    return runs[0] if runs else None


def list_actions(reader: StoreReader, run_id: int, query: Query) -> tuple[list[ListedAction], Page]:
    """One page of the actions of a run; the conditions may name `action`, `parent` and `served_action`."""
    query = Query(
        key=query.key,
        sort=query.sort,
        is_descending=query.is_descending,
        conditions=[
            "action.action_id > :run_id << 32 AND action.action_id < (:run_id + 1) << 32",
            *query.conditions,
        ],
        parameters={**query.parameters, "run_id": run_id},
        after=query.after,
        limit=query.limit,
    )
    page = page_of(reader, "page_of_actions", query, "action_id")
    return [ListedAction.from_row(row) for row in page.rows], page


def find_action(reader: StoreReader, run_id: int, name: str) -> ListedAction | None:
    """The action of that name in a run."""
    query = Query(
        key="action.action_id",
        sort="action.action_id",
        conditions=["action.run_id = :run_id AND action.name = :name"],
        parameters={"run_id": run_id, "name": name},
    )
    rows = reader.select(query.filled("page_of_actions"), query.values())
    return ListedAction.from_row(rows[0]) if rows else None


def changed_actions(
    reader: StoreReader, run_id: int, known: Mapping[int, ListedAction], open_ids: Collection[int]
) -> list[ListedAction]:
    """Those that are new to a watcher, or not as it knows them, oldest first.

    Args:
        reader: Of the store.
        run_id: Of the run.
        known: All that the watcher has seen.
        open_ids: Those of them that may change.
    """
    parameters = {
        "after": max(known, default=run_id << SEQUENCE_BITS),
        "run_id": run_id,
        "open_ids": json.dumps(sorted(open_ids)),
    }
    changed = [
        row["action_id"]
        for row in reader.select(statement("action_states"), parameters)
        if (seen := known.get(row["action_id"])) is None or tuple(row)[1:] != seen.state
    ]
    found = _actions_by_id(reader, changed)
    return [found[each] for each in changed if each in found]


def load_spec(reader: StoreReader, digest: bytes | None) -> TaskSpec | None:
    """The spec of that digest; it is shared, so nobody changes it."""
    if digest is None:
        return None
    rows = reader.select(statement("task_spec"), (digest,))
    return _parsed_spec(rows[0]["spec"]) if rows else None


@lru_cache(maxsize=512)
def _parsed_spec(data: bytes) -> TaskSpec:
    return TaskSpec.FromString(data)


def _actions_by_id(reader: StoreReader, ids: list[int]) -> dict[int, ListedAction]:
    query = Query(
        key="action.action_id",
        sort="action.action_id",
        conditions=["action.action_id IN (SELECT value FROM json_each(:ids))"],
        parameters={"ids": json.dumps(ids)},
        limit=_ALL,
    )
    rows = reader.select(query.filled("page_of_actions"), query.values())
    return {row["action_id"]: ListedAction.from_row(row) for row in rows}


def _listed_run(reader: StoreReader, row: sqlite3.Row, root: ListedAction | None) -> ListedRun:
    return ListedRun(
        run=stored_run(row),
        root=root,
        spec=load_spec(reader, root.spec_digest if root else None),
        run_spec=RunSpec.FromString(row["run_spec"] or b""),
        source=row["source"] or 0,
        created_by=row["created_by"] or "",
        trigger_name=row["trigger_name"],
        base_dir=row["base_dir"],
        abort_reason=row["abort_reason"],
        aborted_by=row["aborted_by"],
    )
