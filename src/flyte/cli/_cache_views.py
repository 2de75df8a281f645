"""`flyte get cache` and `flyte delete cache`: results kept for later calls."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flyte._store.cache import CacheReader, EntryFilter, ListedEntry, delete_entries
from flyte._store.database import DATABASE_FILE
from flyte._store.deletion import delete_unheld_data, delete_unused_cache_files, give_space_back
from flyte._store.records import to_datetime
from flyte._store.writer import Writer
from flyte.cli._documents import Column, print_document, print_table
from flyte.cli._invocation import OutputFormat
from flyte.cli._moments import show_count, show_duration
from flyte.cli._plane import refuse_endpoint
from flyte.cli._terminal import confirm_deletion, note
from flyte.config import home

SHORT_VERSION = 12
"""Characters of a version that tables show; enough to tell versions of one task apart."""


@contextmanager
def open_cache() -> Iterator[CacheReader | None]:
    """The kept results; None where nothing was ever recorded, and nothing is created then.

    Raises:
        CommandError: an option names a control plane.
    """
    refuse_endpoint()
    if not (home() / DATABASE_FILE).exists():
        yield None
        return
    with CacheReader(home()) as reader:
        yield reader


def show_kept(task_name: str | None, limit: int, output: OutputFormat) -> None:
    """The kept results, newest first, as a table or a JSON list; how many more there are, on stderr."""
    wanted = EntryFilter(task_name)
    with open_cache() as cache:
        entries = cache.list_entries(wanted, limit) if cache else []
        counts = cache.count_entries(EntryFilter()) if cache else {}
    if output.is_document:
        print_document([_document(entry) for entry in entries], output)
    elif entries:
        columns = [
            Column("Task"),
            Column("Version", is_kept_whole=True),
            Column("Age", is_number=True),
            Column("Size", is_number=True),
            Column("Run", is_kept_whole=True),
            Column("Action", is_kept_whole=True),
        ]
        print_table(columns, [_row(entry) for entry in entries], output)
    if not entries:
        note(_nothing_kept(task_name, counts))
    total = counts.get(task_name, 0) if task_name else sum(counts.values())
    if len(entries) < total:
        note(f"{len(entries):,} of {show_count(total, 'result')}: --limit shows more.")


def _nothing_kept(task_name: str | None, counts: dict[str, int]) -> str:
    if not counts:
        return 'No result is kept: tasks keep theirs with `cache="auto"`.'
    from difflib import get_close_matches

    near = get_close_matches(task_name or "", counts, n=1)
    return f"No result of task {task_name!r} is kept." + (f" Did you mean {near[0]}?" if near else "")


def _row(entry: ListedEntry) -> list[str]:
    age_s = max(time.time() - entry.created_us / 1e6, 0)
    return [
        entry.task_name,
        entry.version[:SHORT_VERSION],
        show_duration(age_s),
        show_size(entry.size_bytes),
        entry.run_name,
        entry.action_name,
    ]


def _document(entry: ListedEntry) -> dict[str, Any]:
    created_at = to_datetime(entry.created_us)
    return {
        "task": entry.task_name,
        "version": entry.version,
        "key": entry.cache_key,
        "created_at": created_at.isoformat() if created_at else None,
        "size_bytes": entry.size_bytes,
        "run": entry.run_name,
        "action": entry.action_name,
    }


def show_size(size_bytes: int) -> str:
    """A size as a person reads it: `12 B`, `3.4 KiB`, `1.2 GiB`."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


@dataclass(frozen=True, slots=True)
class Deletion:
    """The options of `flyte delete cache`."""

    task_name: str | None = None
    older_than: timedelta | None = None
    is_dry_run: bool = False
    is_confirmed: bool = False

    def filter(self) -> EntryFilter:
        """Which entries are meant."""
        if self.older_than is None:
            return EntryFilter(self.task_name)
        try:
            before = datetime.now(UTC) - self.older_than
        except OverflowError:
            before = datetime.min.replace(tzinfo=UTC)
        return EntryFilter(self.task_name, round(before.timestamp() * 1e6))


def delete_kept(deletion: Deletion, output: OutputFormat) -> None:
    """The results that the options select are gone, and it is said how many of which task.

    Raises:
        CommandError: it has to be confirmed, and nobody is there to ask.
    """
    wanted = deletion.filter()
    with open_cache() as cache:
        counts = cache.count_entries(wanted) if cache else {}
        kept = cache.count_entries(EntryFilter()) if cache else {}
    number = sum(counts.values())
    if counts and not deletion.is_dry_run:
        if not deletion.is_confirmed:
            _confirm(counts)
        _delete(wanted)
    if output.is_document:
        print_document({"deleted": 0 if deletion.is_dry_run else number, "selected": number, "tasks": counts}, output)
        return
    verb = "Would delete" if deletion.is_dry_run else "Deleted"
    for task_name, of_task in counts.items():
        print(f"{verb} {show_count(of_task, 'result')} of task {task_name}")
    if not counts:
        is_only_young = kept.get(deletion.task_name, 0) if deletion.task_name else kept
        note("No kept result is that old." if is_only_young else _nothing_kept(deletion.task_name, kept))


def clear_kept(output: OutputFormat) -> None:
    """No result is kept any more; says where they were."""
    with open_cache() as cache:
        counts = cache.count_entries(EntryFilter()) if cache else {}
    if counts:
        _delete(EntryFilter())
    number = sum(counts.values())
    if output.is_document:
        print_document({"deleted": number, "path": str(home() / DATABASE_FILE)}, output)
    else:
        print(f"Cleared local cache: {show_count(number, 'result')} in {home() / DATABASE_FILE}")


def _confirm(counts: dict[str, int]) -> None:
    total = show_count(sum(counts.values()), "result")
    tasks = ", ".join(f"{number:,} of {task_name}" for task_name, number in counts.items())
    confirm_deletion(total, f"Delete {total} ({tasks})?")


def _delete(wanted: EntryFilter) -> None:
    writer = Writer(home())
    try:
        while writer.write(delete_entries(wanted)):
            pass
        writer.write(delete_unused_cache_files(home()))
        writer.write(delete_unheld_data(home()))
        give_space_back(writer)
    finally:
        writer.close()
