"""How much of what this server was asked for has not ended, as the store says."""

from __future__ import annotations

import sqlite3
from collections import Counter

from flyte._server.metrics import OpenWork
from flyte._store.reader import StoreReader
from flyte._store.records import ActionKind
from flyte._store.statements import statement
from flyte.models import ActionPhase

_WITH_PROCESS = (ActionPhase.INITIALIZING, ActionPhase.RUNNING)


def open_work(reader: StoreReader) -> OpenWork:
    """It, by phase."""
    runs = {_name(row["phase"]): row["count"] for row in _rows(reader, "open_runs_by_phase")}
    actions: Counter[str] = Counter()
    attempts = 0
    for row in _rows(reader, "open_actions_by_phase"):
        actions[_name(row["phase"])] += row["count"]
        if row["kind"] == ActionKind.TASK and ActionPhase.from_protobuf(row["phase"]) in _WITH_PROCESS:
            attempts += row["count"]
    return OpenWork(runs, actions, attempts)


def _rows(reader: StoreReader, name: str) -> list[sqlite3.Row]:
    return reader.ask(lambda connection: connection.execute(statement(name)).fetchall())


def _name(phase: int) -> str:
    return ActionPhase.from_protobuf(phase).value
