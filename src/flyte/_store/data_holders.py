"""Who holds data in the folder of a run: records and cached results that name it, read when something is to be deleted.

What a run stores is below `<run folder>/raw`, each value in an entry of its own there. An entry goes with its run,
unless a cached result or another run names it, or an entry that is held does.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from flyte._store.payloads import load_payload
from flyte._store.statements import statement
from flyte.errors import StoreError

RAW_FOLDER = "raw"
"""Where data goes that tasks store, in the folder of their run."""

_FOLDERS = re.compile(rb"/(runs/[^/]+)/raw/")
_NONE: frozenset[bytes] = frozenset()
_HEX = re.compile(r"[0-9a-f]{32}")


def entries_of(home: Path, run_folder: str) -> set[str]:
    """The names of what a run stored, in its folder for that."""
    try:
        return {path.name for path in (home / run_folder / RAW_FOLDER).iterdir()}
    except (FileNotFoundError, NotADirectoryError):
        return set()


class ReadPayloads:
    """Whose data the payloads in files of runs that are over name: read beforehand, so that nobody waits for that.

    Such files never change. Those of a run that goes on may be written anew under their names.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._named: dict[str, frozenset[bytes]] = {}

    def read(self, connection: sqlite3.Connection) -> None:
        """Those that are there by now and were not read yet."""
        for (file,) in connection.execute(statement("payload_files_of_ended_runs")):
            if file not in self._named:
                with suppress(StoreError):
                    payload = load_payload(self._home, None, file) or b""
                    self._named[file] = frozenset(_FOLDERS.findall(payload)) or _NONE

    def is_beside(self, file: str | None, run_folder: str) -> bool:
        """Whether a payload was read, and names nothing of that run."""
        named = None if file is None else self._named.get(file)
        return named is not None and run_folder.encode() not in named


def held_entries(
    connection: sqlite3.Connection,
    home: Path,
    run_folder: str,
    without_runs: Collection[int] = (),
    beforehand: ReadPayloads | None = None,
) -> set[str]:
    """The entries of a run that somebody else holds.

    Args:
        connection: To the store.
        home: Of the store.
        run_folder: Of the run, relative to the home.
        without_runs: Runs that hold nothing, since they are deleted too; the run itself is one of them.
        beforehand: Payloads that need not be read again.
    """
    entries = entries_of(home, run_folder)
    if not entries:
        return set()
    # Without the home: records name it as it was called then, and it may have moved or be reached by a link.
    prefix = f"/{run_folder}/{RAW_FOLDER}/".encode()
    held: set[str] = set()
    rows = connection.execute(statement("payloads_that_may_name"), {"prefix": prefix})
    files = (
        (inline, file)
        for run_id, inline, file in rows
        if run_id not in without_runs and not (beforehand is not None and beforehand.is_beside(file, run_folder))
    )
    for payload in _payloads(home, files):
        held |= _named_in(payload, prefix, entries - held)
    waiting = list(held)
    while waiting:
        folder = home / run_folder / RAW_FOLDER / waiting.pop()
        for payload in _values_in(folder):
            found = _named_in(payload, prefix, entries - held)
            held |= found
            waiting += found
    return held


def _payloads(home: Path, columns: Iterable[tuple[bytes | None, str | None]]) -> Iterator[bytes]:
    for inline, file in columns:
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
