"""What nothing in the store refers to any more: specs of tasks, and files that clients have sent."""

from __future__ import annotations

import os
import re
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

from flyte._store.payloads import load_payload
from flyte._store.statements import statement
from flyte._store.writer import Change
from flyte.errors import StoreError

UPLOADS_FOLDER = "uploads"
"""Where the files of clients are, in folders `PROJECT/DOMAIN/NAME` below the home."""

_SPECS_AT_ONCE = 500
_NAMING = re.compile(r"literal\.pb|[0-9a-f]{32}")
"""Stored values that may name others: offloaded literals and pickles."""


def orphaned_specs(connection: sqlite3.Connection) -> list[bytes]:
    """Digests of specs that no action and no deployed task has; some of them where there are very many."""
    return [row[0] for row in connection.execute(statement("orphaned_specs"), (_SPECS_AT_ONCE,)) if row[0] is not None]


def delete_specs(digests: Collection[bytes]) -> Change:
    """A change by which those specs are gone, but for those of deployed tasks; its result is how many went."""

    def change(connection: sqlite3.Connection) -> int:
        return connection.executemany(statement("delete_orphaned_spec"), [(each,) for each in digests]).rowcount

    return change


def all_specs(connection: sqlite3.Connection) -> Iterator[bytes]:
    """The specs of all tasks."""
    for row in connection.execute(statement("all_specs")):
        yield row[0]


def unnamed_uploads(
    connection: sqlite3.Connection, home: Path, uploads: Collection[str], give_up: Callable[[], bool] = lambda: False
) -> set[str]:
    """Those of some uploads that no run, cached result, task or trigger names, nor a value that a run has stored.

    Args:
        connection: To the store.
        home: Of the store.
        uploads: Their folders, as `PROJECT/DOMAIN/NAME`.
        give_up: Asked now and then; where it says so, none of them is known to be unnamed.
    """
    left = _Left(uploads)
    for naming in (_recorded(connection, home), _stored(home)):
        for data in naming:
            if not left.names or give_up():
                return set()
            left.cross_out(data)
    return left.names


class _Left:
    """The uploads that nothing seen so far has named."""

    def __init__(self, uploads: Collection[str]) -> None:
        self.names = set(uploads)
        self._by_place: defaultdict[bytes, set[bytes]] = defaultdict(set)
        for each in uploads:
            place, _, name = os.fsencode(each).rpartition(b"/")
            self._by_place[place].add(name)
        # Without the home: records name it as it was called then, and it may have moved or be reached by a link.
        self._places = [
            (place, re.compile(re.escape(b"%s/%s/" % (UPLOADS_FOLDER.encode(), place)))) for place in self._by_place
        ]

    def cross_out(self, data: bytes) -> None:
        """What is named here is not left. Nothing says where a name ends, so that all that begin so count."""
        for place, pattern in self._places:
            names = self._by_place[place]
            lengths = sorted({len(name) for name in names})
            for match in pattern.finditer(data):
                for length in lengths:
                    name = data[match.end() : match.end() + length]
                    if name in names:
                        self.names.discard(os.fsdecode(place + b"/" + name))


def _recorded(connection: sqlite3.Connection, home: Path) -> Iterator[bytes]:
    prefix = {"prefix": f"/{UPLOADS_FOLDER}/".encode()}
    for row in connection.execute(statement("messages_that_may_name"), prefix):
        yield row[0]
    for _, inline, file in connection.execute(statement("payloads_that_may_name"), prefix):
        if file is not None:
            yield os.fsencode(file)
        with suppress(StoreError):
            # A payload whose file is lost names nothing any more.
            yield load_payload(home, inline, file) or b""


def _stored(home: Path) -> Iterator[bytes]:
    for folder in (home / "runs", home / "cache"):
        for here, _, files in os.walk(folder):
            for name in files:
                if _NAMING.fullmatch(name):
                    with suppress(OSError):
                        yield Path(here, name).read_bytes()
