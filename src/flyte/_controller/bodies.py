"""Running the body of a task once: its scope, its variables, its time limit, and what it leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from flyteidl2.task.common_pb2 import Outputs

from flyte._context import ActionScope, enter_scope
from flyte._controller.calls import Attempt, Call
from flyte._controller.child_tasks import TaskReference, reference_of, reference_with_code
from flyte._controller.contexts import action_folder, task_context
from flyte._controller.divergence import check_divergence
from flyte._controller.failures import failure_of
from flyte._controller.hooks import has_hooks, run_with_hooks
from flyte._controller.limits import check_inline_size, time_limit
from flyte._controller.local_run import LocalRunSpec
from flyte._controller.output import RunOutput
from flyte._controller.process_environment import ProcessEnvironment
from flyte._controller.recall import Recall
from flyte._controller.stepping import await_in_context
from flyte._controller.threads import ThreadPool
from flyte._engine.attempts import Failure
from flyte._logging import system_logger
from flyte.errors import StorageError
from flyte.models import TaskContext
from flyte.report._files import write_report

if TYPE_CHECKING:
    from flyte._controller.child_process import ChildProcesses
    from flyte._controller.isolation import Isolation
    from flyte._controller.local import LocalController
    from flyte._controller.queue_limits import QueueLimit

LEFTOVER_GRACE_S = 5.0
"""How long a finished attempt waits for what it left running to take its cancellation."""


class Bodies:
    """Runs attempts of one run, on the engine's loop.

    Args:
        controller: What tasks called in a body go to.
        isolation: How attempts are kept apart, each in a process; None where they share this one.
    """

    def __init__(
        self,
        spec: LocalRunSpec,
        controller: LocalController,
        threads: ThreadPool,
        environment: ProcessEnvironment,
        recall: Recall,
        output: RunOutput,
        isolation: Isolation | None,
    ) -> None:
        self._spec = spec
        self._isolation = isolation
        self._controller = controller
        self._threads = threads
        self._environment = environment
        self._recall = recall
        self._output = output
        self._processes: ChildProcesses | None = None

    async def attempt(self, call: Call) -> Outputs | Failure:
        """One attempt at `call`: its outputs, or why there are none. Only cancellation is raised."""
        task, scope = call.task, call.scope
        loop_task = asyncio.current_task()
        attempt = Attempt(
            *(task, call.record, call.progress, scope.group if scope else None, loop_task, call.may_replay),
            *(scope.attempt if scope else None, call.record.attempt_no),
        )
        inside = ActionScope(
            action_name=call.record.name,
            controller=self._controller,
            make_context=self.task_context,
            custom_context=scope.custom_context if scope else self._spec.custom_context,
            attempt=attempt,
        )
        context = copy_context()
        context.run(enter_scope, inside)
        self._output.running += 1
        try:
            bound_s = task.timeout.max_runtime_s
            reference = self._needs_process(task)
            if reference is not None:
                return await self._in_process(call, inside, reference)
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
            self._output.running -= 1
            if attempt.output is not None:
                self._output.end(attempt.output)
            if scope is None and self._output.is_used:
                # Who follows the logs stops at the end of the run.
                await self._threads.run(self._output.write_logs)
            if task.report and attempt.report.has_content():
                await self._write_report(attempt)
            if attempt.others:
                await _stop(attempt.others)

    def _needs_process(self, task: Any) -> TaskReference | None:
        """How a process finds the task; None where it runs here, its environment's variables set."""
        if self._isolation is not None:
            return reference_of(task) or reference_with_code(task)
        self._environment.apply(task)
        if task.is_async or has_hooks(task):
            return None
        if task.timeout.max_runtime_s is None and task.timeout.deadline_s is None:
            return None
        # One that no other process can import runs on a thread.
        return reference_of(task)

    async def close(self) -> None:
        """No process of an attempt is left."""
        if self._processes is not None:
            await self._processes.close()

    def task_context(self, scope: ActionScope) -> TaskContext:
        """The public context of a scope."""
        return task_context(self._spec, scope, scope.attempt)

    async def _body(self, call: Call, attempt: Attempt, context: Context) -> Outputs:
        task, codec = call.task, call.task.codec
        is_blocking = codec.blocking
        kwargs = (
            codec.decode_inputs(call.inputs)
            if not is_blocking
            else await self._threads.run(partial(context.run, codec.decode_inputs, call.inputs))
        )
        limit = call.queue_limit
        if limit is not None and task.is_async:
            limit.runs()
        if has_hooks(task):
            value = await await_in_context(context, run_with_hooks(task, kwargs))
        elif task.is_async:
            value = await await_in_context(context, task.func(**kwargs))
        else:
            value = await self._threads.run(partial(_call_sync, context, task.func, kwargs, limit))
        self._check_calls(attempt)
        outputs: Outputs = (
            codec.encode_outputs(value)
            if not is_blocking
            else await self._threads.run(partial(context.run, codec.encode_outputs, value))
        )
        check_inline_size(task, "outputs", outputs.ByteSize())
        return outputs

    async def _in_process(self, call: Call, scope: ActionScope, reference: TaskReference) -> Outputs | Failure:
        if self._processes is None:
            from flyte._controller.child_process import ChildProcesses

            self._processes = ChildProcesses(self._spec, self._controller, self._threads, self._isolation)
        result = await self._processes.attempt(call, scope, reference)
        if not isinstance(result, Failure):
            self._check_calls(scope.attempt)
            check_inline_size(call.task, "outputs", result.ByteSize())
        return result

    def _check_calls(self, attempt: Attempt) -> None:
        if attempt.new_calls:
            check_divergence(self._recall, self._spec.home, attempt.record, attempt.new_calls)

    async def _write_report(self, attempt: Attempt) -> None:
        output_path = action_folder(self._spec, attempt.record)
        try:
            await self._threads.run(partial(write_report, attempt.report, str(output_path)))
        except (OSError, StorageError) as error:
            # A report tells about the work; not having one must not undo it.
            system_logger.warning("the report of action %s was not written: %s", attempt.record.name, error)


async def _stop(leftovers: set[asyncio.Task[Any]]) -> None:
    waiting = list(leftovers)
    for loop_task in waiting:
        loop_task.cancel()
    await asyncio.wait(waiting, timeout=LEFTOVER_GRACE_S)


def _call_sync(context: Context, function: Callable[..., Any], kwargs: dict[str, Any], limit: QueueLimit | None) -> Any:
    if limit is not None and not limit.runs():
        return None
    try:
        return context.run(function, **kwargs)
    except StopIteration as error:
        # It would end the coroutine that waits for this call, as if nothing had happened.
        raise RuntimeError("the task raised StopIteration") from error
