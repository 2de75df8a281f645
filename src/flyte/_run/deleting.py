"""Deleting runs with everything they left in the store and in their folders."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flyte._controller.local_run import RUNS_FOLDER
from flyte._engine.retention import RunAge
from flyte._store.data_holders import RAW_FOLDER, ReadPayloads, entries_of, held_entries
from flyte._store.database import DATABASE_FILE, connect, store_errors
from flyte._store.deletion import (
    bury,
    delete_unheld_data,
    delete_unused_cache_files,
    finish,
    give_space_back,
    unfinished,
)
from flyte._store.reader import StoreReader
from flyte._store.records import StoredRun
from flyte._store.served import EXTERNAL, SERVED
from flyte._store.writer import Writer
from flyte.errors import RuntimeUserError


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a deletion did.

    Attributes:
        store_bytes: By how much the database got smaller.
        is_finished: False when it was cut short; the next deletion goes on.
    """

    runs: int
    actions: int
    store_bytes: int
    is_finished: bool = True


@dataclass(frozen=True, slots=True)
class DataPlan:
    """What a deletion would do with the data of runs.

    Attributes:
        entries: How many stored values would go.
        size_bytes: How large they are.
        kept: Where those are that stay, since a cached result or another run refers to them.
        left_alone: Raw data paths that somebody chose: nothing is ever deleted there.
    """

    entries: int
    size_bytes: int
    kept: tuple[str, ...]
    left_alone: tuple[str, ...]


def plan_data(home: Path, runs: Sequence[StoredRun]) -> DataPlan:
    """What deleting these runs would do with their data; nothing is changed."""
    run_ids = {run.run_id for run in runs}
    count = size = 0
    kept: list[str] = []
    chosen = {path for run in runs if (path := run.settings.get("raw_data_path"))}
    path = home / DATABASE_FILE
    connection = connect(path, read_only=True)
    try:
        with store_errors(path):
            for run in runs:
                folder = f"{RUNS_FOLDER}/{run.name}"
                held = held_entries(connection, home, folder, run_ids)
                raw = home / folder / RAW_FOLDER
                kept += [str(raw / entry) for entry in sorted(held)]
                for entry in entries_of(home, folder) - held:
                    count += 1
                    size += _size_of(raw / entry)
    finally:
        connection.close()
    return DataPlan(count, size, tuple(kept), tuple(sorted(chosen)))


def _size_of(path: Path) -> int:
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(each.stat().st_size for each in files)


def run_ages(reader: StoreReader) -> list[RunAge]:
    """All runs as retention sees them, newest first."""
    return [RunAge(run_id, ended_us) for run_id, _, ended_us in reader.list_run_ages()]


def check_deletable(run: StoredRun) -> None:
    """Nothing, when nobody executes the run, or will go on with it.

    Raises:
        RuntimeUserError: code `RunIsOwned`.
    """
    if not run.phase.is_terminal and run.mode in (SERVED, EXTERNAL):
        raise RuntimeUserError(
            "RunIsOwned",
            f"run {run.name!r} of the control plane is {run.phase.value}: wait for it, or end it with "
            f"`flyte abort run {run.name}`. A control plane that has stopped goes on with it when it is started again.",
        )
    if not run.phase.is_terminal and not run.is_interrupted:
        raise RuntimeUserError(
            "RunIsOwned",
            f"run {run.name!r} is being executed by process {run.owner.pid} on {run.owner.host}: wait for it, or end "
            f"it with `flyte abort run {run.name}`.",
        )


def delete_runs(home: Path, runs: Iterable[StoredRun], within_s: float | None = None) -> Deleted:
    """The runs are gone, except those that somebody resumed since they were looked at; so is what was left of others.

    Args:
        home: Of the store.
        runs: As they were read.
        within_s: Start on no further run after so many seconds.

    Raises:
        RuntimeUserError: code `RunIsOwned`, one of them is being executed; those before it are gone.
    """
    give_up_at = None if within_s is None else time.monotonic() + within_s

    def is_late() -> bool:
        return give_up_at is not None and time.monotonic() > give_up_at

    count = actions = 0
    # Its own, not that of a run that goes on: what waits for this thread must not wait for a deletion.
    writer, payloads = Writer(home), ReadPayloads(home)
    try:
        for run in runs:
            if is_late():
                return Deleted(count, actions, 0, is_finished=False)
            check_deletable(run)
            count += bool(writer.write(bury(run, f"{RUNS_FOLDER}/{run.name}")))
            actions += _finish_all(writer, payloads)
        actions += _finish_all(writer, payloads)
        writer.write(delete_unused_cache_files(home))
        writer.write(delete_unheld_data(home, payloads))
        return Deleted(count, actions, give_space_back(writer))
    finally:
        writer.close()


def _finish_all(writer: Writer, payloads: ReadPayloads) -> int:
    return sum(finish(writer, grave, payloads) for grave in unfinished(writer.home))
