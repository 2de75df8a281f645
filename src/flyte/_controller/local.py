"""The local engine: the tasks of one run, executed in this process and recorded in the embedded store.

Async tasks run on the engine's loop, sync tasks each on a thread. What follows an attempt is decided by
`flyte._engine`; this module does what it says. A caller gets a result, or an error, after its record is committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import CancelledError as FutureCancelledError
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from flyteidl2.task.common_pb2 import Inputs, Outputs

from flyte._context import ActionScope
from flyte._controller.bodies import Bodies
from flyte._controller.caching import RunCache
from flyte._controller.calls import Attempt, Call, Task
from flyte._controller.conditions import Conditions
from flyte._controller.failures import error_of, failure_of
from flyte._controller.garbage import fewer_full_collections
from flyte._controller.ledger import DONE, Ledger
from flyte._controller.limits import attempt_rules, check_inline_size, time_limit
from flyte._controller.local_run import LocalRunSpec
from flyte._controller.loop_calls import start_on
from flyte._controller.open_calls import OpenCalls
from flyte._controller.output import RunOutput
from flyte._controller.process_environment import ProcessEnvironment
from flyte._controller.progress import RunProgress, TaskProgress
from flyte._controller.queue_limits import within_queue_limit
from flyte._controller.recall import Recall
from flyte._controller.streams import task_streams
from flyte._controller.threads import ThreadPool
from flyte._controller.tracing import Tracer
from flyte._engine.attempts import Failure, Finish, after_failure
from flyte._engine.names import child_name
from flyte._faults import reach
from flyte._store.aborts import aborted_error
from flyte._store.records import ActionRecord
from flyte._store.writer import Writer
from flyte.errors import ActionAbortedError, StoreError, TraceDoesNotAllowNestedTasksError
from flyte.models import ActionPhase
from flyte.types._hashing import inputs_hash

if TYPE_CHECKING:
    from flyte._controller.isolation import Isolation


class LocalController:
    """Executes one run. Lives on the engine's loop; `submit`, `submit_blocking` and the tracer work from anywhere."""

    def __init__(
        self,
        spec: LocalRunSpec,
        writer: Writer,
        threads: ThreadPool,
        progress: RunProgress,
        env_vars: Mapping[str, str] | None = None,
        recall: Recall | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._threads = threads
        self._progress = progress
        self._recall = recall or Recall()
        self._ledger = Ledger(spec, writer, self._loop, threads, progress, self._recall)
        self._cache = RunCache(spec, self._ledger.journal, is_on=spec.use_cache, overwrite=spec.overwrite_cache)
        self._environment = ProcessEnvironment(spec.home, env_vars)
        self.output = RunOutput(spec)
        isolation = _isolation(spec, env_vars or {}) if spec.isolated else None
        self._bodies = Bodies(spec, self, threads, self._environment, self._recall, self.output, isolation)
        self._tasks_met: set[str] = set()
        self._open = OpenCalls()
        self.tracer = Tracer(self._ledger, self._loop)
        self.conditions = Conditions(self._ledger, spec)

    async def run_root(self, task: Task, inputs: Inputs, root: ActionRecord) -> Outputs:
        """The outputs of the root task, after its action and the run are recorded as succeeded.

        `root` is the record of its action, already in the store.

        Raises:
            BaseRuntimeError: the task failed; the run is recorded as failed.
            asyncio.CancelledError: the run was aborted and is recorded so.
        """
        self._progress.root = TaskProgress(task.name)
        may_replay = self._recall.has_records or task.retries.count > 0
        here = asyncio.current_task()
        try:
            with fewer_full_collections(), task_streams():
                outputs = await self._execute(Call(task, inputs, root, self._progress.root, None, may_replay, here))
            reach("run.recorded")
            return outputs
        finally:
            await self._bodies.close()
            self._environment.restore()
            self._cache.close()
            await self._ledger.journal.close()
            if self.output.is_used:
                await self._threads.run(self.output.close)

    def abort(self, action_name: str, reason: str) -> None:
        """Ends one action, or with the root action the run; from the engine's loop."""
        self._open.abort(action_name, reason)

    async def submit(self, scope: ActionScope, task: Task, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs `task` as a child action of `scope`; from another loop too."""
        # Ten thousand of these wait at once: what follows is one coroutine, not a tidy chain of them, since each one
        # more would be one more object for the garbage collector to visit.
        if asyncio.get_running_loop() is not self._loop:
            return await asyncio.wrap_future(self.start(scope, task, args, kwargs))
        parent: Attempt = scope.attempt
        if parent.is_over or parent.trace_of is not None:
            raise _refusal(scope, parent, task)
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
            call = self._call(scope, task, inputs, here)
            known = call.record.phase in DONE
            outputs = self._ledger.outputs_of(call.record) if known else await self._execute(call)
            if codec.blocking:
                return await self._convert_on_thread(codec.decode_outputs, outputs)
            return codec.decode_outputs(outputs)
        finally:
            if others is not None and here is not None:
                others.discard(here)

    async def submit_encoded(self, scope: ActionScope, task: Task, inputs: Inputs) -> Outputs:
        """As `submit` on the engine's loop, for a caller that has encoded the inputs and decodes the outputs."""
        parent: Attempt = scope.attempt
        if parent.is_over or parent.trace_of is not None:
            raise _refusal(scope, parent, task)
        call = self._call(scope, task, inputs, asyncio.current_task())
        return self._ledger.outputs_of(call.record) if call.record.phase in DONE else await self._execute(call)

    def _call(self, scope: ActionScope, task: Task, inputs: Inputs, here: asyncio.Task[Any] | None) -> Call:
        """A call with its record: of the same call before, or a new one."""
        parent: Attempt = scope.attempt
        group = scope.group
        digest = inputs_hash(inputs)
        name = child_name(scope.action_name, task.name, digest, group.name if group else None, scope.call_counts)
        progress = parent.progress.child(task.name)
        record = self._ledger.meet(name, parent.record.action_id, group) if parent.may_replay else None
        if record is not None and record.phase in DONE:
            progress.replayed()
        elif record is None:
            record = self._ledger.open(name, parent.record.action_id, task.name, group)
            if parent.may_replay:
                self._recall.keep(record)
                if self._recall.is_resumed:
                    parent.new_calls.append(record)
        may_replay = parent.may_replay or task.retries.count > 0
        return Call(task, inputs, record, progress, scope, may_replay, here, digest)

    def submit_blocking(self, scope: ActionScope, task: Task, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs `task` as a child action of `scope` while this thread waits."""
        try:
            return self.start(scope, task, args, kwargs).result()
        except FutureCancelledError:
            raise ActionAbortedError(f"the call of task {task.name!r} was aborted.") from None

    def start(self, scope: ActionScope, task: Task, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
        """The same without waiting: cancelling the future cancels the call."""
        return start_on(self._loop, partial(self.submit, scope, task, args, kwargs))

    async def _execute(self, call: Call) -> Outputs:
        task, record, ledger = call.task, call.record, self._ledger
        if record.inputs is None and record.inputs_file is None:
            data = call.inputs.SerializeToString(deterministic=True)
            check_inline_size(task, "inputs", len(data))
            if (spilled := ledger.put_inputs(record, data)) is not None:
                await spilled
        if task.name not in self._tasks_met:
            self._tasks_met.add(task.name)
            ledger.journal.met_task(task.name, task.code_version)
        call.progress.started += 1
        ledger.journal.started(record)
        self._open[record.action_id] = call
        reach("action.started")
        try:
            is_cached = self._cache.is_on and task.cache.behavior != "disable"
            attempts = self._cached_attempts if is_cached else self._attempts
            bound_s = task.timeout.max_queued_time_s
            result = await (attempts(call) if bound_s is None else within_queue_limit(call, bound_s, attempts))
            reach("action.done")
            if isinstance(result, Finish):
                ledger.fail(record, result.failure)
                await ledger.end(record, result.phase, call.progress)
                raise error_of(result.failure)
            if (spilled := ledger.put_outputs(record, result.SerializeToString(deterministic=True))) is not None:
                await spilled
            entry = self._cache.entry(call) if record.cache_status else None
            await ledger.end(record, ActionPhase.SUCCEEDED, call.progress, entry)
            return result
        except asyncio.CancelledError:
            if (error := await self._record_abort(call)) is not None:
                raise error from None
            raise
        except StoreError as error:
            if record.ended_us is None:
                await ledger.lose(record, error)
            raise
        finally:
            del self._open[record.action_id]
            if record.cache_status:
                await self._cache.settle(record)

    async def _record_abort(self, call: Call) -> ActionAbortedError | None:
        """What the caller of a cancelled call gets, once that is recorded; None when it is cancelled itself."""
        record, error = call.record, self._open.error_of(call.record)
        is_taken = self._open.is_taken(call)
        if record.ended_us is None:
            if error is not None:
                record.error = aborted_error(error)
            await self._ledger.end(record, ActionPhase.ABORTED, call.progress, has_waiting_caller=is_taken)
        return error if is_taken else None

    async def _cached_attempts(self, call: Call) -> Outputs | Finish:
        try:
            kept = self._cache.ask(call)
            if kept is None:
                kept = await self._cache.wait_or_reserve(call)
        except Exception as error:
            # A cache policy of the user's, or the store.
            return Finish(ActionPhase.FAILED, failure_of(error))
        call.progress.cache[call.record.cache_status] += 1
        return kept if kept is not None else await self._attempts(call)

    def _attempts(self, call: Call) -> Coroutine[Any, Any, Outputs | Finish]:
        bound_s = call.task.timeout.deadline_s
        if bound_s is None:
            return self._attempts_without_deadline(call)
        return self._attempts_until(call, bound_s)

    async def _attempts_until(self, call: Call, bound_s: float) -> Outputs | Finish:
        try:
            async with asyncio.timeout(bound_s) as deadline:
                return await self._attempts_without_deadline(call)
        except TimeoutError:
            if not deadline.expired():
                raise
            return Finish(ActionPhase.TIMED_OUT, time_limit(call.task, "DEADLINE_EXCEEDED", bound_s))

    async def _attempts_without_deadline(self, call: Call) -> Outputs | Finish:
        record = call.record
        first_attempt_no = record.attempt_no
        while True:
            result = await self._bodies.attempt(call)
            if call.abort is not None:
                # Its code took the cancellation for something else.
                raise asyncio.CancelledError
            if not isinstance(result, Failure):
                return result
            decision = after_failure(record.attempt_no, result, attempt_rules(call.task), first_attempt_no)
            if isinstance(decision, Finish):
                return decision
            self._ledger.try_again(record, result, decision.attempt_no)
            await asyncio.sleep(decision.delay_s)
            if call.queue_limit is not None:
                call.queue_limit.waits()
            self._ledger.started(record)

    async def _convert_on_thread(self, convert: Callable[[Any], Any], value: Any) -> Any:
        return await self._threads.run(partial(copy_context().run, convert, value))


def _isolation(spec: LocalRunSpec, env_vars: Mapping[str, str]) -> Isolation:
    from flyte._controller.isolation import Isolation

    return Isolation(spec.home, spec.image_refs, env_vars)


def _refusal(scope: ActionScope, parent: Attempt, task: Task) -> Exception:
    if parent.trace_of is not None:
        return TraceDoesNotAllowNestedTasksError(
            f"task {task.name!r} was called inside the trace {parent.record.task_name!r}: a trace records one function "
            "as a whole. Call the task from the task around it, or make the traced function a task."
        )
    return ActionAbortedError(
        f"task {task.name!r} was called by action {scope.action_name!r}, which is over: await every call before the "
        "task that makes it returns."
    )
