"""The controller of code that runs in a child process: calls and traces go to the engine as requests."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError as FutureCancelledError
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flyteidl2.task.common_pb2 import Inputs, Outputs

from flyte._context import ActionScope
from flyte._controller.calls import Task
from flyte._controller.child_messages import (
    Answer,
    Cancel,
    ConditionAsk,
    ConditionWait,
    Request,
    TaskCall,
    TraceBegin,
    TraceBegun,
    TraceEnd,
    Wanted,
    frame,
    read_frame,
)
from flyte._controller.child_tasks import pickled
from flyte._controller.failures import error_of, failure_of
from flyte._controller.progress import TaskProgress
from flyte._controller.trace_calls import OpenTrace, RecordedTrace, TraceCalls
from flyte.errors import ActionAbortedError, ConditionTimedoutError, RuntimeUserError

if TYPE_CHECKING:
    from flyte._authoring.trace import TracedFunction
    from flyte._store.conditions import Question


class Channel:
    """The connection to the engine. Safe to use from any thread."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._last_request_no = 0
        self._waiting: dict[int, Future[Any]] = {}
        self._when_lost: list[Callable[[], object]] = []
        self._is_lost = False

    def send(self, message: object) -> None:
        """The message is on its way.

        Raises:
            OSError: the attempt is over, or nobody wants it any more.
        """
        data = frame(message)
        with self._lock:
            if self._is_lost:
                raise BrokenPipeError("the attempt is over")
            self._connection.sendall(data)

    def receive(self) -> Any:
        """The next message.

        Raises:
            EOFError: the engine has ended, or does not want this process any more.
        """
        return read_frame(self._read_exactly)

    def ask(self, wanted: Wanted) -> Future[Any]:
        """The answer to a request; cancelling it tells the engine that nobody waits."""
        future: Future[Any] = Future()
        with self._lock:
            self._last_request_no += 1
            request_no = self._last_request_no
            self._waiting[request_no] = future
        future.add_done_callback(lambda done: self._withdraw(request_no) if done.cancelled() else None)
        self.send(Request(request_no, wanted))
        return future

    def hand_out(self, answer: Answer) -> None:
        """Whoever made the request gets its answer."""
        future = self._waiting.pop(answer.request_no, None)
        if future is None or not future.set_running_or_notify_cancel():
            return
        if answer.failure is not None:
            future.set_exception(error_of(answer.failure))
        else:
            future.set_result(answer.value)

    def _withdraw(self, request_no: int) -> None:
        with suppress(OSError):
            self.send(Cancel(request_no))

    def when_lost(self, call: Callable[[], object]) -> None:
        """`call` is called when nobody wants the attempt any more; at once when that is so already."""
        with self._lock:
            if not self._is_lost:
                self._when_lost.append(call)
                return
        call()

    def lose(self) -> None:
        """Nobody wants the attempt any more, and nobody answers it."""
        with self._lock:
            self._is_lost = True
            waiting, self._waiting = list(self._waiting.values()), {}
        for call in [*self._when_lost, *(future.cancel for future in waiting)]:
            call()

    def end(self, message: object) -> None:
        """The message is the last one of the attempt: its connection may be another attempt's from now on."""
        data = frame(message)
        with self._lock, suppress(OSError):
            self._connection.sendall(data)
            self._is_lost = True

    def _read_exactly(self, count: int) -> bytes:
        parts = []
        while count:
            part = self._connection.recv(min(count, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


class ChildController:
    """Sends what the code of one attempt calls to the engine. Works from any thread and any loop."""

    def __init__(self, channel: Channel) -> None:
        self.channel = self._channel = channel
        self.tracer = ChildTracer(channel, self)
        self.conditions = ChildConditions(channel)

    @property
    def output(self) -> Any:
        """Nothing: in a child all that is printed is the attempt's, and its streams send it."""
        return None

    async def submit(self, scope: ActionScope, task: Task, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs `task` as a child action of `scope`."""
        return await asyncio.wrap_future(self.start(scope, task, args, kwargs))

    def submit_blocking(self, scope: ActionScope, task: Task, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs `task` as a child action of `scope` while this thread waits."""
        try:
            return self.start(scope, task, args, kwargs).result()
        except FutureCancelledError:
            raise ActionAbortedError(f"the call of task {task.name!r} was aborted.") from None

    def start(self, scope: ActionScope, task: Task, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
        """The same without waiting: cancelling the future cancels the call."""
        named = task.interface.convert_to_kwargs(*args, **kwargs) if args else kwargs
        inputs = task.codec.encode_inputs(named).SerializeToString(deterministic=True)
        group = scope.group.name if scope.group else None
        call = TaskCall(scope.action_name, _pickled(task), inputs, group, dict(scope.custom_context))
        context = copy_context()
        return _then(self._channel.ask(call), lambda data: context.run(_outputs, task, data))


class ChildConditions:
    """Sends the questions of one attempt to the engine."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def ask(self, scope: ActionScope, question: Question) -> ChildCondition:
        """`question` is asked."""
        group = scope.group.name if scope.group else None
        ask = ConditionAsk(scope.action_name, question, group, dict(scope.custom_context))
        return ChildCondition(self._channel, await asyncio.wrap_future(self._channel.ask(ask)))


class ChildCondition:
    """A condition that was asked."""

    def __init__(self, channel: Channel, condition_no: int) -> None:
        self._channel = channel
        self._condition_no = condition_no

    async def answer(self) -> Any:
        """The answer, once somebody gave it; awaited as often as you like."""
        try:
            return await asyncio.wrap_future(self._channel.ask(ConditionWait(self._condition_no)))
        except RuntimeUserError as error:
            if error.code == "ConditionTimedoutError":
                raise ConditionTimedoutError(str(error)) from None
            raise


class ChildTracer(TraceCalls[OpenTrace]):
    """Sends the traces of one attempt to the engine."""

    def __init__(self, channel: Channel, controller: ChildController) -> None:
        self._channel = channel
        self._controller = controller

    async def begin(
        self, scope: ActionScope, traced: TracedFunction, arguments: dict[str, Any]
    ) -> OpenTrace | RecordedTrace:
        begun = await asyncio.wrap_future(self._channel.ask(_begin(scope, traced, arguments)))
        return self._begun(scope, traced, begun)

    def begin_blocking(
        self, scope: ActionScope, traced: TracedFunction, arguments: dict[str, Any]
    ) -> OpenTrace | RecordedTrace:
        return self._begun(scope, traced, self._channel.ask(_begin(scope, traced, arguments)).result())

    async def end(self, opened: OpenTrace, value: Any, error: BaseException | None) -> Any:
        end, raised = _end(opened, value, error)
        await asyncio.wrap_future(self._channel.ask(end))
        if raised is not None:
            raise raised
        return value

    def end_blocking(self, opened: OpenTrace, value: Any, error: BaseException | None) -> Any:
        end, raised = _end(opened, value, error)
        self._channel.ask(end).result()
        if raised is not None:
            raise raised
        return value

    def _begun(self, scope: ActionScope, traced: TracedFunction, begun: TraceBegun) -> OpenTrace | RecordedTrace:
        if begun.outputs is not None:
            return RecordedTrace(traced.codec.decode_outputs(Outputs.FromString(begun.outputs)))
        record = replace(scope.attempt.record, name=begun.action_name)
        inside = ActionScope(
            action_name=begun.action_name,
            controller=self._controller,
            make_context=scope.make_context,
            custom_context=scope.custom_context,
            attempt=scope.attempt.inside_trace(record, TaskProgress(traced.name)),
        )
        return OpenTrace(traced, inside)


def _begin(scope: ActionScope, traced: TracedFunction, arguments: dict[str, Any]) -> TraceBegin:
    inputs: Inputs = traced.codec.encode_inputs(arguments)
    group = scope.group.name if scope.group else None
    data = inputs.SerializeToString(deterministic=True)
    return TraceBegin(scope.action_name, traced.name, data, group, dict(scope.custom_context))


def _end(opened: OpenTrace, value: Any, error: BaseException | None) -> tuple[TraceEnd, Exception | None]:
    """The end, and what the caller gets in place of `value`: outputs that cannot be recorded."""
    name = opened.scope.action_name
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return TraceEnd(name), None
    if error is not None:
        return TraceEnd(name, failure=failure_of(error)), None
    try:
        outputs = opened.traced.codec.encode_outputs(value).SerializeToString(deterministic=True)
    except Exception as unrecordable:
        return TraceEnd(name, failure=failure_of(unrecordable)), unrecordable
    return TraceEnd(name, outputs), None


def _pickled(task: Task) -> bytes:
    try:
        return pickled(task)
    except Exception as error:
        raise RuntimeUserError(
            "TaskNotImportable",
            f"task {task.name!r} is called from a task that runs in a process of its own, and is declared where no "
            f"other process can import it; nor can it be sent there ({type(error).__name__}: {error}). Declare it at "
            "the top level of its module.",
        ) from error


def _outputs(task: Task, data: bytes) -> Any:
    return task.codec.decode_outputs(Outputs.FromString(data))


def _then(first: Future[Any], convert: Callable[[Any], Any]) -> Future[Any]:
    """What `convert` makes of the first one's result; cancelling it cancels the first one."""
    second: Future[Any] = Future()

    def settle(done: Future[Any]) -> None:
        if not second.set_running_or_notify_cancel():
            return
        try:
            second.set_result(convert(done.result()))
        except BaseException as error:
            second.set_exception(error)

    first.add_done_callback(settle)
    second.add_done_callback(lambda done: done.cancelled() and first.cancel())
    return second
