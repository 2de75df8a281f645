"""`flyte.run` and `flyte.with_runcontext`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from flyte._controller.importing import check_not_importing
from flyte._controller.progress import RunProgress
from flyte._controller.recall import Recall
from flyte._logging import set_log_levels
from flyte._run.creation import create_run
from flyte._run.engine import engine
from flyte._run.execution import Execution
from flyte._run.local import LocalRun
from flyte._run.options import Mode, RunOptions, resolve_mode, say_what_is_not_honoured
from flyte._run.raw_data import as_raw_data_path, resolved
from flyte._run.refusals import refuse_given
from flyte._run.rerunning import RerunCall

if TYPE_CHECKING:
    from flyte._authoring.task import TaskTemplate
    from flyte.models import RawDataPath

P = ParamSpec("P")
R = TypeVar("R")


class Runner:
    """Starts runs with the settings of `with_runcontext`.

    Attributes:
        options: The settings.
        progress: Counts of the run started last, readable while it goes on.
    """

    def __init__(self, options: RunOptions) -> None:
        self.options = options
        self.progress = RunProgress()

    @property
    def run(self) -> RunCall:
        """`run(task, ...)` waits for the run; `await run.aio(task, ...)` is for async code."""
        return RunCall(self)

    @property
    def rerun(self) -> RerunCall:
        """`rerun(run_name, ...)` waits for the new run; `await rerun.aio(run_name, ...)` is for async code."""
        return RerunCall(self)

    def prepare(self, task: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Execution:
        """A run of `task` with these inputs, ready to be waited for."""
        from flyte._authoring.task import TaskTemplate

        if not isinstance(task, TaskTemplate):
            hint = " Decorate it with `@env.task` first." if callable(task) else ""
            raise TypeError(f"flyte.run takes a task, got {task!r} ({type(task).__name__}).{hint}")
        check_not_importing()
        resolve_mode(self.options)
        say_what_is_not_honoured(self.options)

        async def start(execution: Execution) -> LocalRun:
            named = task.interface.convert_to_kwargs(*args, **kwargs) if args else kwargs
            writer = engine().writer()
            convert = partial(task.codec.encode_inputs, named)
            spec, root, inputs = await asyncio.to_thread(create_run, writer, self.options, task, convert)
            env_vars = self.options.env_vars
            return await execution.carry_out(task, inputs, spec, root, writer, self.progress, Recall(), env_vars)

        return Execution(start)


class RunCall:
    """`flyte.run` and `Runner.run`: callable, and awaitable as `.aio`."""

    def __init__(self, runner: Runner | None = None) -> None:
        self._runner = runner

    def __call__(self, task: TaskTemplate[P, R, Any], /, *args: P.args, **kwargs: P.kwargs) -> LocalRun:
        """Runs `task` and waits until it is over. Ctrl-C aborts the run and records that.

        Args:
            task: A function decorated with `@env.task`.
            args: Its inputs.
            kwargs: Its inputs.

        Raises:
            RuntimeUserError: the task failed; `code` is the class name of what it raised.
            TypeError: `task` is no task, or an input has the wrong type. Nothing was recorded.
            ValueError: an input is missing or unknown. Nothing was recorded.
            RunAlreadyExistsError: there is a run of the name that was asked for.
        """
        return (self._runner or Runner(RunOptions())).prepare(task, args, kwargs).wait()

    async def aio(self, task: TaskTemplate[P, R, Any], /, *args: P.args, **kwargs: P.kwargs) -> LocalRun:
        """The same for async code. Cancelling it aborts the run."""
        return await (self._runner or Runner(RunOptions())).prepare(task, args, kwargs).wait_async()


run = RunCall()


def with_runcontext(
    mode: Mode | None = None,
    *,
    name: str | None = None,
    version: str | None = None,
    raw_data_path: str | Path | RawDataPath | None = None,
    run_base_dir: str | Path | None = None,
    run_start_time: datetime | None = None,
    project: str | None = None,
    domain: str | None = None,
    env_vars: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    custom_context: Mapping[str, str] | None = None,
    overwrite_cache: bool = False,
    disable_run_cache: bool = False,
    isolated: bool = False,
    copy_style: str = "loaded_modules",
    service_account: str | None = None,
    queue: str | None = None,
    interruptible: bool | None = None,
    annotations: Mapping[str, str] | None = None,
    interactive_mode: bool | None = None,
    cache_lookup_scope: str = "global",
    log_level: int | None = None,
    user_log_level: int | None = None,
    dry_run: bool = False,
    debug: bool = False,
    copy_bundle_to: str | Path | None = None,
    max_action_concurrency: int | None = None,
    notifications: Any = None,
    preserve_original_types: bool = False,
    tracked: bool = False,
    tracked_strict: bool = False,
) -> Runner:
    """A runner whose `run(task, ...)` uses these settings.

    Args:
        mode: `local`, `remote` or `hybrid`; default remote with a control plane configured, else local. Only local
            runs are possible in this release.
        name: Name of the run; a fresh random one by default.
        version: Version recorded with the run.
        raw_data_path: Prefix for data that tasks store: a folder, a URL such as `s3://bucket/data`, or a `RawDataPath`
            with a rewrite of addresses. Default the configured one, else a folder of the run.
        run_base_dir: Folder in which each action gets one of its own; default the run's.
        run_start_time: What `ctx().run_start_time` says; default now.
        project: Recorded with the run; default that of `init`.
        domain: Recorded with the run; default that of `init`.
        env_vars: Environment variables of the process while the run lasts. They win over those of environments.
        labels: Recorded with the run; `flyte get run --with-label` finds it by them.
        custom_context: What every action sees as `ctx().custom_context`.
        overwrite_cache: Cached tasks compute again, and what they return is kept in place of what was.
        disable_run_cache: No task of the run looks a result up or keeps one.
        isolated: Each attempt runs in a process of its own, in the image of its task's environment, with its variables
            and secrets. Not in the official release.
        copy_style: How the code of an isolated run is bundled, for `flyte get code`: `loaded_modules`, `all`, `custom`
            or `none`. Any other local run bundles none.
        service_account: For served runs; a local run warns that it has no use for it.
        queue: As `service_account`.
        interruptible: As `service_account`.
        annotations: As `service_account`.
        interactive_mode: As `service_account`.
        cache_lookup_scope: As `service_account`: results are looked up in the whole store.
        log_level: Level of `flyte.system_logger` from now on.
        user_log_level: Level of `flyte.logger` from now on.
        dry_run: Refused, with all that follow, when set: a local run cannot do what it asks for.
        debug: For served runs.
        copy_bundle_to: For served runs.
        max_action_concurrency: For served runs.
        notifications: For served runs.
        preserve_original_types: For served runs.
        tracked: For local runs that report to a control plane.
        tracked_strict: For local runs that report to a control plane.

    Raises:
        ValueError: the mode is unknown.
        RuntimeUserError: the name cannot be a run's.
        InitializationError: code `NotAvailableLocally`; a setting was given that is refused.
    """
    served = {
        "copy_style": None if isolated or copy_style == "loaded_modules" else copy_style,
        "cache_lookup_scope": None if cache_lookup_scope == "global" else cache_lookup_scope,
        "service_account": service_account,
        "queue": queue,
        "interruptible": interruptible,
        "annotations": annotations,
        "interactive_mode": interactive_mode,
    }
    refuse_given(
        dry_run=dry_run,
        debug=debug,
        copy_bundle_to=copy_bundle_to,
        max_action_concurrency=max_action_concurrency,
        notifications=notifications,
        preserve_original_types=preserve_original_types,
        tracked=tracked,
        tracked_strict=tracked_strict,
    )
    set_log_levels(log_level, user_log_level)
    return Runner(
        RunOptions(
            mode=mode,
            name=name,
            version=version,
            raw_data_path=as_raw_data_path(raw_data_path),
            run_base_dir=None if run_base_dir is None else resolved(str(run_base_dir) or "."),
            run_start_time=run_start_time,
            project=project,
            domain=domain,
            env_vars=env_vars or {},
            labels=labels or {},
            custom_context=custom_context or {},
            overwrite_cache=overwrite_cache,
            disable_run_cache=disable_run_cache,
            isolated=isolated,
            copy_style=copy_style if isolated and copy_style != "loaded_modules" else None,
            served={option: value for option, value in served.items() if value is not None},
        )
    )
