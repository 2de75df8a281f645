"""`flyte get run`: the list of runs, and one of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from flyte._store.reader import RunFilter, StoreReader
from flyte._store.records import StoredAction, StoredRun
from flyte.cli._cache_words import cache_document, cache_text
from flyte.cli._documents import Column, print_details, print_document, print_table
from flyte.cli._invocation import OutputFormat
from flyte.cli._literals import inputs_of, outputs_of, show_value
from flyte.cli._moments import show_duration, show_local
from flyte.cli._recorded import (
    Records,
    error_document,
    load_payload,
    nothing_recorded,
    one_line,
    open_recorded,
    open_records,
    times_document,
)
from flyte.cli._run_report import run_url
from flyte.cli._terminal import note
from flyte.errors import RunNotFoundError
from flyte.models import ActionPhase

_INTERRUPTED = "interrupted"
_SHOWN_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class RunQuery:
    """The options of `flyte get run`. `phases` are what `StoredRun.status` says."""

    phases: tuple[str, ...]
    task_name: str | None
    created_after: datetime | None
    created_before: datetime | None
    labels: dict[str, str]
    label_keys: tuple[str, ...]
    limit: int
    only_mine: bool = False
    paused_only: bool = False
    task_version: str | None = None
    updated_after: datetime | None = None
    updated_before: datetime | None = None
    project: str | None = None
    domain: str | None = None

    def page(self, before_run_id: int | None) -> RunFilter:
        """The filter for one page of the store; of interrupted runs, the store says that they run."""
        phases = {ActionPhase.RUNNING if each == _INTERRUPTED else ActionPhase(each) for each in self.phases}
        return RunFilter(
            phases=sorted(phases),
            task_name=self.task_name,
            created_after=self.created_after,
            created_before=self.created_before,
            labels=self.labels,
            label_keys=self.label_keys,
            before_run_id=before_run_id,
            # One more than are shown tells whether there are more.
            limit=self.limit + 1,
        )

    def select(self, store: Records) -> Iterator[StoredRun]:
        """The runs that match, newest first, page by page."""
        if not isinstance(store, StoreReader):
            yield from store.select_runs(self)
            return
        before = None
        while page := store.list_runs(self.page(before)):
            yield from (run for run in page if self._takes(run))
            before = page[-1].run_id

    def _takes(self, run: StoredRun) -> bool:
        """Whether a run is meant, by what the store does not select by."""
        return (
            (not self.phases or run.status in self.phases)
            and self.task_version in (None, run.version)
            and self.project in (None, run.project)
            and self.domain in (None, run.domain)
        )


def show_runs(query: RunQuery, output: OutputFormat) -> None:
    """The runs that match, as a table or a JSON list."""
    with open_records(filters_place=True) as store:
        if store is None:
            text = nothing_recorded()
            note(text[0].upper() + text[1:])
            runs = []
        else:
            runs = list(islice(query.select(store), query.limit + 1))
        if not runs and store is not None and not isinstance(store, StoreReader):
            store.check_place()
    shown = runs[: query.limit]
    if output.is_document:
        print_document([_document(run) for run in shown], output)
    elif shown:
        columns = [
            Column("Name", is_kept_whole=True),
            Column("Task"),
            Column("Phase"),
            Column("Created", is_kept_whole=True),
            Column("Duration", is_number=True),
            Column("Labels", is_optional=True),
        ]
        print_table(columns, [_row(run) for run in shown], output)
    elif store is not None:
        note("No run matches.")
    if len(runs) > query.limit:
        note(f"There are more than these {query.limit}: --limit shows more, --created-before older ones.")


def _row(run: StoredRun) -> list[str]:
    labels = ", ".join(f"{key}={value}" for key, value in run.labels.items())
    return [
        run.name,
        run.task_name,
        run.status,
        show_local(run.created_at),
        _duration(run.created_at, run.ended_at),
        labels,
    ]


def _duration(created_at: datetime, ended_at: datetime | None) -> str:
    return show_duration((ended_at - created_at).total_seconds()) if ended_at else ""


def _document(run: StoredRun) -> dict[str, Any]:
    return {
        "name": run.name,
        "task": run.task_name,
        "phase": run.status,
        "mode": run.mode,
        "project": run.project,
        "domain": run.domain,
        "org": run.org,
        "labels": run.labels,
        **times_document(run.created_at, run.ended_at),
    }


def show_run(name: str, output: OutputFormat) -> None:
    """One run: what it is, how it went, its inputs and outputs, and how many actions of each task it has."""
    with open_recorded(name) as (store, run):
        root: StoredAction | None = None
        with suppress(RunNotFoundError):
            root = store.load_action(run, "a0")
        inputs = inputs_of(load_payload(store, run, root, "inputs")) if root else {}
        outputs = outputs_of(load_payload(store, run, root, "outputs")) if root else {}
        url = run_url(run.name) if isinstance(store, StoreReader) else store.url(run)
        counts = store.count_actions(run)
        cached = store.count_cache_statuses(run)
    if output.is_document:
        tasks = {task: {phase.value: number for phase, number in phases.items()} for task, phases in counts.items()}
        more = {
            "url": url,
            "inputs": inputs,
            "outputs": outputs,
            "error": error_document(root.error if root else None),
            "tasks": tasks,
            "cache": cache_document(cached),
        }
        print_document({**_document(run), **more}, output)
        return
    pairs = _summary(run, url)
    pairs += [
        ("Input" if side is inputs else "Output", f"{key} = {one_line(show_value(value), _SHOWN_CHARACTERS)}")
        for side in (inputs, outputs)
        for key, value in side.items()
    ]
    if root and root.error:
        pairs.append(("Error", f"{root.error.code}: {root.error.message}"))
    pairs += [
        ("Actions", f"{task}: {', '.join(f'{number:,} {phase.value}' for phase, number in phases.items())}")
        for task, phases in counts.items()
    ]
    pairs.append(("Cache", cache_text(cached)))
    print_details(pairs)


def _summary(run: StoredRun, url: str) -> list[tuple[str, str]]:
    scope = "/".join(each for each in (run.org, run.project, run.domain) if each)
    return [
        ("Run", run.name),
        ("Task", run.task_name),
        ("Phase", run.status),
        ("Created", show_local(run.created_at)),
        ("Ended", show_local(run.ended_at)),
        ("Duration", _duration(run.created_at, run.ended_at)),
        ("Project", scope),
        ("Labels", ", ".join(f"{key}={value}" for key, value in run.labels.items())),
        ("Page" if "://" in url else "Files", url),
    ]
