"""Deployed tasks: each version of each stays as it was deployed."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from hashlib import sha256

from flyteidl2.task.task_definition_pb2 import TaskSpec

from flyte._store.queries import Page, Query, page_of
from flyte._store.reader import StoreReader
from flyte._store.statements import statement
from flyte._store.writer import Change


@dataclass(frozen=True, slots=True)
class TaskKey:
    """The full name of a task in the store; an empty version is the latest."""

    project: str
    domain: str
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class DeployedTask:
    """A version of a task as it is listed."""

    task_id: int
    key: TaskKey
    deployed_by: str
    deployed_us: int
    short_name: str
    environment_name: str
    short_description: str

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> DeployedTask:
        """The task in a row of `deployed_task`."""
        return cls(
            task_id=row["task_id"],
            key=TaskKey(row["project"], row["domain"], row["name"], row["version"]),
            deployed_by=row["deployed_by"],
            deployed_us=row["deployed_us"],
            short_name=row["short_name"],
            environment_name=row["environment_name"],
            short_description=row["short_description"],
        )


def deploy_task(key: TaskKey, spec: TaskSpec, deployed_by: str, now_us: int) -> Change:
    """A change by which the version is there; its result tells whether it has that spec, which it may have had."""
    data = spec.SerializeToString(deterministic=True)
    digest = sha256(data).digest()
    place = (key.project, key.domain, key.name, key.version)
    row = (
        *place,
        *(digest, deployed_by, now_us, spec.short_name, spec.environment.name),
        *(spec.documentation.short_description, spec.task_template.metadata.is_entrypoint),
    )

    def change(connection: sqlite3.Connection) -> bool:
        connection.execute(statement("put_task_spec"), (digest, data))
        if connection.execute(statement("deploy_task"), row).rowcount == 1:
            return True
        return bool(connection.execute(statement("deployed_digest"), place).fetchone()[0] == digest)

    return change


def find_task(reader: StoreReader, key: TaskKey) -> tuple[DeployedTask, TaskSpec] | None:
    """The version of that name, or the latest, with its spec."""
    rows = reader.select(statement("deployed_task"), (key.project, key.domain, key.name, key.version))
    return (DeployedTask.from_row(rows[0]), TaskSpec.FromString(rows[0]["spec"])) if rows else None


def list_tasks(reader: StoreReader, query: Query) -> tuple[list[DeployedTask], Page]:
    """One page of versions of tasks."""
    page = page_of(reader, "page_of_tasks", query, "task_id")
    return [DeployedTask.from_row(row) for row in page.rows], page


def count_tasks(reader: StoreReader, query: Query) -> int:
    """How many versions meet the conditions of a query, on all its pages."""
    whole = Query(key=query.key, sort=query.sort, conditions=query.conditions, parameters=query.parameters)
    rows = reader.select(whole.filled("count_tasks"), whole.values())
    return int(rows[0][0])
