"""`flyte delete run`."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import timedelta

from flyte._engine.retention import Retention, older_than_all_bounds
from flyte._run.deleting import DataPlan, check_deletable, delete_runs, plan_data, run_ages
from flyte._store.reader import StoreReader
from flyte._store.records import StoredRun
from flyte.cli._cache_views import show_size
from flyte.cli._documents import print_document
from flyte.cli._errors import CommandError
from flyte.cli._invocation import OutputFormat
from flyte.cli._moments import show_count
from flyte.cli._recorded import nothing_recorded, open_store
from flyte.cli._terminal import confirm_deletion, note
from flyte.config import home

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class RunDeletion:
    """The options of `flyte delete run`."""

    names: tuple[str, ...] = ()
    older_than: timedelta | None = None
    keep: int | None = None
    is_dry_run: bool = False
    is_confirmed: bool = False

    def select(self, store: StoreReader) -> list[StoredRun]:
        """The runs that are meant, newest first where none is named.

        Raises:
            RunNotFoundError: one that is named is not there.
            RuntimeUserError: one that is named is being executed.
        """
        if self.names:
            named = [store.load_run(name) for name in dict.fromkeys(self.names)]
            for each in named:
                check_deletable(each)
            return named
        age_us = None if self.older_than is None else self.older_than // timedelta(microseconds=1)
        bounds = Retention(age_us, self.keep)
        run_ids = older_than_all_bounds(run_ages(store), bounds, time.time_ns() // 1000)
        return [run for run_id in run_ids if (run := store.find_run(run_id)) is not None]


def delete_recorded(deletion: RunDeletion, output: OutputFormat) -> None:
    """The runs that the options select are gone, and it is said how many.

    Raises:
        CommandError: nothing is recorded where one is named; it has to be confirmed, and nobody is there to ask.
    """
    with open_store() as store:
        if store is None and deletion.names:
            raise CommandError(f"there is no run {deletion.names[0]!r}: {nothing_recorded()}")
        runs = deletion.select(store) if store else []
        actions = sum(sum(sum(of.values()) for of in store.count_actions(run).values()) for run in runs) if store else 0
    names = [run.name for run in runs]
    store_bytes = 0
    data = plan_data(home(), runs) if runs and deletion.is_dry_run else None
    if runs and not deletion.is_dry_run:
        if not deletion.is_confirmed:
            total = show_count(len(names), "run")
            confirm_deletion(total, f"Delete {total} ({_some(names)})?")
        deleted = delete_runs(home(), runs)
        actions, store_bytes = deleted.actions, deleted.store_bytes
    if output.is_document:
        document = {"runs": names, "actions": actions, "store_bytes": store_bytes, "is_dry_run": deletion.is_dry_run}
        if data is not None:
            document["data"] = {**asdict(data), "kept": list(data.kept), "left_alone": list(data.left_alone)}
        print_document(document, output)
    elif runs:
        verb = "Would delete" if deletion.is_dry_run else "Deleted"
        print(f"{verb} {show_count(len(runs), 'run')} with {show_count(actions, 'action')}: {_some(names)}")
        if data is not None:
            _show_data(data)
    else:
        note("No run is selected. Runs that are open are only deleted by name.")


def _show_data(data: DataPlan) -> None:
    if data.entries:
        print(f"With them {show_count(data.entries, 'stored value')} of {show_size(data.size_bytes)}.")
    if data.kept:
        print(f"Kept, since cached results or other runs refer to them: {_some(list(data.kept))}")
    if data.left_alone:
        print(f"Left alone, since you chose it for data: {_some(list(data.left_alone))}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else "")
