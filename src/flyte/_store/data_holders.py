"""Who holds data in the folder of a run: records and cached results that name it, read when something is to be deleted.

What a run stores is below `<run folder>/raw`, each value in an entry of its own there. An entry goes with its run,
unless a cached result or another run names it, or an entry that is held does.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from flyte._store.payloads import load_payload
from flyte._store.statements import statement
from flyte.errors import StoreError

RAW_FOLDER = "raw"
"""Where data goes that tasks store, in the folder of their run."""

_HEX = re.compile(r"[0-9a-f]{32}")


def entries_of(home: Path, run_folder: str) -> set[str]:
    """The names of what a run stored, in its folder for that."""
    try:
        return {path.name for path in (home / run_folder / RAW_FOLDER).iterdir()}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def held_entries(
    connection: sqlite3.Connection, home: Path, run_folder: str, without_runs: Collection[int] = ()
) -> set[str]:
    """The entries of a run that somebody else holds.

    Args:
        connection: To the store.
        home: Of the store.
        run_folder: Of the run, relative to the home.
        without_runs: Runs that hold nothing, since they are deleted too; the run itself is one of them.
    """
    entries = entries_of(home, run_folder)
    if not entries:
        return set()
    # Without the home: records name it as it was called then, and it may have moved or be reached by a link.
    prefix = f"/{run_folder}/{RAW_FOLDER}/".encode()
    held: set[str] = set()
    for payload in _payloads(connection, home, prefix, set(without_runs)):
        held |= _named_in(payload, prefix, entries - held)
    waiting = list(held)
    while waiting:
        folder = home / run_folder / RAW_FOLDER / waiting.pop()
        for payload in _values_in(folder):
            found = _named_in(payload, prefix, entries - held)
            held |= found
            waiting += found
    return held


def _payloads(connection: sqlite3.Connection, home: Path, prefix: bytes, without_runs: set[int]) -> Iterator[bytes]:
    """Recorded inputs and outputs, and cached outputs, that may name data below `prefix`."""
    for run_id, inline, file in connection.execute(statement("payloads_that_may_name"), {"prefix": prefix}):
        if run_id in without_runs:
            continue
        with suppress(StoreError):
            # A payload whose file is lost names nothing any more.
            yield load_payload(home, inline, file) or b""


def _named_in(payload: bytes, prefix: bytes, entries: set[str]) -> set[str]:
    if prefix not in payload:
        return set()
    following = re.findall(re.escape(prefix) + rb"([0-9a-f]{32})", payload)
    named = {name.decode() for name in following} & entries
    odd = {entry for entry in entries if _HEX.fullmatch(entry) is None}
    return named | {entry for entry in odd if prefix + entry.encode("utf-8", "surrogateescape") in payload}


def _values_in(entry: Path) -> Iterator[bytes]:
    """The pickles and offloaded literals in an entry: what may name further data."""
    for here, _, files in os.walk(entry):
        for name in files:
            if name == "literal.pb" or _HEX.fullmatch(name):
                with suppress(OSError):
                    yield Path(here, name).read_bytes()
