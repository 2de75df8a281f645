"""The public `TaskContext` of an attempt that runs locally."""

from __future__ import annotations

from pathlib import Path

from flyte._context import ActionScope
from flyte._controller.calls import Attempt
from flyte._controller.local_run import LocalRunSpec
from flyte._store.records import ActionRecord
from flyte.models import ActionID, CheckpointPaths, TaskContext
from flyte.storage._addresses import is_remote, local_path


def action_folder(spec: LocalRunSpec, record: ActionRecord) -> Path:
    """Where an action's report, checkpoint and other files go."""
    return Path(spec.run_base_dir) / record.name


def task_context(spec: LocalRunSpec, scope: ActionScope, attempt: Attempt) -> TaskContext:
    """The context of an attempt; the folders it names exist when it returns.

    Inside a `flyte.group` block the context names that group, else the one the action was called in.
    """
    record = attempt.record
    action = ActionID(name=record.name, run_name=spec.name, project=spec.project, domain=spec.domain, org=spec.org)
    output_path = action_folder(spec, record)
    for folder in (str(output_path), spec.raw_data_path.path):
        if not is_remote(folder):
            local_path(folder).mkdir(parents=True, exist_ok=True)
    checkpoint = output_path / "checkpoint"
    return TaskContext(
        action=action,
        version=attempt.version(),
        raw_data_path=spec.raw_data_path,
        output_path=str(output_path),
        run_base_dir=spec.run_base_dir,
        report=attempt.report,
        group_data=scope.group or attempt.group,
        # One place for all attempts: a save replaces the last one at once, and the next attempt loads what is there.
        checkpoint_paths=CheckpointPaths(str(checkpoint) if checkpoint.exists() else None, str(checkpoint)),
        code_bundle=spec.code_bundle,
        data=attempt.data,
        mode="local",
        custom_context=dict(scope.custom_context),
        run_start_time=spec.start_time,
        task_action=action.new_sub_action(attempt.trace_of) if attempt.trace_of else None,
        _attempt_number=record.attempt_no - 1,
    )
