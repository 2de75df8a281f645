"""Many rows in one statement.

SQLite lets go of the interpreter lock for as long as a statement runs, so with many rows in each the loop that makes
them and the thread that records them really run side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any

from flyte._store.statements import statement

_ROWS_PER_STATEMENT = (512, 64, 8, 1)
"""Few sizes, so that few statements are compiled; the largest stays under SQLite's 32,766 parameters."""

Row = tuple[Any, ...]


def in_bulk(name: str, rows: Sequence[Row]) -> Iterator[tuple[str, Row, Sequence[Row]]]:
    """The rows in order, cut up for a statement with `{rows}` in it: its text, its parameters, the rows it is about."""
    start = 0
    for size in _ROWS_PER_STATEMENT:
        while len(rows) - start >= size:
            chunk = rows[start : start + size]
            yield _statement_of(name, size, len(chunk[0])), tuple(chain.from_iterable(chunk)), chunk
            start += size


@cache
def _statement_of(name: str, row_count: int, column_count: int) -> str:
    row = f"({', '.join('?' * column_count)})"
    return statement(name).replace("{rows}", ", ".join([row] * row_count))
