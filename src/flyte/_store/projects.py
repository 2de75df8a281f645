"""Projects."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from flyte._store.queries import Page, Query, page_of
from flyte._store.reader import StoreReader
from flyte._store.statements import statement
from flyte._store.writer import Change


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredProject:
    """A project; `state` is a `project.ProjectState`."""

    name: str
    display_name: str
    description: str
    labels: Mapping[str, str]
    state: int

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> StoredProject:
        """The project in a row of the table."""
        return cls(
            name=row["name"],
            display_name=row["display_name"],
            description=row["description"],
            labels=json.loads(row["labels"]),
            state=row["state"],
        )


def create_project(project: StoredProject, now_us: int) -> Change:
    """A change by which there is a project of that name; its result tells whether there was none before."""
    row = (project.name, project.display_name, project.description, json.dumps(dict(project.labels)), project.state)

    def change(connection: sqlite3.Connection) -> bool:
        return connection.execute(statement("put_project"), (*row, now_us, now_us)).rowcount == 1

    return change


def update_project(project: StoredProject, now_us: int) -> Change:
    """A change by which the project of that name is so; its result tells whether there is one."""
    row = (project.display_name, project.description, json.dumps(dict(project.labels)), project.state)

    def change(connection: sqlite3.Connection) -> bool:
        return connection.execute(statement("update_project"), (*row, now_us, project.name)).rowcount == 1

    return change


def find_project(reader: StoreReader, name: str) -> StoredProject | None:
    """The project of that name."""
    rows = reader.select(statement("project"), (name,))
    return StoredProject.from_row(rows[0]) if rows else None


def list_projects(reader: StoreReader, query: Query) -> tuple[list[StoredProject], Page]:
    """One page of projects."""
    page = page_of(reader, "page_of_projects", query, "serial")
    return [StoredProject.from_row(row) for row in page.rows], page
