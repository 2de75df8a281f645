"""`flyte get report`: where the page is that an action wrote about itself."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from flyte._controller.local_run import run_folder
from flyte._store.cache import CacheReader
from flyte._store.listing import LOCAL
from flyte._store.reader import StoreReader
from flyte._store.records import CacheStatus, StoredAction, StoredRun
from flyte.cli._documents import print_document
from flyte.cli._errors import CommandError
from flyte.cli._invocation import OutputFormat
from flyte.cli._plane import connect, is_configured, refuse_place
from flyte.cli._recorded import open_run
from flyte.report._files import report_path
from flyte.storage._addresses import is_remote, local_path
from flyte.storage._backend import backend_of


def show_report(run_name: str, action_name: str, output: OutputFormat, *, is_opened: bool) -> None:
    """The path of an action's report, on stdout; in the browser too if it is to be opened.

    Raises:
        CommandError: the action has no report, or there is no browser.
    """
    if is_configured():
        path, task_name = _from_plane(run_name, action_name)
    else:
        refuse_place()
        path, task_name = _from_store(run_name, action_name)
    if output.is_document:
        print_document({"run": run_name, "action": action_name, "task": task_name, "path": str(path)}, output)
    else:
        print(path, flush=True)
    if is_opened and not webbrowser.open(path.as_uri()):
        raise CommandError(f"no browser was found to open {path} with: set BROWSER to one, or copy the file.")


def _from_store(run_name: str, action_name: str) -> tuple[Path, str]:
    """Where the report is, and the task that wrote it."""
    with open_run(run_name) as (store, run):
        action = store.load_action(run, action_name)
        if run.mode == LOCAL:
            folder = run.settings.get("run_base_dir") or run_folder(store.home, run.name)
            path = report_path(Path(folder) / action.name)
        else:
            from flyte.cli._served_files import served_report

            address = served_report(store, run, action)
            path = _fetched(address, run_name, action_name) if is_remote(address) else local_path(address)
        if not path.exists():
            raise CommandError(_no_report(store, run, action))
    return path, action.task_name


def _from_plane(run_name: str, action_name: str) -> tuple[Path, str]:
    """The report in a file of the working folder, and the task that wrote it."""
    from flyte.cli._plane_records import PlaneRecords
    from flyte.errors import DataNotFoundError
    from flyte.remote import Action

    connect()
    records = PlaneRecords()
    action = records.load_action(records.load_run(run_name), action_name)
    try:
        page = Action.get(run_name=run_name, name=action_name).get_report()
    except DataNotFoundError as error:
        raise CommandError(str(error)) from None
    path = _file_of(run_name, action_name)
    path.write_text(page, encoding="utf-8")
    return path, action.task_name


def _fetched(address: str, run_name: str, action_name: str) -> Path:
    backend = backend_of(address)
    path = _file_of(run_name, action_name)
    if backend.find(address) is not None:
        path.write_bytes(backend.read(address))
    return path


def _file_of(run_name: str, action_name: str) -> Path:
    return Path(f"{run_name}-{action_name}-report.html").absolute()


def _no_report(store: StoreReader, run: StoredRun, action: StoredAction) -> str:
    head = f"action {action.name} of run {run.name} has no report"
    if action.cache_status is CacheStatus.HIT:
        with CacheReader(store.home) as cache:
            lookup = cache.load_lookup(action.action_id)
        if lookup is not None:
            made_by = f"{lookup.found_run} {lookup.found_action}"
            return f"{head}: its result came from the cache. If it was reported on then: flyte get report {made_by}"
    if not action.phase.is_terminal:
        return f"{head} yet: one is written when the task flushes it, and when it ends."
    return f"{head}: task {action.task_name} needs `report=True`, and something logged with `flyte.report`."
