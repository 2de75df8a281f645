"""`flyte.run` and `flyte.with_runcontext`."""

from __future__ import annotations

import asyncio
import random
import string
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from flyte._controller.local import LocalController
from flyte._controller.local_run import LocalRunSpec, run_folder
from flyte._controller.progress import RunProgress
from flyte._run.engine import engine
from flyte._run.initialization import settings
from flyte._run.local import LocalRun
from flyte._run.options import Mode, RunOptions, resolve_mode, say_what_is_not_honoured
from flyte._store.owners import this_process
from flyte._store.records import NewRun
from flyte._store.writer import Writer, abort_run, insert_run
from flyte.errors import BaseRuntimeError, RunAlreadyExistsError
from flyte.syncify import syncify

if TYPE_CHECKING:
    from flyte._authoring.task import TaskTemplate

P = ParamSpec("P")
R = TypeVar("R")

ABORT_GRACE_S = 2.0
"""How long Ctrl-C waits for the actions to record their abort before the run is recorded as aborted without them."""

_NAME_ALPHABET = string.ascii_lowercase + string.digits
_NAME_TRIES = 10


def random_run_name() -> str:
    """A fresh name for a run: `r` and 11 characters, about 57 random bits."""
    return "r" + "".join(random.SystemRandom().choices(_NAME_ALPHABET, k=11))


@dataclass(slots=True, eq=False)
class _Execution:
    """One run while it goes on, as the thread that waits for it sees it."""

    writer: Writer | None = None
    run_id: int | None = None
    loop_task: asyncio.Task[LocalRun] | None = None
    is_over: threading.Event = field(default_factory=threading.Event)


