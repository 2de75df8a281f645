"""The local engine: the tasks of one run, executed in this process and recorded in the embedded store.

Async tasks run on the engine's loop, sync tasks each on a thread. What follows an attempt is decided by
`flyte._engine`; this module does what it says. A caller gets a result, or an error, after its record is committed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import CancelledError as FutureCancelledError
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from flyteidl2.task.common_pb2 import Inputs, Outputs

from flyte._context import ActionScope, enter_scope
from flyte._controller.caching import RunCache
from flyte._controller.contexts import action_folder, task_context
from flyte._controller.divergence import check_divergence
from flyte._controller.failures import error_of, failure_of
from flyte._controller.garbage import fewer_full_collections
from flyte._controller.hooks import has_hooks, run_with_hooks
from flyte._controller.limits import attempt_rules, check_inline_size, time_limit
from flyte._controller.local_run import LocalRunSpec, payload_path
from flyte._controller.process_environment import ProcessEnvironment
from flyte._controller.progress import ActionFailure, RunProgress, TaskProgress
from flyte._controller.recall import Recall
from flyte._controller.stepping import await_in_context
from flyte._controller.threads import ThreadPool
from flyte._engine.attempts import Failure, Finish, after_failure
from flyte._engine.names import child_name
from flyte._engine.replay import TryAgain
from flyte._logging import system_logger
from flyte._store.cache import put_cache_entries
from flyte._store.journal import Journal
from flyte._store.payloads import INLINE_LIMIT_BYTES, load_payload, spill
from flyte._store.records import ActionKind, ActionRecord, ErrorRecord, action_id
from flyte._store.writer import Writer, end_run, in_order, record_actions
from flyte.errors import ActionAbortedError
from flyte.models import ActionPhase, GroupData, TaskContext
from flyte.report import Report
from flyte.report._files import write_report
from flyte.types._hashing import inputs_hash

if TYPE_CHECKING:
    from flyte._authoring.function_task import AsyncFunctionTaskTemplate

Task: TypeAlias = "AsyncFunctionTaskTemplate[Any, Any, Any]"

LEFTOVER_GRACE_S = 5.0
"""How long a finished attempt waits for what it left running to take its cancellation."""

_RUNNING = ActionPhase.RUNNING.to_protobuf_value()
_SUCCEEDED = ActionPhase.SUCCEEDED.to_protobuf_value()
_TASK = int(ActionKind.TASK)


@dataclass(slots=True, eq=False)
class Attempt:
    """A running attempt, as `ActionScope.attempt` holds it.

    Attributes:
        group: The group the action was called in.
        loop_task: The asyncio task its body runs in.
        others: Further asyncio tasks that are inside a call made by this attempt.
        new_calls: Its calls that a resumed run has no record of.
    """

    task: Task
    record: ActionRecord
    progress: TaskProgress
    group: GroupData | None
    loop_task: asyncio.Task[Any] | None
    may_replay: bool
    others: set[asyncio.Task[Any]] = field(default_factory=set)
    new_calls: list[ActionRecord] = field(default_factory=list)
    is_over: bool = False
    data: dict[str, Any] = field(default_factory=dict)
    _report: Report | None = None

    @property
    def report(self) -> Report:
        """The one report of the attempt, whichever block of it writes."""
        if self._report is None:
            self._report = Report(self.record.name)
        return self._report

    def version(self) -> str:
        """The version of the task that the cache knows; empty without a cache."""
        return self.task.cache_version


@dataclass(slots=True, eq=False)
class _Call:
    """One action from its call to its outcome."""

    task: Task
    inputs: Inputs
    record: ActionRecord
    progress: TaskProgress
    scope: ActionScope | None
    """The caller's; None for the root."""
    may_replay: bool
    """Its children may have been called before: by an earlier attempt of it or of one above it, or before a resume."""


