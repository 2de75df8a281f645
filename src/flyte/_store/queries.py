"""Pages of a listing: filtered, sorted, and gone on with after the last row, however many are added meanwhile."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flyte._store.reader import StoreReader
from flyte._store.statements import statement

Position = tuple[Any, int]
"""Where a page ends: the value that it is sorted by, and the key of the row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to list.

    Attributes:
        conditions: SQL that all hold for a row. Text of a request is in `parameters`, never in here.
        key: The column that tells rows apart and that equal values are sorted by.
        sort: An expression that is never NULL; the key itself sorts by the order in which rows were made.
        after: The page starts after that row.
        limit: Most rows of the page.
    """

    key: str
    sort: str
    is_descending: bool = True
    conditions: Sequence[str] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    after: Position | None = None
    limit: int = 100

    def filled(self, name: str) -> str:
        """The text of a statement with `{where}`, `{sort}` and `{order}` in it."""
        direction = "DESC" if self.is_descending else "ASC"
        order = f"{self.key} {direction}"
        if self.sort != self.key:
            order = f"{self.sort} {direction}, {order}"
        where = " AND ".join(f"({each})" for each in self._all_conditions()) or "TRUE"
        return statement(name).replace("{where}", where).replace("{sort}", self.sort).replace("{order}", order)

    def values(self) -> dict[str, Any]:
        """The parameters of that statement."""
        values = {**self.parameters, "limit": self.limit}
        if self.after is not None:
            values["after_value"], values["after_key"] = self.after
        return values

    def _all_conditions(self) -> list[str]:
        conditions = list(self.conditions)
        if self.after is not None:
            comparison = "<" if self.is_descending else ">"
            if self.sort == self.key:
                conditions.append(f"{self.key} {comparison} :after_key")
            else:
                conditions.append(f"({self.sort}, {self.key}) {comparison} (:after_value, :after_key)")
        return conditions


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a listing; `next` is where the next page starts, None on the last one."""

    rows: list[sqlite3.Row]
    next: Position | None


def page_of(reader: StoreReader, name: str, query: Query, key_column: str) -> Page:
    """One page of the statement of that name, whose columns have `key_column` and `sort_value`.

    Raises:
        StoreError: the store cannot be read.
    """
    values = query.values()
    values["limit"] = query.limit + 1
    rows = reader.select(query.filled(name), values)
    if len(rows) <= query.limit:
        return Page(rows, None)
    rows = rows[: query.limit]
    return Page(rows, (rows[-1]["sort_value"], rows[-1][key_column]))
