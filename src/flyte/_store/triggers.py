"""Triggers of tasks, with all that was changed of each."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from flyteidl2.task.common_pb2 import TriggerAutomationSpec
from flyteidl2.trigger.trigger_definition_pb2 import TriggerSpec

from flyte._store.queries import Page, Query, page_of
from flyte._store.reader import StoreReader
from flyte._store.statements import statement
from flyte._store.writer import Change

DEPLOYED, ACTIVATED, DEACTIVATED, DELETED = 1, 2, 3, 4
"""The numbers of `trigger.TriggerRevisionAction`."""


@dataclass(frozen=True, slots=True)
class TriggerKey:
    """The full name of a trigger."""

    project: str
    domain: str
    task_name: str
    name: str

    def row(self) -> tuple[str, ...]:
        """The columns of its name."""
        return self.project, self.domain, self.task_name, self.name


@dataclass(frozen=True, slots=True)
class StoredTrigger:
    """A trigger as read back."""

    trigger_id: int
    key: TriggerKey
    revision: int
    task_version: str
    spec: TriggerSpec
    automation: TriggerAutomationSpec
    is_active: bool
    deployed_by: str
    updated_by: str
    deployed_us: int
    updated_us: int
    triggered_us: int | None
    deleted_us: int | None

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> StoredTrigger:
        """The trigger in a row of `task_trigger`."""
        return cls(
            trigger_id=row["trigger_id"],
            key=TriggerKey(row["project"], row["domain"], row["task_name"], row["name"]),
            revision=row["revision"],
            task_version=row["task_version"],
            spec=TriggerSpec.FromString(row["spec"]),
            automation=TriggerAutomationSpec.FromString(row["automation"]),
            is_active=bool(row["is_active"]),
            deployed_by=row["deployed_by"],
            updated_by=row["updated_by"],
            deployed_us=row["deployed_us"],
            updated_us=row["updated_us"],
            triggered_us=row["triggered_us"],
            deleted_us=row["deleted_us"],
        )


Describe = Callable[[StoredTrigger], bytes]
"""What a revision keeps of the trigger: its serialized `trigger.TriggerDetails`."""


@dataclass(frozen=True, slots=True)
class Switching:
    """A change of a trigger that is there.

    Attributes:
        kind: `ACTIVATED`, `DEACTIVATED` or `DELETED`.
    """

    kind: int
    by: str
    now_us: int
    describe: Describe


@dataclass(frozen=True, slots=True)
class NewTrigger:
    """A trigger as it is deployed.

    Attributes:
        expected_revision: That of the trigger that it takes the place of; 0 for whatever is there.
    """

    key: TriggerKey
    spec: TriggerSpec
    automation: TriggerAutomationSpec
    expected_revision: int
    by: str
    now_us: int
    describe: Describe


def deploy_trigger(new: NewTrigger) -> Change:
    """A change by which the trigger is so; its result is the trigger, or the revision that was there instead."""
    parameters = {
        "project": new.key.project,
        "domain": new.key.domain,
        "task_name": new.key.task_name,
        "name": new.key.name,
        "task_version": new.spec.task_version,
        "spec": new.spec.SerializeToString(deterministic=True),
        "automation": new.automation.SerializeToString(deterministic=True),
        "is_active": new.spec.active,
        "by": new.by,
        "now_us": new.now_us,
    }

    def change(connection: sqlite3.Connection) -> StoredTrigger | int:
        there = _trigger(connection, new.key)
        revision = there.revision if there is not None else 0
        if new.expected_revision not in (0, revision):
            return revision
        connection.execute(statement("put_trigger"), parameters)
        return _noted(connection, new.key, DEPLOYED, new.now_us, new.describe)

    return change


def switch_triggers(keys: list[TriggerKey], switching: Switching) -> Change:
    """A change by which all of them are active, inactive or deleted; its result is the first that is not there.

    Where one is not there, nothing is changed.
    """
    switch = switching

    def change(connection: sqlite3.Connection) -> TriggerKey | None:
        found: list[StoredTrigger] = []
        for key in keys:
            trigger = _trigger(connection, key)
            if trigger is None or trigger.deleted_us is not None:
                return key
            found.append(trigger)
        for trigger in found:
            if switch.kind == DELETED:
                connection.execute(statement("delete_trigger"), (switch.now_us, switch.by, trigger.trigger_id))
            elif trigger.is_active == (switch.kind == ACTIVATED):
                continue
            else:
                row = (switch.kind == ACTIVATED, switch.by, switch.now_us, trigger.trigger_id)
                connection.execute(statement("switch_trigger"), row)
            _noted(connection, trigger.key, switch.kind, switch.now_us, switch.describe)
        return None

    return change


def _noted(
    connection: sqlite3.Connection, key: TriggerKey, kind: int, now_us: int, describe: Describe
) -> StoredTrigger:
    trigger = _trigger(connection, key)
    assert trigger is not None
    row = (trigger.trigger_id, trigger.revision, kind, describe(trigger), now_us)
    connection.execute(statement("note_trigger_revision"), row)
    return trigger


def _trigger(connection: sqlite3.Connection, key: TriggerKey) -> StoredTrigger | None:
    row = connection.execute(statement("trigger"), key.row()).fetchone()
    return None if row is None else StoredTrigger.from_row(row)


def find_trigger(reader: StoreReader, key: TriggerKey, *, is_there: bool = True) -> StoredTrigger | None:
    """The trigger of that name; a deleted one too where it need not be there any more."""
    rows = reader.select(statement("trigger"), key.row())
    if not rows:
        return None
    trigger = StoredTrigger.from_row(rows[0])
    return None if is_there and trigger.deleted_us is not None else trigger


def triggers_of_task(reader: StoreReader, project: str, domain: str, task_name: str) -> list[StoredTrigger]:
    """Those of a task, by their names."""
    rows = reader.select(statement("triggers_of_task"), (project, domain, task_name))
    return [StoredTrigger.from_row(row) for row in rows]


def list_triggers(reader: StoreReader, query: Query) -> tuple[list[StoredTrigger], Page]:
    """One page of triggers."""
    page = page_of(reader, "page_of_triggers", query, "trigger_id")
    return [StoredTrigger.from_row(row) for row in page.rows], page


def trigger_revision(reader: StoreReader, trigger: StoredTrigger, revision: int) -> bytes | None:
    """The serialized details of a trigger as of a revision."""
    rows = reader.select(statement("trigger_revision"), (trigger.trigger_id, revision))
    return rows[0]["details"] if rows else None


def list_trigger_revisions(reader: StoreReader, query: Query) -> Page:
    """One page of revisions."""
    return page_of(reader, "page_of_trigger_revisions", query, "revision")