class LocalController:
    """Executes one run. Lives on the engine's loop; `submit` and `submit_blocking` may be called from anywhere."""

    def __init__(
        self,
        spec: LocalRunSpec,
        writer: Writer,
        threads: ThreadPool,
        progress: RunProgress,
        env_vars: Mapping[str, str] | None = None,
        recall: Recall | None = None,
    ) -> None:
        self.spec = spec
        self._loop = asyncio.get_running_loop()
        self._writer = writer
        self._journal = Journal(writer, self._loop, spec.run_id, spec.owner)
        self._threads = threads
        self._progress = progress
        self._environment = ProcessEnvironment(env_vars)
        self._recall = recall or Recall()
        self._cache = RunCache(spec, self._journal, is_on=spec.use_cache, overwrite=spec.overwrite_cache)
        self._actions = max(1, self._recall.last_sequence_no)
        self._tasks_met: set[str] = set()

    async def run_root(self, task: Task, inputs: Inputs, root: ActionRecord) -> Outputs:
        """The outputs of the root task, after its action and the run are recorded as succeeded.

        `root` is the record of its action, already in the store.

        Raises:
            BaseRuntimeError: the task failed; the run is recorded as failed.
            asyncio.CancelledError: the run was aborted and is recorded so.
        """
        self._progress.root = TaskProgress(task.name)
        may_replay = self._recall.is_resumed or task.retries.count > 0
        try:
            with fewer_full_collections():
                return await self._execute(_Call(task, inputs, root, self._progress.root, None, may_replay))
        finally:
            self._environment.restore()
            self._cache.close()
            await self._journal.close()

    async def submit(self, scope: ActionScope, task: Task, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs `task` as a child action of `scope`; from another loop too."""
        # Ten thousand of these wait at once: what follows is one coroutine, not a tidy chain of them, since each one
        # more would be one more object for the garbage collector to visit.
        if asyncio.get_running_loop() is not self._loop:
            return await asyncio.wrap_future(self._submit_to_loop(scope, task, args, kwargs))
        parent: Attempt = scope.attempt
        if parent.is_over:
            raise ActionAbortedError(
                f"task {task.name!r} was called by action {scope.action_name!r}, which is over: await every call "
                "before the task that makes it returns."
            )
        here = asyncio.current_task()
        others = parent.others if here is not parent.loop_task else None
        if others is not None and here is not None:
            others.add(here)
        try:
            codec = task.codec
            if args:
                kwargs = task.interface.convert_to_kwargs(*args, **kwargs)
            inputs = (
                codec.encode_inputs(kwargs)
                if not codec.blocking
                else await self._convert_on_thread(codec.encode_inputs, kwargs)
            )
            group = scope.group
            name = child_name(
                scope.action_name, task.name, inputs_hash(inputs), group.name if group else None, scope.call_counts
            )
            progress = parent.progress.child(task.name)
            record = self._recalled(name) if parent.may_replay else None
            if record is not None and record.phase == _SUCCEEDED:
                outputs = self._recorded_outputs(record, progress)
            else:
                if record is None:
                    record = self._new_record(task, name, parent.record.action_id, group)
                    if parent.may_replay:
                        self._recall.keep(record)
                    if self._recall.is_resumed:
                        parent.new_calls.append(record)
                may_replay = parent.may_replay or task.retries.count > 0
                outputs = await self._execute(_Call(task, inputs, record, progress, scope, may_replay))
            if codec.blocking:
                return await self._convert_on_thread(codec.decode_outputs, outputs)
            return codec.decode_outputs(outputs)
        finally:
            if others is not None and here is not None:
                others.discard(here)

    def submit_blocking(self, scope: ActionScope, task: Task, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs `task` as a child action of `scope` while this thread waits."""
        try:
            return self._submit_to_loop(scope, task, args, kwargs).result()
        except FutureCancelledError:
            raise ActionAbortedError(f"the call of task {task.name!r} was aborted.") from None

    def _submit_to_loop(self, scope: ActionScope, task: Task, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(self.submit(scope, task, args, kwargs), self._loop)

    def _new_record(self, task: Task, name: str, parent_id: int | None, group: GroupData | None) -> ActionRecord:
        self._actions += 1
        now_us = time.time_ns() // 1000
        return ActionRecord(
            action_id=action_id(self.spec.run_id, self._actions),
            run_id=self.spec.run_id,
            name=name,
            parent_id=parent_id,
            kind=_TASK,
            task_name=task.name,
            group_name=group.name if group else None,
            phase=_RUNNING,
            attempt_no=1,
            created_us=now_us,
            started_us=now_us,
        )

    def _recalled(self, name: str) -> ActionRecord | None:
        """The record that a call meets: succeeded, or set to be tried again; None for a call never made before."""
        met = self._recall.meet(name)
        if met is None:
            return None
        record, decision = met
        if isinstance(decision, TryAgain):
            record.attempt_no = decision.attempt_no
            record.phase = _RUNNING
            record.started_us = time.time_ns() // 1000
            record.ended_us = record.error = None
        return record

    def _recorded_outputs(self, record: ActionRecord, progress: TaskProgress) -> Outputs:
        progress.started += 1
        progress.ended[ActionPhase.SUCCEEDED] += 1
        return Outputs.FromString(load_payload(self.spec.home, record.outputs, record.outputs_file) or b"")

    async def _execute(self, call: _Call) -> Outputs:
        record = call.record
        if record.inputs is None and record.inputs_file is None:
            data = call.inputs.SerializeToString(deterministic=True)
            check_inline_size(call.task, "inputs", len(data))
            if len(data) <= INLINE_LIMIT_BYTES:
                record.inputs = data
            else:
                record.inputs_file = await self._spill(record, "inputs.pb", data)
        if call.task.name not in self._tasks_met:
            self._tasks_met.add(call.task.name)
            self._journal.met_task(call.task.name, call.task.code_version)
        call.progress.started += 1
        self._journal.started(record)
        try:
            result = await (self._attempts(call) if not self._is_cached(call.task) else self._cached_attempts(call))
            if isinstance(result, Finish):
                self._note_failure(call, result.failure)
                await self._record_end(call, result.phase)
                raise error_of(result.failure)
            data = result.SerializeToString(deterministic=True)
            if len(data) <= INLINE_LIMIT_BYTES:
                record.outputs = data
            else:
                record.outputs_file = await self._spill(record, "outputs.pb", data)
            await self._record_end(call, ActionPhase.SUCCEEDED)
            return result
        except asyncio.CancelledError:
            if record.ended_us is None:
                await self._record_end(call, ActionPhase.ABORTED)
            raise
        finally:
            if record.cache_status:
                await self._cache.settle(record)

    def _is_cached(self, task: Task) -> bool:
        return self._cache.is_on and task.cache.behavior != "disable"

    async def _cached_attempts(self, call: _Call) -> Outputs | Finish:
        try:
            return await self._cache.result(call.task, call.inputs, call.record, partial(self._attempts, call))
        except Exception as error:
            # A cache policy of the user's, or the store.
            return Finish(ActionPhase.FAILED, failure_of(error))

    async def _attempts(self, call: _Call) -> Outputs | Finish:
        task = call.task
        bound_s = task.timeout.deadline_s
        if bound_s is None:
            return await self._attempts_without_deadline(call)
        try:
            async with asyncio.timeout(bound_s) as deadline:
                return await self._attempts_without_deadline(call)
        except TimeoutError:
            if not deadline.expired():
                raise
            return Finish(ActionPhase.TIMED_OUT, time_limit(task, "DEADLINE_EXCEEDED", bound_s))

    async def _attempts_without_deadline(self, call: _Call) -> Outputs | Finish:
        record = call.record
        while True:
            result = await self._attempt(call)
            if not isinstance(result, Failure):
                return result
            decision = after_failure(record.attempt_no, result, attempt_rules(call.task))
            if isinstance(decision, Finish):
                return decision
            await asyncio.sleep(decision.delay_s)
            record.attempt_no = decision.attempt_no

    async def _attempt(self, call: _Call) -> Outputs | Failure:
        task = call.task
        scope = call.scope
        loop_task = asyncio.current_task()
        attempt = Attempt(task, call.record, call.progress, scope.group if scope else None, loop_task, call.may_replay)
        context = copy_context()
        context.run(
            enter_scope,
            ActionScope(
                action_name=call.record.name,
                controller=self,
                make_context=self._task_context,
                custom_context=scope.custom_context if scope else self.spec.custom_context,
                attempt=attempt,
            ),
        )
        try:
            self._environment.apply(task)
            bound_s = task.timeout.max_runtime_s
            if bound_s is None:
                return await self._body(call, attempt, context)
            try:
                async with asyncio.timeout(bound_s) as limit:
                    return await self._body(call, attempt, context)
            except TimeoutError:
                if not limit.expired():
                    raise
                return time_limit(task, "MAX_RUNTIME_EXCEEDED", bound_s)
        except asyncio.CancelledError as error:
            if loop_task is not None and loop_task.cancelling():
                raise
            # Nobody asked this action to stop: its own code raised it.
            return failure_of(error)
        except GeneratorExit:
            raise
        except BaseException as error:
            return failure_of(error)
        finally:
            attempt.is_over = True
            if attempt.task.report and attempt.report.has_content():
                await self._write_report(attempt)
            if attempt.others:
                await self._stop_leftovers(attempt)

    async def _body(self, call: _Call, attempt: Attempt, context: Context) -> Outputs:
        task, codec = call.task, call.task.codec
        is_blocking = codec.blocking
        kwargs = (
            codec.decode_inputs(call.inputs)
            if not is_blocking
            else await self._threads.run(partial(context.run, codec.decode_inputs, call.inputs))
        )
        if has_hooks(task):
            value = await await_in_context(context, run_with_hooks(task, kwargs))
        elif task.is_async:
            value = await await_in_context(context, task.func(**kwargs))
        else:
            value = await self._threads.run(partial(_call_sync, context, task.func, kwargs))
        if attempt.new_calls:
            check_divergence(self._recall, self.spec.home, call.record, attempt.new_calls)
        outputs: Outputs = (
            codec.encode_outputs(value)
            if not is_blocking
            else await self._threads.run(partial(context.run, codec.encode_outputs, value))
        )
        check_inline_size(task, "outputs", outputs.ByteSize())
        return outputs

    async def _write_report(self, attempt: Attempt) -> None:
        output_path = action_folder(self.spec, attempt.record)
        try:
            await self._threads.run(partial(write_report, attempt.report, str(output_path)))
        except (OSError, NotImplementedError) as error:
            # A report tells about the work; not having one must not undo it.
            system_logger.warning("the report of action %s was not written: %s", attempt.record.name, error)

    async def _convert_on_thread(self, convert: Callable[[Any], Any], value: Any) -> Any:
        return await self._threads.run(partial(copy_context().run, convert, value))

    async def _stop_leftovers(self, attempt: Attempt) -> None:
        leftovers = list(attempt.others)
        for loop_task in leftovers:
            loop_task.cancel()
        await asyncio.wait(leftovers, timeout=LEFTOVER_GRACE_S)

    def _note_failure(self, call: _Call, failure: Failure) -> None:
        record = call.record
        record.error = ErrorRecord(
            failure.code, failure.kind, failure.message, failure.worker, failure.traceback
        ).to_json()
        self._progress.failed(ActionFailure(record.name, record.task_name, failure.code, failure.message))

    def _record_end(self, call: _Call, phase: ActionPhase) -> Awaitable[object]:
        """The end is on its way to the store; what is returned waits for its commit."""
        record = call.record
        record.phase = phase.to_protobuf_value()
        record.ended_us = time.time_ns() // 1000
        call.progress.ended[phase] += 1
        entry = None
        if record.cache_status and phase is ActionPhase.SUCCEEDED:
            entry = self._cache.entry(call.task, call.inputs, record)
        if record.parent_id is None:
            end = in_order(record_actions([record.row()]), end_run(record.run_id, record.phase, record.ended_us))
            return self._journal.commit(end if entry is None else in_order(put_cache_entries([entry]), end))
        if phase is ActionPhase.ABORTED:
            # Its caller is being cancelled and must not wait; the end of the run waits for this commit.
            self._journal.noted(record)
            return asyncio.sleep(0)
        return self._journal.ended(record, entry)

    async def _spill(self, record: ActionRecord, file_name: str, data: bytes) -> str:
        path = payload_path(self.spec.name, record.name, file_name)
        result: str = await self._threads.run(partial(spill, self.spec.home, path, data))
        return result

    def _task_context(self, scope: ActionScope) -> TaskContext:
        attempt: Attempt = scope.attempt
        return task_context(self.spec, scope, attempt.record, attempt.group)


def _call_sync(context: Context, function: Callable[..., Any], kwargs: dict[str, Any]) -> Any:
    try:
        return context.run(function, **kwargs)
    except StopIteration as error:
        # It would end the coroutine that waits for this call, as if nothing had happened.
        raise RuntimeError("the task raised StopIteration") from error