class Runner:
    """Starts runs with the settings of `with_runcontext`.

    Attributes:
        progress: Counts of the run started last, readable while it goes on.
    """

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self.progress = RunProgress()

    @property
    def run(self) -> RunCall:
        """`run(task, ...)` waits for the run; `await run.aio(task, ...)` is for async code."""
        return RunCall(self)

    async def execute(
        self, execution: _Execution, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> LocalRun:
        """One run of `task`, from its inputs to its outcome. On the engine's loop."""
        execution.loop_task = asyncio.current_task()
        try:
            return await self._execute(execution, task, args, kwargs)
        finally:
            execution.is_over.set()

    async def _execute(
        self, execution: _Execution, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> LocalRun:
        shared = engine()
        codec = task.codec
        if args:
            kwargs = task.interface.convert_to_kwargs(*args, **kwargs)
        inputs = await asyncio.to_thread(codec.encode_inputs, kwargs)
        writer = execution.writer = shared.writer()
        spec = await asyncio.to_thread(self._create, writer, task)
        execution.run_id = spec.run_id
        self.progress.run_name = spec.name
        controller = LocalController(spec, writer, shared.threads, self.progress, self._options.env_vars)
        outputs = await controller.run_root(task, inputs)
        return LocalRun(spec.name, spec.home, task.interface, codec, inputs, outputs)

    def _create(self, writer: Writer, task: Any) -> LocalRunSpec:
        """The run is in the store, and its folder exists."""
        options, defaults = self._options, settings()
        start_time = options.run_start_time or datetime.now(UTC)
        project, domain = options.project or defaults.project, options.domain or defaults.domain
        for _ in range(_NAME_TRIES):
            name = options.name or random_run_name()
            run = NewRun(
                name=name,
                task_name=task.name,
                mode="local",
                created_us=time.time_ns() // 1000,
                owner=this_process(),
                project=project,
                domain=domain,
                org=defaults.org,
                version=options.version or "",
                labels=options.labels,
            )
            run_id = writer.write(insert_run(run))
            if run_id is not None:
                break
            if options.name:
                raise RunAlreadyExistsError(
                    f"there already is a run {name!r}: `flyte get run {name}` shows it. Choose another name, or leave "
                    "the name out to get a fresh one."
                )
        else:
            raise RunAlreadyExistsError(f"no free run name was found in {_NAME_TRIES} tries: run again.")
        folder = run_folder(writer.home, name)
        folder.mkdir(parents=True, exist_ok=True)
        return LocalRunSpec(
            run_id=run_id,
            name=name,
            home=writer.home,
            start_time=start_time,
            run_base_dir=options.run_base_dir or str(folder),
            raw_data_path=options.raw_data_path or str(folder / "raw"),
            project=project,
            domain=domain,
            org=defaults.org,
            custom_context=options.custom_context,
            use_cache=not options.disable_run_cache,
            overwrite_cache=options.overwrite_cache,
        )


class RunCall:
    """`flyte.run` and `Runner.run`: callable, and awaitable as `.aio`."""

    def __init__(self, runner: Runner | None = None) -> None:
        self._runner = runner

    def __call__(self, task: TaskTemplate[P, R, Any], *args: P.args, **kwargs: P.kwargs) -> LocalRun:
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
        runner = self._prepare(task)
        loop = engine().loop
        if _running_loop() is loop:
            raise AssertionError(
                "flyte.run(...) would wait for the loop it is called on: inside an async task, "
                "`await flyte.run.aio(...)` or call the task itself."
            )
        execution = _Execution()
        future = asyncio.run_coroutine_threadsafe(runner.execute(execution, task, args, kwargs), loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            _abort(execution, loop)
            raise
        except BaseRuntimeError as error:
            raise _with_note(error) from None

    async def aio(self, task: TaskTemplate[P, R, Any], *args: P.args, **kwargs: P.kwargs) -> LocalRun:
        """The same for async code. Cancelling it aborts the run."""
        runner = self._prepare(task)
        try:
            return await syncify.run_from_loop(runner.execute(_Execution(), task, args, kwargs))
        except BaseRuntimeError as error:
            raise _with_note(error) from None

    def _prepare(self, task: object) -> Runner:
        from flyte._authoring.task import TaskTemplate

        if not isinstance(task, TaskTemplate):
            hint = " Decorate it with `@env.task` first." if callable(task) else ""
            raise TypeError(f"flyte.run takes a task, got {task!r} ({type(task).__name__}).{hint}")
        runner = self._runner or Runner(RunOptions())
        resolve_mode(runner._options)
        say_what_is_not_honoured(runner._options)
        return runner


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _abort(execution: _Execution, loop: asyncio.AbstractEventLoop) -> None:
    """The run is recorded as aborted, by its own actions or, where they do not let go of the loop, without them."""
    if execution.loop_task is not None:
        loop.call_soon_threadsafe(execution.loop_task.cancel)
        if execution.is_over.wait(ABORT_GRACE_S):
            return
    if execution.writer is not None and execution.run_id is not None:
        execution.writer.write(abort_run(execution.run_id, time.time_ns() // 1000))


def _with_note(error: BaseRuntimeError) -> BaseRuntimeError:
    """`error` prints the traceback of where it came from, once, and none of the frames it crossed."""
    if error.remote_traceback and not getattr(error, "__notes__", None):
        error.add_note(f"\nThe task's own traceback:\n{error.remote_traceback.rstrip()}")
    return error.with_traceback(None)


run = RunCall()


def with_runcontext(
    mode: Mode | None = None,
    *,
    name: str | None = None,
    version: str | None = None,
    raw_data_path: str | Path | None = None,
    run_base_dir: str | Path | None = None,
    run_start_time: datetime | None = None,
    project: str | None = None,
    domain: str | None = None,
    env_vars: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    custom_context: Mapping[str, str] | None = None,
    overwrite_cache: bool = False,
    disable_run_cache: bool = False,
    copy_style: str = "loaded_modules",
    service_account: str | None = None,
    queue: str | None = None,
    interruptible: bool | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Runner:
    """A runner whose `run(task, ...)` uses these settings.

    Args:
        mode: `local`, `remote` or `hybrid`; default remote with a control plane configured, else local. Only local
            runs are possible in this release.
        name: Name of the run; a fresh random one by default.
        version: Version recorded with the run.
        raw_data_path: Folder for offloaded data; default a folder of the run.
        run_base_dir: Folder in which each action gets one of its own; default the run's.
        run_start_time: What `ctx().run_start_time` says; default now.
        project: Recorded with the run; default that of `init`.
        domain: Recorded with the run; default that of `init`.
        env_vars: Environment variables of the process while the run lasts. They win over those of environments.
        labels: Recorded with the run; `flyte get run --with-label` finds it by them.
        custom_context: What every action sees as `ctx().custom_context`.
        overwrite_cache: Cached tasks compute again, and what they return is kept in place of what was.
        disable_run_cache: No task of the run looks a result up or keeps one.
        copy_style: How code is bundled for a served run; a local run bundles none.
        service_account: For served runs; a local run warns that it has no use for it.
        queue: As `service_account`.
        interruptible: As `service_account`.
        annotations: As `service_account`.

    Raises:
        ValueError: the mode is unknown.
        RuntimeUserError: the name cannot be a run's.
    """
    served = {
        "copy_style": None if copy_style == "loaded_modules" else copy_style,
        "service_account": service_account,
        "queue": queue,
        "interruptible": interruptible,
        "annotations": annotations,
    }
    return Runner(
        RunOptions(
            mode=mode,
            name=name,
            version=version,
            raw_data_path=_absolute(raw_data_path),
            run_base_dir=_absolute(run_base_dir),
            run_start_time=run_start_time,
            project=project,
            domain=domain,
            env_vars=env_vars or {},
            labels=labels or {},
            custom_context=custom_context or {},
            overwrite_cache=overwrite_cache,
            disable_run_cache=disable_run_cache,
            served={option: value for option, value in served.items() if value is not None},
        )
    )


def _absolute(path: str | Path | None) -> str | None:
    if path is None or "://" in str(path):
        return None if path is None else str(path)
    return str(Path(path).expanduser().resolve())
