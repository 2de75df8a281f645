"""Attempts in processes of their own: of sync tasks with a time limit, and of every task in an isolated run.

What the task calls and traces comes back here as requests; the engine does the same for them as for any call.
"""

from __future__ import annotations

import asyncio
import pickle
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from flyteidl2.task.common_pb2 import Inputs, Outputs

from flyte._authoring.reuse import ReusePolicy
from flyte._context import ActionScope
from flyte._controller.calls import Call
from flyte._controller.child_messages import (
    LENGTH_BYTES,
    Answer,
    Cancel,
    ConditionAsk,
    ConditionWait,
    Ended,
    Printed,
    Ready,
    Request,
    Start,
    TaskCall,
    TraceBegin,
    TraceBegun,
    TraceEnd,
    Wanted,
    frame,
    length_of,
)
from flyte._controller.child_seats import OwnProcess, Seat, Worker, WorkerSeat
from flyte._controller.child_servers import ForkServers, Server
from flyte._controller.child_tasks import TaskReference
from flyte._controller.child_workers import WorkerPool
from flyte._controller.conditions import Asked
from flyte._controller.failures import error_of, failure_of
from flyte._controller.isolation import Isolation, Placement, placement_here
from flyte._controller.limits import time_limit
from flyte._controller.local_run import LocalRunSpec
from flyte._controller.process_slots import ProcessSlots
from flyte._controller.streams import terminal
from flyte._controller.threads import ThreadPool
from flyte._controller.trace_calls import OpenTrace, RecordedTrace
from flyte._engine.attempts import Failure
from flyte._forks.client import LaunchFailedError, ServerSpec
from flyte._logging import logger, system_logger
from flyte.models import GroupData

if TYPE_CHECKING:
    from flyte._controller.local import LocalController

START_LIMIT_S = 120.0
"""How long the imports of a task may take; `max_runtime` counts from the moment they are done."""

Lent = Callable[[], AbstractContextManager[None]]


class ChildProcesses:
    """Runs attempts of one run in processes, on the engine's loop.

    Args:
        isolation: How attempts are kept apart; None runs them in the software and with the variables of this process.
    """

    def __init__(
        self, spec: LocalRunSpec, controller: LocalController, threads: ThreadPool, isolation: Isolation | None
    ) -> None:
        self.controller = controller
        self.threads = threads
        self.slots = ProcessSlots()
        self._spec = spec
        self._isolation = isolation
        self._servers = ForkServers()
        self._pools: dict[tuple[ServerSpec, str | None, ReusePolicy], WorkerPool[Worker]] = {}

    async def attempt(self, call: Call, scope: ActionScope, reference: TaskReference) -> Outputs | Failure:
        """One attempt at `call` in a process; when this returns or raises, it and all it has started was killed."""
        placement = await self._placement(call, scope, reference)
        if not placement.is_same_python:
            # Compiled code differs from one Python to another.
            reference = replace(reference, code_version=None)
        if placement.reuse is not None:
            return await self._in_worker(call, scope, reference, placement)
        await self.slots.take()
        try:
            if call.queue_limit is not None:
                call.queue_limit.runs()
            server = await self._server(placement)
            child = _Child(self, call, scope, self.slots.lent)
            seat = OwnProcess(server, placement.folder, child.print_text)
            return await child.run(self._start(call, scope, reference), seat)
        except LaunchFailedError as error:
            return _not_started(call, str(error))
        finally:
            self.slots.give_back()

    async def close(self) -> None:
        """No process is left."""
        for pool in self._pools.values():
            await pool.close()
        await self._servers.close()
        if self._isolation is not None:
            self._isolation.close()

    async def _in_worker(
        self, call: Call, scope: ActionScope, reference: TaskReference, placement: Placement
    ) -> Outputs | Failure:
        assert placement.reuse is not None
        key = placement.spec, placement.workers_of, placement.reuse
        pool = self._pools.setdefault(key, WorkerPool(placement.reuse, Worker))
        try:
            server = await self._server(placement)
            worker = await pool.take(server)
        except LaunchFailedError as error:
            return _not_started(call, str(error))
        try:
            if call.queue_limit is not None:
                call.queue_limit.runs()
            child = _Child(self, call, scope, partial(pool.lent, worker))
            return await child.run(self._start(call, scope, reference), WorkerSeat(worker, is_async=call.task.is_async))
        except LaunchFailedError as error:
            return _not_started(call, str(error))
        finally:
            pool.give_back(worker)

    async def _server(self, placement: Placement) -> Server:
        try:
            async with asyncio.timeout(START_LIMIT_S) as limit:
                return await self._servers.get(placement.spec)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise LaunchFailedError(f"it had not imported the task after {START_LIMIT_S:g} s") from error

    async def _placement(self, call: Call, scope: ActionScope, reference: TaskReference) -> Placement:
        if self._isolation is None:
            return placement_here(reference)
        if (known := self._isolation.known_placement(call.task, reference)) is not None:
            return known

        def say(text: str) -> None:
            self.controller.output.write(scope.attempt, "stderr", f"{text}\n", terminal("stderr"))

        find = partial(self._isolation.placement, call.task, reference, say)
        placement: Placement = await self.threads.run(find)
        return placement

    def _start(self, call: Call, scope: ActionScope, reference: TaskReference) -> Start:
        bare = replace(call.record, inputs=None, outputs=None, error=None)
        group = scope.attempt.group
        return Start(
            task=reference,
            inputs=call.inputs.SerializeToString(deterministic=True),
            spec=self._spec,
            record=bare,
            group=group.name if group else None,
            custom_context=dict(scope.custom_context),
            argv=sys.argv,
            log_levels=(system_logger.level, logger.level),
        )


