"""`flyte.rerun`: a new run with the inputs of an earlier one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from flyte._controller.recall import Recall
from flyte._engine.names import ROOT_ACTION
from flyte._run.creation import create_run
from flyte._run.engine import engine
from flyte._run.execution import Execution
from flyte._run.local import LocalRun
from flyte._run.options import RunOptions, resolve_mode, say_what_is_not_honoured
from flyte._run.recovery import Recovery, load_recoverable
from flyte._run.resuming import loaded_task, loaded_tasks
from flyte._store.reader import StoreReader
from flyte._store.records import ActionKind, StoredRun
from flyte._store.writer import Writer
from flyte.errors import RuntimeUserError
from flyte.syncify import syncify

if TYPE_CHECKING:
    from flyteidl2.task.common_pb2 import Inputs

    from flyte._run.local import StartedRun
    from flyte._run.resuming import Task
    from flyte._run.runner import Runner


@dataclass(frozen=True, slots=True)
class Source:
    """The task and inputs that are run again."""

    run: StoredRun
    task: Task
    inputs: Inputs


@dataclass(frozen=True, slots=True)
class Wish:
    """The arguments of `flyte.rerun`."""

    run_name: str
    action_name: str
    recover: bool
    force_rerun_actions: Sequence[str]
    allow_missing_source_outputs: bool
    inputs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.recover and self.action_name != ROOT_ACTION:
            raise ValueError(
                f"recover and action_name={self.action_name!r} exclude each other: an action that is run alone has "
                "nothing around it to recover."
            )
        if not self.recover and (self.force_rerun_actions or self.allow_missing_source_outputs):
            raise ValueError("force_rerun_actions and allow_missing_source_outputs have a meaning with recover only.")


class RerunCall:
    """`flyte.rerun` and `Runner.rerun`: callable, and awaitable as `.aio`."""

    def __init__(self, runner: Runner | None = None) -> None:
        self._runner = runner

    def __call__(
        self,
        run_name: str,
        action_name: str = ROOT_ACTION,
        recover: bool = False,
        force_rerun_actions: Sequence[str] | None = None,
        allow_missing_source_outputs: bool = False,
        **inputs: Any,
    ) -> StartedRun:
        """Runs the task of an earlier run again, as a new run.

        The new run has the recorded inputs, those given here changed, and the custom context of the earlier one. One on
        a control plane, where the earlier one is looked for too, has been accepted when this returns. A local one is
        over then; the module that declares the task must be imported.

        Args:
            run_name: The earlier run, however it ended.
            action_name: Run the task of this action alone, with its recorded inputs.
            recover: Take over the outcomes of actions that succeeded and whose task did not change, as RECOVERED.
            force_rerun_actions: Names of actions that run again all the same, and with them those that called them.
            allow_missing_source_outputs: Run actions again whose recorded outputs are gone.
            inputs: Inputs that are to be others than recorded.

        Raises:
            RunNotFoundError: there is no such run or action.
            ValueError: an input is unknown or missing, or the options exclude each other. Nothing was recorded.
            RuntimeUserError: as of `load_recoverable`; code `TaskNotLoaded`, the task is nowhere; or what the run
                fails with.
        """
        missing = allow_missing_source_outputs
        wish = Wish(run_name, action_name, recover, force_rerun_actions or (), missing, inputs)
        run: Any = syncify.run_blocking(self._start_served(wish)) if self._is_served() else self._prepare(wish).wait()
        started: StartedRun = run
        return started

    async def aio(
        self,
        run_name: str,
        action_name: str = ROOT_ACTION,
        recover: bool = False,
        force_rerun_actions: Sequence[str] | None = None,
        allow_missing_source_outputs: bool = False,
        **inputs: Any,
    ) -> StartedRun:
        """The same for async code. Cancelling it aborts a new local run."""
        missing = allow_missing_source_outputs
        wish = Wish(run_name, action_name, recover, force_rerun_actions or (), missing, inputs)
        run: Any = None
        if self._is_served():
            run = await syncify.run_from_loop(self._start_served(wish))
        else:
            run = await self._prepare(wish).wait_async()
        started: StartedRun = run
        return started

    def _options(self) -> RunOptions:
        return RunOptions() if self._runner is None else self._runner.options

    def _is_served(self) -> bool:
        mode = resolve_mode(self._options())
        if mode == "hybrid":
            raise ValueError("a run is rerun locally or by the control plane: mode 'hybrid' starts new ones only.")
        return mode == "remote"

    async def _start_served(self, wish: Wish) -> Any:
        from flyte._run.remote_rerun import rerun_served

        return await rerun_served(self._options(), wish)

    def _prepare(self, wish: Wish) -> Execution:
        from flyte._run.runner import Runner

        runner = self._runner or Runner(RunOptions())
        options = runner.options
        say_what_is_not_honoured(options)

        async def start(execution: Execution) -> LocalRun:
            writer = engine().writer()
            source = await asyncio.to_thread(_load, writer, wish)
            recall, settled = await asyncio.to_thread(_recall, writer, wish, _settled(options, source.run))
            convert = partial(_merged, source, wish.inputs)
            spec, root, inputs = await asyncio.to_thread(create_run, writer, settled, source.task, convert)
            return await execution.carry_out(
                source.task, inputs, spec, root, writer, runner.progress, recall, options.env_vars
            )

        return Execution(start)


rerun = RerunCall()


def _load(writer: Writer, wish: Wish) -> Source:
    with StoreReader(writer.home) as reader:
        return load_source(reader, reader.load_run(wish.run_name), wish.action_name)


def load_source(reader: StoreReader, run: StoredRun, action_name: str = ROOT_ACTION) -> Source:
    """The task of an action of a run, among those declared in this process, and its recorded inputs.

    Raises:
        RunNotFoundError: the run has no such action.
        RuntimeUserError: code `NotATask`; code `TaskNotLoaded`, no loaded module declares its task.
    """
    from flyteidl2.task.common_pb2 import Inputs

    action = reader.load_action(run, action_name)
    if action.kind is not ActionKind.TASK:
        raise RuntimeUserError(
            "NotATask", f"action {action_name!r} is no task but a {action.kind.name.lower()}, which cannot run alone."
        )
    task = loaded_task(run, action.task_name)
    return Source(run, task, Inputs.FromString(reader.load_inputs(action) or b""))


def _merged(source: Source, changed: Mapping[str, Any]) -> Inputs:
    """The recorded inputs of the task, those in `changed` replaced; the others stay as they were, byte for byte."""
    codec, interface = source.task.codec, source.task.interface
    recorded = {each.name: each.value for each in source.inputs.literals}
    if not changed and list(recorded) == list(interface.inputs):
        return source.inputs
    kept = type(source.inputs)()
    for each in source.inputs.literals:
        if each.name in interface.inputs and each.name not in changed:
            kept.literals.append(each)
    merged = codec.encode_inputs({**codec.decode_given(kept), **changed})
    still = {each.name for each in kept.literals}
    for each in merged.literals:
        if each.name in still:
            each.value.CopyFrom(recorded[each.name])
    return merged


def _settled(options: RunOptions, run: StoredRun) -> RunOptions:
    return replace(
        options,
        project=options.project or run.project,
        domain=options.domain or run.domain,
        custom_context=options.custom_context or run.settings["custom_context"],
    )


def _recall(writer: Writer, wish: Wish, options: RunOptions) -> tuple[Recall, RunOptions]:
    if not wish.recover:
        return Recall(), options
    recovery = Recovery(wish.run_name, tuple(wish.force_rerun_actions), wish.allow_missing_source_outputs)
    versions = {name: task.code_version for name, task in loaded_tasks().items()}
    records = load_recoverable(writer.home, recovery, versions)
    return Recall(recoverable=records), replace(options, recovery=recovery.settings())
