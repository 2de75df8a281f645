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
from flyte._logging import set_log_levels
from flyte._rpc.settings import session_settings
from flyte._run.options import Mode, RunOptions, resolve_mode, say_what_is_not_honoured
from flyte._run.raw_data import as_raw_data_path, resolved
from flyte._run.refusals import refuse_given, refuse_locally
from flyte.syncify import syncify

if TYPE_CHECKING:
    from flyte._authoring.task import TaskTemplate
    from flyte._run.execution import Execution
    from flyte._run.local import LocalRun, StartedRun
    from flyte._run.rerunning import RerunCall
    from flyte.models import RawDataPath
    from flyte.remote._documents import Startable

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
        from flyte._run.rerunning import RerunCall

        return RerunCall(self)

    def is_served(self) -> bool:
        """Whether the run goes to a control plane.

        Raises:
            InitializationError: it has to, and none is configured.
        """
        return resolve_mode(self.options) != "local"

    async def start(self, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The run on a control plane, once that has it; in hybrid mode, once it is over."""
        check_not_importing()
        if self.options.isolated:
            raise ValueError("isolated=True is for local runs: every attempt of a served one has a process of its own.")
        if resolve_mode(self.options) == "hybrid":
            from flyte._run.hybrid import run_hybrid

            return await run_hybrid(self.options, task, args, kwargs)
        from flyte._run.remote_run import start_run

        return await start_run(self.options, task, args, kwargs)

    def prepare(self, task: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Execution:
        """A run of `task` with these inputs, ready to be waited for."""
        from flyte._authoring.task import TaskTemplate
        from flyte._controller.recall import Recall
        from flyte._run.creation import create_run
        from flyte._run.engine import engine
        from flyte._run.execution import Execution

        if not isinstance(task, TaskTemplate):
            if type(task).__module__.startswith("flyte.remote."):
                raise ValueError(f"{task!r} is deployed, and a local run has its code nowhere: use mode='remote'.")
            hint = " Decorate it with `@env.task` first." if callable(task) else ""
            raise TypeError(f"flyte.run takes a task, got {task!r} ({type(task).__name__}).{hint}")
        check_not_importing()
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

    def __call__(
        self, task: TaskTemplate[P, R, Any] | Startable[P], /, *args: P.args, **kwargs: P.kwargs
    ) -> StartedRun:
        """Runs `task`.

        A local run is over when this returns; Ctrl-C aborts it and records that. A run on a control plane has been
        accepted: the `flyte.remote.Run` that is returned waits for it, and has all that a local one has.

        Args:
            task: A function decorated with `@env.task`; with a control plane also a deployed task or a trigger.
            args: Its inputs.
            kwargs: Its inputs.

        Raises:
            RuntimeUserError: the task failed; `code` is the class name of what it raised.
            TypeError: `task` is no task, or an input has the wrong type. Nothing was recorded.
            ValueError: an input is missing or unknown. Nothing was recorded.
            RunAlreadyExistsError: there is a run of the name that was asked for.
        """
        runner = self._runner or Runner(RunOptions())
        run: Any = None
        if runner.is_served():
            run = syncify.run_blocking(runner.start(task, args, kwargs))
        else:
            run = runner.prepare(task, args, kwargs).wait()
        started: StartedRun = run
        return started

    async def aio(
        self, task: TaskTemplate[P, R, Any] | Startable[P], /, *args: P.args, **kwargs: P.kwargs
    ) -> StartedRun:
        """The same for async code. Cancelling it aborts a local run."""
        runner = self._runner or Runner(RunOptions())
        run: Any = None
        if runner.is_served():
            run = await syncify.run_from_loop(runner.start(task, args, kwargs))
        else:
            run = await runner.prepare(task, args, kwargs).wait_async()
        started: StartedRun = run
        return started


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
    log_format: str = "console",
    user_log_level: int | None = None,
    reset_root_logger: bool = False,
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
        mode: `local`, `remote` or `hybrid`; default remote with a control plane configured, else local. In a hybrid
            run the root task runs in this process, and what it calls on the control plane; it needs `run_base_dir`.
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
        disable_run_cache: No task of a local run looks a result up or keeps one. For a served run, the code is sent
            again even if the control plane was sent it lately.
        isolated: Each attempt runs in a process of its own, in the image of its task's environment, with its variables
            and secrets. Not in the official release.
        copy_style: How the code of a served or an isolated run is bundled: `loaded_modules`, `all`, `custom` or `none`,
            which says that images have it and needs a `version`. Any other local run bundles none.
        service_account: For served runs, as the Kubernetes account; a local run warns that it has no use for it.
        queue: Where the actions of a served run wait; as `service_account`.
        interruptible: As `service_account`.
        annotations: As `service_account`.
        interactive_mode: The code of a served run is the pickled task; default where it is in no file. A local run
            warns that it has no use for it.
        cache_lookup_scope: `global` or `project-domain`; as `service_account`.
        log_level: Level of `flyte.system_logger` from now on, and in the tasks of a served run.
        log_format: `console` or `json`, in the tasks of a served run; as `service_account`.
        user_log_level: Level of `flyte.logger` from now on, and in the tasks of a served run.
        reset_root_logger: The root logger of the tasks of a served run is set up anew; as `service_account`.
        dry_run: Send nothing, and return what would have been sent. A local run refuses it, with all that follow.
        copy_bundle_to: A folder that gets a copy of the code bundle of a served run.
        max_action_concurrency: How many actions of a served run go on at the same time; at least 2.
        preserve_original_types: Accepted by served runs, whose outputs are read with the annotations of the task.
        debug: Refused by all runs: no process of this release starts an editor.
        notifications: Refused by all runs.
        tracked: Refused by all runs.
        tracked_strict: Refused by all runs.

    Raises:
        ValueError: the mode is unknown.
        RuntimeUserError: the name cannot be a run's.
        InitializationError: code `NotAvailable` or `NotAvailableLocally`; a setting was given that is refused.
    """
    served = {
        "copy_style": None if isolated or copy_style == "loaded_modules" else copy_style,
        "cache_lookup_scope": None if cache_lookup_scope == "global" else cache_lookup_scope,
        "service_account": service_account,
        "queue": queue,
        "interruptible": interruptible,
        "annotations": annotations,
        "interactive_mode": interactive_mode,
        "log_format": None if log_format == "console" else log_format,
        "reset_root_logger": reset_root_logger or None,
    }
    refuse_given(debug=debug, notifications=notifications, tracked=tracked, tracked_strict=tracked_strict)
    if mode == "local" or (mode is None and session_settings() is None):
        refuse_locally(
            dry_run=dry_run,
            copy_bundle_to=copy_bundle_to,
            max_action_concurrency=max_action_concurrency,
            preserve_original_types=preserve_original_types,
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
            annotations=annotations or {},
            service_account=service_account,
            queue=queue,
            interruptible=interruptible,
            max_action_concurrency=max_action_concurrency,
            cache_lookup_scope=cache_lookup_scope,
            log_level=log_level,
            log_format=log_format,
            user_log_level=user_log_level,
            reset_root_logger=reset_root_logger,
            interactive_mode=interactive_mode,
            remote_copy_style=copy_style,
            dry_run=dry_run,
            copy_bundle_to=None if copy_bundle_to is None else Path(copy_bundle_to),
            preserve_original_types=preserve_original_types,
            served={option: value for option, value in served.items() if value is not None},
        )
    )
