"""Importing again the file that a recorded run started from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flyte.cli._discovery import load_module
from flyte.cli._errors import CommandError
from flyte.cli._invocation import RunSettings
from flyte.cli._run import prepare_process

if TYPE_CHECKING:
    from flyte._store.records import StoredRun


def import_source(run: StoredRun) -> None:
    """The tasks of the run are declared in this process, also where it was started as `python script.py`.

    Raises:
        CommandError: the run started from no file, or the file is gone or cannot be imported.
    """
    file = Path(run.source_file)
    if not file.is_file():
        where = f"started from {run.source_file}, which is gone: put it back" if run.source_file else "has no file"
        raise CommandError(
            f"run {run.name!r} {where}. Where its tasks are declared, as in a notebook, `flyte.resume({run.name!r})` "
            f"and `flyte.rerun({run.name!r})` do the same."
        )
    root_dir = run.settings.get("root_dir")
    prepare_process(RunSettings(root_dir=Path(root_dir) if root_dir else None))
    load_module(file, Path(root_dir) if root_dir and file.is_relative_to(root_dir) else None)
