"""`flyte get code`: the code that a run was started with, in a folder."""

from __future__ import annotations

from pathlib import Path

from flyte._bundle.fetching import save_code
from flyte._run.code import recorded_code
from flyte._store.records import StoredRun
from flyte.cli._documents import print_document
from flyte.cli._errors import CommandError
from flyte.cli._invocation import OutputFormat
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
    with open_run(run_name) as (store, run):
        action = store.load_action(run, action_name)
        if attempt is not None and attempt > action.attempt_no:
            raise CommandError(
                f"action {action.name} of run {run.name} has no attempt {attempt}: it has {action.attempt_no}."
            )
    bundle = recorded_code(run.settings)
    if bundle is None:
        raise CommandError(_no_code(run))
    target = folder if folder is not None else Path(f"{run.name}-code")
    path = save_code(bundle, target, is_unpacked=is_unpacked)
    if output.is_document:
        document = {"run": run.name, "action": action.name, "version": bundle.computed_version, "path": str(path)}
        print_document(document, output)
    else:
        print(path, flush=True)


def _no_code(run: StoredRun) -> str:
    if run.settings.get("isolated"):
        return f"run {run.name} kept no code: it was started with copy_style 'none', or its code could not be bundled."
    source = f" It was started from {run.source_file}." if run.source_file else ""
    return f"run {run.name} kept no code: only isolated runs do (`flyte run --isolated`).{source}"
