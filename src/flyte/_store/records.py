"""What the store keeps: runs, actions and their payloads, as rows and as objects."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

from flyte.errors import ErrorKind
from flyte.models import ActionPhase

SEQUENCE_BITS = 32

LEASE_US = 60_000_000
"""How long a run counts as owned after its owner last said so."""

LET_GO = 0
"""The lease of a run that its owner has let go of: anyone may resume it, though its process lives."""


class CacheStatus(IntEnum):
    """What the cache did for an action; the numbers of `flyteidl2.core.CatalogCacheStatus`."""

    DISABLED = 0
    MISS = 1
    HIT = 2
    POPULATED = 3
    SKIPPED = 6


class ActionKind(IntEnum):
    """What an action records."""

    TASK = 0
    TRACE = 1
    CONDITION = 2


def action_id(run_id: int, sequence_no: int) -> int:
    """The key of action number `sequence_no` (from 1) of a run."""
    return run_id << SEQUENCE_BITS | sequence_no


def to_datetime(microseconds: int | None) -> datetime | None:
    """A stored time as an aware datetime in UTC."""
    return None if microseconds is None else datetime.fromtimestamp(microseconds / 1_000_000, UTC)


def to_microseconds(moment: datetime) -> int:
    """An aware datetime as the store keeps it."""
    return round(moment.timestamp() * 1_000_000)


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """Why an action failed, as kept in its row."""

    code: str
    kind: ErrorKind
    message: str
    worker: str | None = None
    traceback: str | None = None

    def to_json(self) -> str:
        """The column's text."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps({name: value for name, value in values.items() if value is not None})

    @classmethod
    def from_json(cls, text: str) -> ErrorRecord:
        """The record that `to_json` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that executes a run, told apart from any later process with the same number.

    Attributes:
        started_us: When it started: since the boot where the system tells (Linux), else since 1970.
    """

    host: str
    boot_id: str
    pid: int
    started_us: int


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run as its owner creates it."""

    name: str
    task_name: str
    mode: str
    created_us: int
    owner: Owner
    project: str | None = None
    domain: str | None = None
    org: str | None = None
    version: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    source_file: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def row(self) -> tuple[Any, ...]:
        """The columns of `insert_run`, in its order."""
        owner = self.owner
        return (
            *(self.name, self.project, self.domain, self.org, self.task_name, self.version, self.mode),
            *(ActionPhase.RUNNING.to_protobuf_value(), self.created_us, json.dumps(dict(self.labels))),
            *(owner.host, owner.boot_id, owner.pid, owner.started_us),
            *(self.created_us + LEASE_US, self.source_file, json.dumps(dict(self.settings))),
        )


@dataclass(slots=True, eq=False)
class ActionRecord:
    """One action as its owner holds it in memory: changed as it goes on, written as a row when it must be seen.

    `phase` is the protocol's number. Times are microseconds since 1970.
    """

    action_id: int
    run_id: int
    name: str
    parent_id: int | None
    kind: int
    task_name: str
    group_name: str | None
    phase: int
    attempt_no: int
    created_us: int
    started_us: int | None = None
    ended_us: int | None = None
    inputs: bytes | None = None
    inputs_file: str | None = None
    outputs: bytes | None = None
    outputs_file: str | None = None
    error: str | None = None
    cache_status: int = 0

    @property
    def sequence_no(self) -> int:
        """Its number in the run, from 1."""
        return self.action_id & ((1 << SEQUENCE_BITS) - 1)

    def row(self) -> tuple[Any, ...]:
        """The columns of `record_actions`, in its order."""
        return (
            self.action_id,
            self.run_id,
            self.name,
            self.parent_id,
            self.kind,
            self.task_name,
            self.group_name,
            self.phase,
            self.attempt_no,
            self.created_us,
            self.started_us,
            self.ended_us,
            self.inputs,
            self.inputs_file,
            self.outputs,
            self.outputs_file,
            self.error,
            self.cache_status,
        )

    def reopen(self) -> None:
        """It has not ended: what came of it is in no record."""
        self.phase = ActionPhase.RUNNING.to_protobuf_value()
        self.ended_us = self.outputs = self.outputs_file = self.error = None


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as read back."""

    run_id: int
    name: str
    project: str | None
    domain: str | None
    org: str | None
    task_name: str
    version: str
    mode: str
    phase: ActionPhase
    created_at: datetime
    ended_at: datetime | None
    labels: dict[str, str]
    owner: Owner
    lease_until_us: int
    source_file: str
    settings: dict[str, Any]
    is_interrupted: bool
    """The run is not over, and the process that executed it is gone."""

    @property
    def status(self) -> str:
        """The phase as people read it: its value, or `interrupted`."""
        return "interrupted" if self.is_interrupted else self.phase.value


@dataclass(frozen=True, slots=True)
class StoredAction:
    """An action as read back, its payloads as serialized messages or as the path of the file that holds them."""

    action_id: int
    name: str
    parent_name: str | None
    kind: ActionKind
    task_name: str
    group_name: str | None
    phase: ActionPhase
    attempt_no: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    inputs: bytes | None
    inputs_file: str | None
    outputs: bytes | None
    outputs_file: str | None
    error: ErrorRecord | None
    cache_status: CacheStatus

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> StoredAction:
        """The action in a row of `list_actions`."""
        return cls(
            action_id=row["action_id"],
            name=row["name"],
            parent_name=row["parent_name"],
            kind=ActionKind(row["kind"]),
            task_name=row["task_name"],
            group_name=row["group_name"],
            phase=ActionPhase.from_protobuf(row["phase"]),
            attempt_no=row["attempt_no"],
            created_at=datetime.fromtimestamp(row["created_us"] / 1_000_000, UTC),
            started_at=to_datetime(row["started_us"]),
            ended_at=to_datetime(row["ended_us"]),
            inputs=row["inputs"],
            inputs_file=row["inputs_file"],
            outputs=row["outputs"],
            outputs_file=row["outputs_file"],
            error=None if row["error"] is None else ErrorRecord.from_json(row["error"]),
            cache_status=CacheStatus(row["cache_status"]),
        )


@dataclass(frozen=True, slots=True)
class StoredAttempt:
    """One attempt at an action as read back."""

    attempt_no: int
    phase: ActionPhase
    started_at: datetime | None
    ended_at: datetime | None
    error: ErrorRecord | None

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> StoredAttempt:
        """The attempt in a row of `list_attempts`."""
        return cls(
            attempt_no=row["attempt_no"],
            phase=ActionPhase.from_protobuf(row["phase"]),
            started_at=to_datetime(row["started_us"]),
            ended_at=to_datetime(row["ended_us"]),
            error=None if row["error"] is None else ErrorRecord.from_json(row["error"]),
        )
