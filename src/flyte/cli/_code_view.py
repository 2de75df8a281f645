"""`flyte get code`: the code that a run was started with, in a folder."""

from __future__ import annotations

from pathlib import Path

from flyte._bundle.fetching import save_code
from flyte._run.code import recorded_code
from flyte._store.listing import LOCAL
from flyte._store.records import StoredRun
from flyte.cli._documents import print_document
from flyte.cli._errors import CommandError
from flyte.cli._invocation import OutputFormat
from flyte.cli._plane import connect, is_configured, refuse_place
from flyte.cli._recorded import open_run


def save_run_code(
    run_name: str,
    action_name: str,
    folder: Path | None,
    attempt: int | None,
    output: OutputFormat,
    *,
    is_unpacked: bool,
) -> None:
    """The code is in a folder, by default one of the run's name; its path is on stdout.

    Raises:
        CommandError: the run kept no code, or there is no such attempt.
        CodeBundleError: the folder is not empty, or the bundle was damaged.
        StorageError: the bundle is gone.
    """
    if is_configured():
        _save_from_plane(run_name, action_name, folder, attempt, output, is_unpacked=is_unpacked)
        return
    refuse_place()
    with open_run(run_name) as (store, run):
        action = store.load_action(run, action_name)
        if attempt is not None and attempt > action.attempt_no:
            raise CommandError(
                f"action {action.name} of run {run.name} has no attempt {attempt}: it has {action.attempt_no}."
            )
        bundle = recorded_code(run.settings)
        if run.mode != LOCAL:
            from flyte.cli._served_files import served_code

            bundle = served_code(store, run, action)
    if bundle is None:
        raise CommandError(_no_code(run))
    target = folder if folder is not None else Path(f"{run.name}-code")
    # The version of a served run is what somebody gave.
    path = save_code(bundle, target, is_unpacked=is_unpacked, is_version_digest=run.mode == LOCAL)
    if output.is_document:
        document = {"run": run.name, "action": action.name, "version": bundle.computed_version, "path": str(path)}
        print_document(document, output)
    else:
        print(path, flush=True)


def _save_from_plane(
    run_name: str,
    action_name: str,
    folder: Path | None,
    attempt: int | None,
    output: OutputFormat,
    *,
    is_unpacked: bool,
) -> None:
    from flyte.cli._plane_records import PlaneRecords
    from flyte.remote import Action

    connect()
    records = PlaneRecords()
    run = records.load_run(run_name)
    records.load_action(run, action_name)
    target = folder if folder is not None else Path(f"{run_name}-code")
    if target.exists() and any(target.iterdir()):
        raise CommandError(f"{target} is not empty: give another folder with --dest.")
    path = Action.get(run_name=run_name, name=action_name).download_code(target, is_unpacked, attempt)
    if output.is_document:
        print_document({"run": run_name, "action": action_name, "version": run.version, "path": str(path)}, output)
    else:
        print(path, flush=True)


def _no_code(run: StoredRun) -> str:
    if run.settings.get("isolated"):
        return f"run {run.name} kept no code: it was started with copy_style 'none', or its code could not be bundled."
    source = f" It was started from {run.source_file}." if run.source_file else ""
    return f"run {run.name} kept no code: only isolated runs do (`flyte run --isolated`).{source}"
