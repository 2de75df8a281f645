"""The inputs of a root task as messages: converted before the run is recorded, with the folder it will have."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from flyte._context import ActionScope, enter_scope
from flyte._controller.calls import Attempt
from flyte._controller.contexts import task_context
from flyte._controller.local_run import LocalRunSpec, run_folder
from flyte._controller.progress import TaskProgress
from flyte._run.no_calls import NoCalls
from flyte._store.records import ActionRecord
from flyte.models import TaskContext

if TYPE_CHECKING:
    from flyteidl2.task.common_pb2 import Inputs

    from flyte._authoring.task import TaskTemplate


def convert_root_inputs(
    spec: LocalRunSpec, root: ActionRecord, task: TaskTemplate[Any, Any, Any], convert: Callable[[], Inputs]
) -> Inputs:
    """What `convert` returns; a value too large for a literal goes to the raw data path that the run will have.

    When a value does not fit, nothing stays behind.
    """
    folder = run_folder(spec.home, spec.name)
    existed = folder.exists()
    attempt = Attempt(task, root, TaskProgress(task.name), None, None, may_replay=False)  # type: ignore[arg-type]

    def make_context(scope: ActionScope) -> TaskContext:
        return task_context(spec, scope, attempt).replace(in_driver_literal_conversion=True)

    nowhere: Any = NoCalls()
    scope = ActionScope(root.name, nowhere, make_context, custom_context=spec.custom_context, attempt=attempt)
    context = copy_context()
    context.run(enter_scope, scope)
    try:
        return context.run(convert)
    except BaseException:
        if not existed:
            shutil.rmtree(folder, ignore_errors=True)
        raise
