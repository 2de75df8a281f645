"""`flyte.resume`: going on with a run whose process ended, however it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyte._controller.local_run import run_folder
from flyte._controller.progress import RunProgress
from flyte._controller.recall import OnDivergence, Recall
from flyte._engine.names import ROOT_ACTION
from flyte._faults import reach
from flyte._run.code import recorded_code
from flyte._run.creation import local_spec
from flyte._run.engine import engine
from flyte._run.execution import Execution
from flyte._run.local import LocalRun
from flyte._run.options import RunOptions
from flyte._run.raw_data import recorded_raw_data_path
from flyte._run.recovery import Recovery, load_recoverable_if_there
from flyte._store.database import store_errors
from flyte._store.leftovers import remove_leftovers
from flyte._store.owners import this_process
from flyte._store.payloads import load_payload
from flyte._store.reader import StoreReader
from flyte._store.records import LEASE_US, ActionRecord, StoredRun
from flyte._store.writer import Writer, claim_run
from flyte.errors import RuntimeUserError
from flyte.models import ActionPhase
from flyte.types._offloading import all_loaded

if TYPE_CHECKING:
    from flyte._authoring.task import TaskTemplate

    Task = TaskTemplate[Any, Any, Any]


class ResumeCall:
    """`flyte.resume`: callable, and awaitable as `.aio`."""

    def __call__(
        self,
        run_name: str,
        *,
        allow_code_change: bool = False,
        on_divergence: OnDivergence = "warn",
        env_vars: Mapping[str, str] | None = None,
        progress: RunProgress | None = None,
    ) -> LocalRun:
        """Goes on with a run under its own name and waits until it is over.

        The root task runs again with its recorded inputs and meets every recorded action by its name: what succeeded
        is handed out from the record, everything else is tried again. A run that has succeeded is returned as it is.
        The module that declares the root task must be imported.

        Args:
            run_name: Name of a local run that failed, was aborted, or whose process is gone.
            allow_code_change: Go on although the code of a task is not what the run recorded.
            on_divergence: What to do when a task makes calls that it did not make before while calls it made go
                missing: `warn` or `error`.
            env_vars: As in `with_runcontext`; those of the first start are not recorded.
            progress: Written while the run goes on.

        Raises:
            RunNotFoundError: there is no run of that name.
            RuntimeUserError: code `RunIsOwned`, its process still lives or another one was quicker; code
                `CodeChanged`, its tasks have changed; code `TaskNotLoaded`, its root task is nowhere; or what the run
                fails with.
        """
        return self._prepare(run_name, allow_code_change, on_divergence, env_vars, progress).wait()

    async def aio(
        self,
        run_name: str,
        *,
        allow_code_change: bool = False,
        on_divergence: OnDivergence = "warn",
        env_vars: Mapping[str, str] | None = None,
        progress: RunProgress | None = None,
    ) -> LocalRun:
        """The same for async code. Cancelling it aborts the run."""
        return await self._prepare(run_name, allow_code_change, on_divergence, env_vars, progress).wait_async()

    def _prepare(
        self,
        run_name: str,
        allow_code_change: bool,
        on_divergence: OnDivergence,
        env_vars: Mapping[str, str] | None,
        progress: RunProgress | None,
    ) -> Execution:
        async def start(execution: Execution) -> LocalRun:
            writer = engine().writer()
            run, records, task = await asyncio.to_thread(_take_over, writer, run_name, allow_code_change)
            root = next(record for record in records if record.name == ROOT_ACTION)
            if run.phase is ActionPhase.SUCCEEDED:
                return _finished(writer, run, task, root)
            recoverable = await asyncio.to_thread(_recoverable, writer, run)
            options = _options(run)
            start_time = datetime.fromisoformat(run.settings["run_start_time"])
            spec = local_spec(writer, run.run_id, run.name, start_time, options)
            spec = replace(spec, code_bundle=recorded_code(run.settings))
            inputs = _inputs(writer, root)
            _reopen(root)
            return await execution.carry_out(
                task,
                inputs,
                spec,
                root,
                writer,
                progress or RunProgress(),
                Recall(records, on_divergence, recoverable),
                env_vars or {},
            )

        return Execution(start)


resume = ResumeCall()


def _take_over(writer: Writer, run_name: str, allow_code_change: bool) -> tuple[StoredRun, list[ActionRecord], Task]:
    """The run, now owned by this process unless it has succeeded, with its records and its root task."""
    leases = engine().leases(writer)
    leases.record_given_up()
    with StoreReader(writer.home) as reader:
        run = reader.load_run(run_name)
        task = loaded_task(run)
        if run.phase is ActionPhase.SUCCEEDED:
            return run, reader.load_records(run), task
        if not allow_code_change:
            _check_code(run, reader.code_versions(run))
        _claim(writer, run)
        reach("run.claimed")
        try:
            records = reader.load_records(run)
            _remove_leftovers(writer, run, records)
        except BaseException:
            leases.give_up(run.run_id)
            raise
        return run, records, task


def _recoverable(writer: Writer, run: StoredRun) -> dict[str, ActionRecord]:
    versions = {name: task.code_version for name, task in loaded_tasks().items()}
    return load_recoverable_if_there(writer.home, Recovery.of(run), versions)


def _remove_leftovers(writer: Writer, run: StoredRun, records: list[ActionRecord]) -> None:
    folder = run_folder(writer.home, run.name)
    with store_errors(folder):
        remove_leftovers(writer.home, folder, Path(run.settings["run_base_dir"] or folder), records)


def loaded_task(run: StoredRun, task_name: str | None = None) -> Task:
    """The root task of a run, or another one it called, among those declared in this process.

    Raises:
        RuntimeUserError: code `TaskNotLoaded`; no loaded module declares it.
    """
    task_name = task_name or run.task_name
    task = loaded_tasks().get(task_name)
    if task is None:
        where = f"import {run.source_file}" if run.source_file else "import the module that declares it"
        raise RuntimeUserError(
            "TaskNotLoaded",
            f"run {run.name!r} called task {task_name!r}, which no module loaded here declares: {where} first, or use "
            f"`flyte resume {run.name}` or `flyte rerun {run.name}`, which do that.",
        )
    return task


def loaded_tasks() -> dict[str, Task]:
    """Every task declared in this process, by name."""
    from flyte._authoring.registry import loaded_environments
    from flyte._authoring.task_environment import TaskEnvironment

    environments = (each for each in loaded_environments() if isinstance(each, TaskEnvironment))
    return {name: task for environment in environments for name, task in environment.tasks.items()}


def _check_code(run: StoredRun, recorded: Mapping[str, str]) -> None:
    tasks = loaded_tasks()
    changed = [name for name, version in recorded.items() if name not in tasks or tasks[name].code_version != version]
    if changed:
        raise RuntimeUserError(
            "CodeChanged",
            f"run {run.name!r} was started with other code: {', '.join(changed)} changed since. What is recorded came "
            "from the old code. Restore it, start a new run, or go on all the same with `--allow-code-change` "
            "(`flyte.resume(..., allow_code_change=True)`).",
        )


def _claim(writer: Writer, run: StoredRun) -> None:
    is_free = run.is_interrupted or run.phase.is_terminal
    if not is_free or not writer.write(claim_run(run, this_process(), time.time_ns() // 1000 + LEASE_US)):
        owner = run.owner
        raise RuntimeUserError(
            "RunIsOwned",
            f"run {run.name!r} is being executed by process {owner.pid} on {owner.host}, or was taken over a moment "
            "ago: wait for it, or end that process first.",
        )


def _options(run: StoredRun) -> RunOptions:
    kept = run.settings
    return RunOptions(
        mode="local",
        project=run.project,
        domain=run.domain,
        raw_data_path=recorded_raw_data_path(kept),
        run_base_dir=kept["run_base_dir"],
        custom_context=kept["custom_context"],
        disable_run_cache=kept["disable_run_cache"],
        overwrite_cache=kept["overwrite_cache"],
        isolated=kept.get("isolated", False),
    )


def _reopen(root: ActionRecord) -> None:
    root.attempt_no += 1
    root.phase = ActionPhase.RUNNING.to_protobuf_value()
    root.started_us = time.time_ns() // 1000
    root.ended_us = root.error = None


def _inputs(writer: Writer, root: ActionRecord) -> Any:
    from flyteidl2.task.common_pb2 import Inputs

    return all_loaded(Inputs.FromString(load_payload(writer.home, root.inputs, root.inputs_file) or b""))


def _finished(writer: Writer, run: StoredRun, task: Task, root: ActionRecord) -> LocalRun:
    from flyteidl2.task.common_pb2 import Outputs

    outputs = Outputs.FromString(load_payload(writer.home, root.outputs, root.outputs_file) or b"")
    return LocalRun(run.name, writer.home, task.interface, task.codec, _inputs(writer, root), outputs)
