"""Opening the store of this machine, for commands that only read it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from flyte.cli._errors import CommandError

if TYPE_CHECKING:
    from flyte._store.reader import StoreReader
    from flyte._store.records import ErrorRecord, StoredRun


@contextmanager
def open_store() -> Iterator[StoreReader | None]:
    """The store; None where nothing was ever recorded, and nothing is created then.

    Raises:
        CommandError: inside, a run or action that was named is not there.
    """
    from flyte._store.database import DATABASE_FILE
    from flyte._store.reader import StoreReader
    from flyte.config import home

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