class _Child:
    """One process, from its start until nothing of it is left.

    It leads a process group, with which whatever it has started is killed too.
    """

    def __init__(self, processes: ChildProcesses, call: Call, scope: ActionScope, lent: Lent) -> None:
        self._processes = processes
        self._controller = processes.controller
        self._call = call
        self._lent = lent
        self._scopes = {scope.action_name: scope}
        self._traces: dict[str, OpenTrace] = {}
        self._conditions: list[Asked] = []
        self._requests: dict[int, asyncio.Task[None]] = {}
        self._waits = 0
        self._loan = ExitStack()
        self._is_ready = self._is_over = False

    async def run(self, start: Start, seat: Seat) -> Outputs | Failure:
        """The attempt's outcome.

        Raises:
            LaunchFailedError: its process could not be started.
        """
        self._seat = seat
        self._line = await seat.begin()
        try:
            try:
                async with asyncio.timeout(START_LIMIT_S) as self._limit:
                    self._line.writer.write(frame(start))
                    return await self._converse()
            except TimeoutError:
                if not self._limit.expired():
                    raise
                return self._too_late()
        finally:
            await self._clean_up()

    def print_text(self, name: str, text: str) -> None:
        """`text` was written to the stream of that name."""
        attempt = self._scopes[self._call.record.name].attempt
        self._controller.output.write(attempt, name, text, terminal(name))

    async def _converse(self) -> Outputs | Failure:
        while True:
            try:
                head = await self._line.reader.readexactly(LENGTH_BYTES)
                message = pickle.loads(await self._line.reader.readexactly(length_of(head)))
            except (asyncio.IncompleteReadError, ConnectionError):
                return await self._died()
            match message:
                case Printed(name, text):
                    self.print_text(name, text)
                case Request(request_no, wanted):
                    self._requests[request_no] = asyncio.ensure_future(self._answer(request_no, wanted))
                case Cancel(request_no):
                    if request_no in self._requests:
                        self._requests[request_no].cancel()
                case Ready():
                    bound_s = self._call.task.timeout.max_runtime_s
                    now = asyncio.get_running_loop().time()
                    self._limit.reschedule(None if bound_s is None else now + bound_s)
                    self._is_ready = True
                case Ended(outputs, failure):
                    self._is_over = True
                    return failure or Outputs.FromString(outputs or b"")

    async def _answer(self, request_no: int, wanted: Wanted) -> None:
        try:
            with self._waiting():
                answer = Answer(request_no, await self._value(wanted))
        except asyncio.CancelledError:
            answer = Answer(request_no, failure=Failure("ActionAbortedError", "user", "the call was aborted."))
        except Exception as error:
            # Its own frames are those of this engine; the code that made the call is in the child.
            failure = replace(failure_of(error), traceback=getattr(error, "remote_traceback", None))
            answer = Answer(request_no, failure=failure)
        self._requests.pop(request_no, None)
        self._line.writer.write(frame(answer))

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Within the block its place is free: it has one, however many answers it waits for."""
        if not self._waits:
            self._loan.enter_context(self._lent())
        self._waits += 1
        try:
            yield
        finally:
            self._waits -= 1
            if not self._waits:
                self._loan.close()

    async def _value(self, wanted: Wanted) -> Any:
        tracer = self._controller.tracer
        match wanted:
            case TaskCall(action_name, task, inputs, group, custom_context):
                scope = self._scope(action_name, group, custom_context)
                called = self._controller.submit_encoded(scope, pickle.loads(task), Inputs.FromString(inputs))
                return (await called).SerializeToString(deterministic=True)
            case TraceBegin(action_name, function_name, inputs, group, custom_context):
                scope = self._scope(action_name, group, custom_context)
                begun = await tracer.begin(scope, _TracedThere(function_name), {"": inputs})  # type: ignore[arg-type]
                if isinstance(begun, RecordedTrace):
                    return TraceBegun(outputs=begun.value)
                self._scopes[begun.scope.action_name] = begun.scope
                self._traces[begun.scope.action_name] = begun
                return TraceBegun(begun.scope.action_name)
            case TraceEnd(action_name, outputs, failure):
                error: BaseException | None = error_of(failure) if failure else None
                if outputs is None and failure is None:
                    error = asyncio.CancelledError()
                await tracer.end(self._traces.pop(action_name), outputs, error)  # type: ignore[arg-type]
                return None
            case ConditionAsk(action_name, question, group, custom_context):
                scope = self._scope(action_name, group, custom_context)
                self._conditions.append(await self._controller.conditions.ask(scope, question))
                return len(self._conditions) - 1
            case ConditionWait(condition_no):
                return await self._conditions[condition_no].answer()

    def _scope(self, action_name: str, group: str | None, custom_context: Mapping[str, str]) -> ActionScope:
        derived_group = GroupData(group) if group else None
        return self._scopes[action_name].derive(group=derived_group, custom_context=custom_context)

    def _too_late(self) -> Failure:
        bound_s = self._call.task.timeout.max_runtime_s
        if self._is_ready and bound_s is not None:
            return time_limit(self._call.task, "MAX_RUNTIME_EXCEEDED", bound_s)
        return _not_started(self._call, f"it had not imported the task after {START_LIMIT_S:g} s")

    async def _died(self) -> Failure:
        code = await self._seat.died()
        how = f"was killed by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        message = f"the process of task {self._call.task.name!r} {how} before the task returned."
        return Failure("ProcessDied", "user", message, worker="user")

    async def _clean_up(self) -> None:
        try:
            self._seat.end()
            requests = list(self._requests.values())
            for request in requests:
                request.cancel()
            if requests:
                await asyncio.wait(requests)
            for trace in list(self._traces.values()):
                await self._controller.tracer.end(trace, None, asyncio.CancelledError())  # type: ignore[arg-type]
        finally:
            self._seat.release(self._line, is_over=self._is_over)
        await self._seat.ended()


class _TracedThere:
    """A traced function in the child, as the tracer here sees it: arguments and result come serialized."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.codec = self

    def encode_inputs(self, arguments: Mapping[str, bytes]) -> Inputs:
        """The inputs in the message that the child has sent."""
        return Inputs.FromString(arguments[""])

    def encode_outputs(self, data: bytes) -> Outputs:
        """The outputs in it."""
        return Outputs.FromString(data)

    def decode_outputs(self, outputs: Outputs) -> bytes:
        """What the child decodes."""
        data: bytes = outputs.SerializeToString(deterministic=True)
        return data


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        # Of the real-time signals only the first and the last have names.
        return f"signal {number}"


def _not_started(call: Call, reason: str) -> Failure:
    return Failure("ProcessNotStarted", "system", f"the process of task {call.task.name!r} did not start: {reason}.")
