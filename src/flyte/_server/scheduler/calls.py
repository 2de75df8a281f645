"""What a running action calls: tasks, traces and conditions become actions, or meet those that they were."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flyteidl2.workflow.run_definition_pb2 import ActionSpec

from flyte._engine.attempts import Failure
from flyte._server.refusals import InvalidRequestError
from flyte._server.scheduler.commits import Commits
from flyte._server.scheduler.conditions import PAUSED, Conditions, question_of
from flyte._server.scheduler.drives import QUEUED, Drives
from flyte._server.scheduler.ending import Endings, relative_to
from flyte._server.scheduler.recovery import Recovered
from flyte._server.scheduler.rules import KnownSpecs
from flyte._server.scheduler.states import DONE, OpenAction, OpenRun
from flyte._store.records import ActionKind, ActionRecord, action_id
from flyte._worker.files import load_failure
from flyte.models import ActionPhase


@dataclass(frozen=True, slots=True)
class TraceOutcome:
    """How a trace ended where it ran."""

    phase: ActionPhase
    started_us: int | None
    failure: Failure | None


def outcome_of(target: ActionSpec, base_dir: str) -> TraceOutcome:
    """How a trace ended; reads the file that says why it failed, so it blocks.

    Raises:
        InvalidRequestError: it has begun at no time that there is.
    """
    trace = target.trace
    try:
        started_us = trace.start_time.ToMicroseconds() if trace.HasField("start_time") else None
    except ValueError as error:
        raise InvalidRequestError(
            f"trace {target.action_id.name!r} has begun at no time that there is: {error}"
        ) from None
    phase = ActionPhase.from_protobuf(trace.phase)
    if phase is ActionPhase.SUCCEEDED:
        return TraceOutcome(phase, started_us, None)
    folder = trace.outputs.output_uri or f"{base_dir.rstrip('/')}/{target.action_id.name}"
    failure = load_failure(folder.removesuffix("/outputs.pb"))
    return TraceOutcome(phase if phase.is_terminal else ActionPhase.FAILED, started_us, failure)


class Calls:
    """Makes actions of calls. Lives on the server's loop.

    Args:
        opened: Called with each action that is open from now on.
    """

    def __init__(
        self,
        home: Path,
        specs: KnownSpecs,
        commits: Commits,
        endings: Endings,
        conditions: Conditions,
        drives: Drives,
        opened: Callable[[OpenAction], object],
    ) -> None:
        self._home = home
        self._specs = specs
        self._commits = commits
        self._endings = endings
        self._conditions = conditions
        self._drives = drives
        self._opened = opened

    async def add(self, run: OpenRun, parent: OpenAction, target: ActionSpec, trace: TraceOutcome | None) -> None:
        """A new action, in the store and on its way."""
        action = self.new_action(run, parent, target)
        recovered = run.recovered.get(action.name)
        if recovered is not None and recovered.parent_name == parent.name:
            await asyncio.shield(self._take_over(action, recovered))
        elif trace is not None:
            await self._record_trace(action, trace)
        elif action.record.kind == ActionKind.CONDITION:
            await self._conditions.ask(action, goes_on=False)
        else:
            await asyncio.shield(self._commits.record(action))
            self._start(action)

    async def again(self, action: OpenAction, target: ActionSpec, trace: TraceOutcome | None) -> None:
        """A call that meets its own record: one that has failed runs again, for an attempt that follows."""
        parent = action.parent
        assert parent is not None
        is_earlier = action.called_in != parent.record.attempt_no
        action.called_in = parent.record.attempt_no
        if is_earlier and action.is_open:
            # The next server has to know whom to tell of its failure.
            await asyncio.shield(self._commits.record(action, served=True))
        kind, record = action.record.kind, action.record
        if kind == ActionKind.TRACE and record.phase not in DONE and trace is not None:
            action.target = _without_spec(target)
            record.attempt_no += 1
            self._opened(action)
            await self._record_trace(action, trace)
        elif not action.is_open and record.phase not in DONE and is_earlier and not parent.run.is_external:
            action.target, action.tries, action.due_us = _without_spec(target), 0, None
            if target.HasField("task"):
                action.known = self._specs.of(target.task.spec)
            record.attempt_no += 1
            record.phase = PAUSED if kind == ActionKind.CONDITION else QUEUED
            record.error = record.started_us = record.ended_us = None
            action.output_uri = f"{action.folder}/{record.attempt_no}"
            action.called_us = time.time_ns() // 1000
            self._opened(action)
            if kind == ActionKind.CONDITION:
                await self._conditions.ask(action, goes_on=False)
                return
            await asyncio.shield(self._commits.record(action, served=True))
            self._start(action)
        else:
            # Who asked before may have given up waiting for that.
            await self._commits.caught_up()

    async def recover_traces(self, run: OpenRun, parent: OpenAction) -> None:
        """Those that an earlier run has recorded are there before the parent looks them up."""
        for name, recovered in run.recovered.items():
            if recovered.parent_name != parent.name or recovered.record.kind != ActionKind.TRACE:
                continue
            if name not in run.actions and parent.is_open:
                target = ActionSpec(parent_action_name=parent.name)
                target.action_id.CopyFrom(parent.target.action_id)
                target.action_id.name = name
                target.trace.name = recovered.record.task_name
                await asyncio.shield(self._take_over(self.new_action(run, parent, target), recovered))

    def new_action(self, run: OpenRun, parent: OpenAction, target: ActionSpec, *, runs_here: bool = True) -> OpenAction:
        """An action that is called for the first time, not yet in the store.

        Args:
            run: Its run.
            parent: The action that calls it.
            target: What is called.
            runs_here: Whether it is run by this control plane; else somebody reports what comes of it.

        Raises:
            InvalidRequestError: it is no action that could run.
        """
        name = target.action_id.name
        kind, title = _kind_of(target)
        if not name or "/" in name or name in (".", ".."):
            raise InvalidRequestError(f"action name {name!r} is not allowed: it becomes the name of a folder.")
        known = None
        cache_key = None
        if kind == ActionKind.TASK:
            known = self._specs.of(target.task.spec)
            template = known.spec.task_template
            if runs_here and not (template.HasField("container") or template.HasField("k8s_pod")):
                raise InvalidRequestError(
                    f"task {title!r} of type {template.type!r} has neither container nor pod: it cannot be run here."
                )
            if runs_here:
                # What it takes can be understood; later there is nobody to tell.
                _ = known.request
            if runs_here and not target.input_uri:
                raise InvalidRequestError(f"action {name!r} of task {title!r} says not where its inputs are.")
            if target.task.HasField("cache_key") and target.task.cache_key.value:
                cache_key = target.task.cache_key.value
        run.last_sequence_no += 1
        record = ActionRecord(
            action_id=action_id(run.run_id, run.last_sequence_no),
            run_id=run.run_id,
            name=name,
            parent_id=parent.record.action_id,
            kind=kind,
            task_name=title,
            group_name=target.group or None,
            phase=QUEUED,
            attempt_no=1,
            created_us=time.time_ns() // 1000,
            inputs_file=relative_to(self._home, target.input_uri),
        )
        action = OpenAction(
            run=run,
            record=record,
            target=_without_spec(target),
            known=known,
            parent=parent,
            called_in=parent.record.attempt_no if runs_here else 0,
            called_us=record.created_us,
            cache_key=cache_key,
        )
        action.output_uri = f"{action.folder}/1"
        run.actions[name] = parent.children[name] = action
        self._opened(action)
        return action

    def _start(self, action: OpenAction) -> None:
        """It is on its way, unless it was aborted before."""
        if action.is_open:
            self._drives.start(action)

    async def _record_trace(self, action: OpenAction, trace: TraceOutcome) -> None:
        """A trace that has ended where it ran."""
        record = action.record
        record.started_us = record.created_us if trace.started_us is None else trace.started_us
        action.output_uri = action.target.trace.outputs.output_uri or action.output_uri
        if trace.phase is ActionPhase.SUCCEEDED:
            record.outputs_file = relative_to(self._home, action.output_uri)
            await asyncio.shield(self._endings.succeed(action, None))
            return
        failure = trace.failure or Failure("Unknown", "user", f"the traced function {record.task_name!r} failed.")
        await asyncio.shield(self._endings.fail(action, trace.phase, failure))

    def _take_over(self, action: OpenAction, recovered: Recovered) -> asyncio.Future[None]:
        record = recovered.record
        action.recovered_from = recovered.run_name
        action.output_uri = recovered.output_uri
        action.record.outputs, action.record.outputs_file = record.outputs, record.outputs_file
        return self._endings.succeed(action, None, ActionPhase.RECOVERED)


def _kind_of(target: ActionSpec) -> tuple[ActionKind, str]:
    """What the action records, and the name of that.

    Raises:
        InvalidRequestError: it is no action.
    """
    which = target.WhichOneof("spec")
    if which == "task":
        name = target.task.spec.task_template.id.name
        if not name:
            raise InvalidRequestError(f"action {target.action_id.name!r}: its task has no spec, or one without a name.")
        return ActionKind.TASK, name
    if which == "trace":
        return ActionKind.TRACE, target.trace.name
    if which == "condition":
        question_of(target.condition)
        return ActionKind.CONDITION, target.condition.name
    raise InvalidRequestError(f"action {target.action_id.name!r} says neither a task, nor a trace, nor a condition.")


def _without_spec(target: ActionSpec) -> ActionSpec:
    copy = ActionSpec()
    copy.CopyFrom(target)
    if copy.HasField("task"):
        copy.task.ClearField("spec")
    copy.ClearField("run_spec")
    return copy
