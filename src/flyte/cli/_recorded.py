"""Opening what is recorded of runs: in the store of this machine, or by the control plane that is configured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from flyte.cli._errors import CommandError

if TYPE_CHECKING:
    from flyte._store.reader import StoreReader
    from flyte._store.records import ErrorRecord, StoredAction, StoredRun
    from flyte.cli._plane_records import PlaneRecords

Records: TypeAlias = "StoreReader | PlaneRecords"
"""What the views of runs read."""


@contextmanager
def open_store() -> Iterator[StoreReader | None]:
    """The store; None where nothing was ever recorded, and nothing is created then.

    Raises:
        CommandError: an option names a control plane.
        RunNotFoundError: inside, a run or action that was named is not there.
    """
    from flyte._store.database import DATABASE_FILE
    from flyte._store.reader import StoreReader
    from flyte.cli._plane import refuse_endpoint
    from flyte.config import home

    refuse_endpoint()
    if not (home() / DATABASE_FILE).exists():
        yield None
        return
    with StoreReader(home()) as reader:
        yield reader


@contextmanager
def open_run(name: str) -> Iterator[tuple[StoreReader, StoredRun]]:
    """The store and one of its runs.

    Raises:
        CommandError: nothing was ever recorded.
        RunNotFoundError: there is no run of that name.
    """
    with open_store() as store:
        if store is None:
            raise CommandError(f"there is no run {name!r}: {nothing_recorded()}")
        yield store, store.load_run(name)


@contextmanager
def open_records(*, filters_place: bool = False) -> Iterator[Records | None]:
    """What is recorded: by the control plane that is configured, else in the store, as `open_store` opens it.

    Args:
        filters_place: The command knows what to do with a project and a domain in the store, too.

    Raises:
        CommandError: it names a project or domain, which only a control plane knows.
    """
    from flyte.cli._plane import connect, is_configured, refuse_place

    if is_configured():
        from flyte.cli._plane_records import PlaneRecords

        connect()
        yield PlaneRecords()
        return
    if not filters_place:
        refuse_place()
    with open_store() as store:
        yield store


@contextmanager
def open_recorded(name: str) -> Iterator[tuple[Records, StoredRun]]:
    """What is recorded, and one of the runs; as `open_records` and `open_run`.

    Raises:
        CommandError: nothing was ever recorded.
        RunNotFoundError: there is no run of that name.
    """
    with open_records() as records:
        if records is None:
            raise CommandError(f"there is no run {name!r}: {nothing_recorded()}")
        yield records, records.load_run(name)


def load_payload(records: Records, run: StoredRun, action: StoredAction, side: str) -> bytes | None:
    """The action's serialized `inputs` or `outputs`, also where a served run keeps them outside the home folder.

    Raises:
        StorageError: they are there, and cannot be read.
    """
    payload = records.load_inputs(action) if side == "inputs" else records.load_outputs(action)
    if payload is not None:
        return payload
    from flyte._store.listing import LOCAL
    from flyte._store.reader import StoreReader

    if run.mode == LOCAL or not isinstance(records, StoreReader):
        return None
    from flyte.cli._served_files import served_payload

    return served_payload(records, run, action, side)


def nothing_recorded() -> str:
    """That there is no store, and where it would be."""
    from flyte.config import home

    return f"no run was recorded in {home()} yet."


def times_document(created_at: datetime, ended_at: datetime | None) -> dict[str, Any]:
    """When something began, ended, and how long it took; as JSON, in UTC."""
    return {
        "created_at": created_at.isoformat(),
        "ended_at": ended_at.isoformat() if ended_at else None,
        "duration_s": round((ended_at - created_at).total_seconds(), 6) if ended_at else None,
    }


def error_document(error: ErrorRecord | None) -> dict[str, Any] | None:
    """Why an action failed, as JSON."""
    if error is None:
        return None
    return {"code": error.code, "message": error.message, "kind": error.kind, "traceback": error.traceback}


def one_line(text: str, limit: int) -> str:
    """The text without line ends, cut where it is longer than `limit`."""
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
