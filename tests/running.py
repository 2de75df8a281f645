"""A task that runs, as far as files and folders can tell, with a raw data path of the test's choice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flyte._context import ActionScope, enter_scope, leave_scope
from flyte.models import ActionID, PathRewrite, RawDataPath, TaskContext
from flyte.report import Report


@contextmanager
def running(
    raw_data_path: str, folder: Path, *, action: str = "a0", rewrite: PathRewrite | None = None
) -> Iterator[None]:
    """An attempt of an action runs until the block ends; its data goes below `raw_data_path`."""

    def context(scope: ActionScope) -> TaskContext:
        return TaskContext(
            action=ActionID(name=scope.action_name, run_name="r1"),
            version="",
            raw_data_path=RawDataPath(path=raw_data_path, path_rewrite=rewrite),
            output_path=str(folder),
            run_base_dir=str(folder),
            report=Report("io"),
        )

    controller: Any = None
    token = enter_scope(ActionScope(action, controller, context))
    try:
        yield
    finally:
        leave_scope(token)
