"""A running task, for values that need its raw data path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flyte._context import ActionScope, enter_scope, leave_scope
from flyte.models import ActionID, RawDataPath, TaskContext
from flyte.report import Report


@pytest.fixture
def raw_data(tmp_path: Path) -> Iterator[Path]:
    """The raw data folder of the task that the test runs in."""
    folder = tmp_path / "raw"

    def context(scope: ActionScope) -> TaskContext:
        return TaskContext(
            action=ActionID(name=scope.action_name),
            version="",
            raw_data_path=RawDataPath(path=str(folder)),
            output_path=str(tmp_path),
            run_base_dir=str(tmp_path),
            report=Report("io"),
        )

    controller: Any = None
    token = enter_scope(ActionScope("a0", controller, context))
    yield folder
    leave_scope(token)
