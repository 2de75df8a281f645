"""`flyte get report`: where the page is that an action wrote about itself."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from flyte._controller.local_run import run_folder
from flyte._store.cache import CacheReader
from flyte._store.reader import StoreReader
from flyte._store.records import CacheStatus, StoredAction, StoredRun
from flyte.cli._documents import print_document
from flyte.cli._errors import CommandError
from flyte.cli._invocation import OutputFormat
from flyte.cli._recorded import open_run
from flyte.report._files import report_path


def show_report(run_name: str, action_name: str, output: OutputFormat, *, is_opened: bool) -> None:
    """The path of an action's report, on stdout; in the browser too if it is to be opened.

    Raises:
        CommandError: the action has no report, or there is no browser.
    """
    with open_run(run_name) as (store, run):
        action = store.load_action(run, action_name)
        folder = run.settings.get("run_base_dir") or run_folder(store.home, run.name)
        path = report_path(Path(folder) / action.name)
        if not path.exists():
            raise CommandError(_no_report(store, run, action))
    if output.is_document:
        print_document({"run": run.name, "action": action.name, "task": action.task_name, "path": str(path)}, output)
    else:
        print(path, flush=True)
    if is_opened and not webbrowser.open(path.as_uri()):
        raise CommandError(f"no browser was found to open {path} with: set BROWSER to one, or copy the file.")


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
