"""Calls of tasks as actions of a control plane."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import CancelledError as FutureCancelledError
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from flyteidl2.actions.actions_service_pb2 import Action
from flyteidl2.task.common_pb2 import Inputs, Outputs
from flyteidl2.workflow.run_definition_pb2 import TaskAction
from google.protobuf.wrappers_pb2 import StringValue

from flyte._context import ActionScope
from flyte._controller.limits import check_inline_size
from flyte._controller.loop_calls import start_on
from flyte._controller.remote.attempts import Place, RemoteAttempt
from flyte._controller.remote.files import INPUTS_FILE, write
from flyte._controller.remote.outcomes import outputs_of
from flyte._controller.remote.specs import CalledTask, CalledTasks, called_task, named
from flyte._rpc.identifiers import action_identifier
from flyte._rpc.settings import SessionSettings
from flyte.errors import ActionAbortedError, RuntimeSystemError, TraceDoesNotAllowNestedTasksError
from flyte.models import sub_action_name
from flyte.storage._addresses import join
from flyte.syncify._background import BackgroundLoop

if TYPE_CHECKING:
    from flyteidl2.task.task_definition_pb2 import TaskSpec

    from flyte._controller.remote.conditions import RemoteConditions
    from flyte._controller.remote.link import Link
    from flyte._controller.remote.tracing import RemoteTracer
    from flyte.types._codec import InterfaceCodec

CLOSE_S = 8.0
"""So long may it take to end what calls have left going on."""


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """One call, ready to be sent."""

    task: CalledTask
    place: Place
    action: Action
    inputs: bytes


class RemoteController:
    """The calls that the code of one process makes, of whichever actions and runs. Safe to use from any thread.

    Until the first call there is neither a thread nor a connection, so processes forked before it make calls of their
    own; one that is forked after it cannot, since the threads that carry requests are not in it.

    Args:
        settings: How the control plane is reached.
        uses_actions: It is to be asked by `ActionsService`, else by `QueueService` and `StateService`.
    """

    def __init__(self, settings: SessionSettings, *, uses_actions: bool = True) -> None:
        self.uses_actions = uses_actions
        self._settings = settings
        self.loop = BackgroundLoop("flyte-remote")
        self._tasks = CalledTasks()
        self._counting = threading.Lock()
        self._link: Link | None = None
        self._link_pid = 0

    @property
    def output(self) -> Any:
        """Nothing: what attempts print goes where the output of their process goes."""
        return None

    @cached_property
    def tracer(self) -> RemoteTracer:
        """What calls of traced functions go to."""
        from flyte._controller.remote.tracing import RemoteTracer

        return RemoteTracer(self)

    @cached_property
    def conditions(self) -> RemoteConditions:
        """What questions to people go to."""
        from flyte._controller.remote.conditions import RemoteConditions

        return RemoteConditions(self)

    async def submit(self, scope: ActionScope, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs `task` as a child action of `scope`; cancelled, it ends when the child has been aborted."""
        attempt = _allowed(scope, task.name)
        return await self._submit(scope, attempt, self._tasks.of(task, attempt.place), args, kwargs)

    async def submit_spec(
        self,
        scope: ActionScope,
        spec: TaskSpec,
        codec: InterfaceCodec,
        limited: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        queue: str = "",
    ) -> Any:
        """The same for a task that is known by its spec alone, such as one that was deployed.

        Args:
            spec: With the identifier of the task.
            codec: Converts its inputs and outputs.
            limited: What has its `name` and `max_inline_io_bytes`.
            queue: Where it is to wait.
        """
        attempt = _allowed(scope, spec.task_template.id.name)
        return await self._submit(scope, attempt, called_task(spec, codec, limited, queue), args, kwargs)

    def submit_blocking(self, scope: ActionScope, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs `task` as a child action of `scope` while this thread waits."""
        attempt = _allowed(scope, task.name)
        called = self._tasks.of(task, attempt.place)
        call = self._call(scope, attempt, called, called.codec.encode_inputs(_by_name(called, args, kwargs)))
        try:
            outputs = self.loop.run_blocking(self._run(call))
        except (asyncio.CancelledError, FutureCancelledError):
            raise ActionAbortedError(f"the call of task {task.name!r} was aborted.") from None
        return called.codec.decode_outputs(outputs)

    def start(self, scope: ActionScope, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
        """The same without waiting: cancelling the future cancels the call."""
        attempt = _allowed(scope, task.name)
        called = self._tasks.of(task, attempt.place)
        call = self._call(scope, attempt, called, called.codec.encode_inputs(_by_name(called, args, kwargs)))
        return start_on(self.loop.loop, partial(self._run_and_decode, call))

    @property
    def is_used(self) -> bool:
        """Whether anything was called in this process."""
        return self._link is not None and self._link_pid == os.getpid()

    async def end(self, attempt: RemoteAttempt) -> None:
        """The attempt is over, and nothing that it has called and left going on; for any loop."""
        attempt.is_over = True
        if self._has_link:
            await self.loop.run_from_loop(self.link().end(attempt.place.action))

    def end_blocking(self, attempt: RemoteAttempt) -> None:
        """The same while this thread waits, not for long."""
        attempt.is_over = True
        if self._has_link:
            self._soon(self.link().end(attempt.place.action))

    def close(self) -> None:
        """No call goes on, and neither a connection nor a thread is left. Safe to call twice."""
        if self._has_link:
            self._soon(self.link().close())
            self._link = None
            self.loop.close()

    @property
    def _has_link(self) -> bool:
        return self._link is not None and self._link_pid == os.getpid()

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(work, self.loop.loop).result(CLOSE_S)

    def link(self) -> Link:
        """The connection of this process; for the controller's loop."""
        if self._link is None:
            from flyte._controller.remote.link import Link

            self._link, self._link_pid = Link(self._settings, uses_actions=self.uses_actions), os.getpid()
        elif not self._has_link:
            raise RuntimeSystemError(
                "ForkedProcess",
                "this process was forked from one that has called tasks, and cannot call any itself: make the calls in "
                "the process of the attempt, or fork before the first of them.",
            )
        return self._link

    def child_name(self, scope: ActionScope, identity: str, inputs_hash: str) -> str:
        """The name of the next action of this identity with these inputs; the call is counted."""
        group = scope.group.name if scope.group else None
        key = f"{identity}:{inputs_hash}:{group or ''}"
        with self._counting:
            sequence_no = scope.call_counts[key] = scope.call_counts.get(key, 0) + 1
        return sub_action_name(scope.action_name, sequence_no, identity, inputs_hash, group)

    def action(self, scope: ActionScope, place: Place, name: str) -> Action:
        """The action of that name, a child of the task's; what it is comes into it."""
        return Action(
            action_id=action_identifier(place.action.new_sub_action(name)),
            parent_action_name=place.action.name,
            input_uri=join(place.run_base_dir, name, INPUTS_FILE),
            run_output_base=place.run_base_dir,
            group=scope.group.name if scope.group else "",
        )

    async def _submit(
        self,
        scope: ActionScope,
        attempt: RemoteAttempt,
        task: CalledTask,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        codec = task.codec
        kwargs = _by_name(task, args, kwargs)
        inputs = await asyncio.to_thread(codec.encode_inputs, kwargs) if codec.blocking else codec.encode_inputs(kwargs)
        outputs = await self.loop.run_from_loop(self._run(self._call(scope, attempt, task, inputs)))
        return (
            await asyncio.to_thread(codec.decode_outputs, outputs) if codec.blocking else codec.decode_outputs(outputs)
        )

    def _call(self, scope: ActionScope, attempt: RemoteAttempt, task: CalledTask, inputs: Inputs) -> _Call:
        place = attempt.place
        digest = task.inputs_hash(inputs)
        action = self.action(scope, place, self.child_name(scope, task.identity, digest))
        key = task.cache_key(digest)
        action.task.CopyFrom(
            TaskAction(
                id=task.task_id, spec=task.spec, cache_key=StringValue(value=key) if key else None, queue=task.queue
            )
        )
        if scope.custom_context:
            inputs.context.extend(named(scope.custom_context))
        data = inputs.SerializeToString(deterministic=True)
        check_inline_size(task.limited, "inputs", len(data))
        return _Call(task, place, action, data)

    async def _run(self, call: _Call) -> Outputs:
        link = self.link()
        children = link.children_of(call.place.action)
        update = await children.take(call.action.action_id.name)
        if update is None:
            await write(call.action.input_uri, call.inputs)
            update = await link.run(call.action, children)
        return await outputs_of(update, call.task, call.place)

    async def _run_and_decode(self, call: _Call) -> Any:
        codec, outputs = call.task.codec, await self._run(call)
        return (
            await asyncio.to_thread(codec.decode_outputs, outputs) if codec.blocking else codec.decode_outputs(outputs)
        )


def _by_name(task: CalledTask, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return task.codec.interface.convert_to_kwargs(*args, **kwargs) if args else dict(kwargs)


def _allowed(scope: ActionScope, task_name: str) -> RemoteAttempt:
    """The attempt that makes a call, if it may.

    Raises:
        TraceDoesNotAllowNestedTasksError: it is made in a trace.
        ActionAbortedError: the attempt is over.
    """
    attempt: RemoteAttempt = scope.attempt
    if attempt.trace_of is not None:
        raise TraceDoesNotAllowNestedTasksError(
            f"task {task_name!r} was called inside the trace {attempt.trace_of!r}: a trace records one function as a "
            "whole. Call the task from the task around it, or make the traced function a task."
        )
    if attempt.is_over:
        raise ActionAbortedError(
            f"task {task_name!r} was called by action {scope.action_name!r}, which is over: await every call before "
            "the task that makes it returns."
        )
    return attempt
