"""Traces of attempts under a control plane: executed here, recorded there."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flyteidl2.actions.actions_service_pb2 import Action
from flyteidl2.common.phase_pb2 import ActionPhase as PhaseMessage
from flyteidl2.task.common_pb2 import OutputReferences, Outputs
from flyteidl2.task.task_definition_pb2 import TraceSpec
from flyteidl2.workflow.run_definition_pb2 import TraceAction
from google.protobuf.timestamp_pb2 import Timestamp

from flyte._context import ActionScope
from flyte._controller.error_documents import error_document
from flyte._controller.failures import failure_of
from flyte._controller.limits import check_inline_size
from flyte._controller.remote.attempts import RemoteAttempt
from flyte._controller.remote.failures import replayed_error
from flyte._controller.remote.files import ERROR_FILE, OUTPUTS_FILE, read_outputs, write
from flyte._controller.remote.outcomes import DONE
from flyte._controller.remote.specs import trace_identity
from flyte._controller.trace_calls import OpenTrace, RecordedTrace, TraceCalls
from flyte._logging import system_logger
from flyte.errors import ActionAbortedError, BaseRuntimeError
from flyte.storage._addresses import join
from flyte.types._hashing import inputs_hash

if TYPE_CHECKING:
    from flyte._authoring.trace import TracedFunction
    from flyte._controller.remote.controller import RemoteController


@dataclass(slots=True, eq=False)
class _Opened(OpenTrace):
    """A trace that is to be executed now."""

    action: Action
    started_ns: int

    @property
    def folder(self) -> str:
        """Where its files are."""
        return join(self.action.run_output_base, self.action.action_id.name)


class RemoteTracer(TraceCalls[_Opened]):
    """Records the traces of one process. Its methods may be called on any thread and any loop."""

    def __init__(self, controller: RemoteController) -> None:
        self._controller = controller
        self._loop = controller.loop

    async def begin(
        self, scope: ActionScope, traced: TracedFunction, arguments: dict[str, Any]
    ) -> _Opened | RecordedTrace:
        action, data = self._asked(scope, traced, arguments)
        outputs = await self._loop.run_from_loop(self._recorded(scope, action, data))
        return self._begun(scope, traced, action, outputs)

    def begin_blocking(
        self, scope: ActionScope, traced: TracedFunction, arguments: dict[str, Any]
    ) -> _Opened | RecordedTrace:
        action, data = self._asked(scope, traced, arguments)
        outputs = self._loop.run_blocking(self._recorded(scope, action, data))
        return self._begun(scope, traced, action, outputs)

    async def end(self, opened: _Opened, value: Any, error: BaseException | None) -> Any:
        data, failed = _outcome(opened, value, error)
        if not isinstance(error, asyncio.CancelledError | GeneratorExit):
            await self._loop.run_from_loop(self._record(opened, data, failed))
        if failed is not None and failed is not error:
            raise failed
        return value

    def end_blocking(self, opened: _Opened, value: Any, error: BaseException | None) -> Any:
        data, failed = _outcome(opened, value, error)
        if not isinstance(error, asyncio.CancelledError | GeneratorExit):
            self._loop.run_blocking(self._record(opened, data, failed))
        if failed is not None and failed is not error:
            raise failed
        return value

    def _asked(self, scope: ActionScope, traced: TracedFunction, arguments: dict[str, Any]) -> tuple[Action, bytes]:
        """The action of a call, and its inputs."""
        attempt: RemoteAttempt = scope.attempt
        if attempt.is_over:
            raise ActionAbortedError(
                f"the traced function {traced.name!r} was called by action {scope.action_name!r}, which is over."
            )
        inputs = traced.codec.encode_inputs(arguments)
        data = inputs.SerializeToString(deterministic=True)
        check_inline_size(attempt.task, "inputs", len(data), traced.name)
        name = self._controller.child_name(scope, trace_identity(traced.function), inputs_hash(inputs))
        return self._controller.action(scope, attempt.place, name), data

    async def _recorded(self, scope: ActionScope, action: Action, data: bytes) -> Outputs | None:
        """What the call returned when it was made before; None where it is to be made now."""
        attempt: RemoteAttempt = scope.attempt
        children = self._controller.link().children_of(attempt.place.action)
        update = await children.take(action.action_id.name)
        if update is not None and update.phase in DONE and update.output_uri:
            outputs, _ = await read_outputs(update.output_uri)
            return outputs
        if update is not None and update.phase not in DONE and (error := replayed_error(update)) is not None:
            raise error
        await write(action.input_uri, data)
        return None

    def _begun(
        self, scope: ActionScope, traced: TracedFunction, action: Action, outputs: Outputs | None
    ) -> _Opened | RecordedTrace:
        if outputs is not None:
            return RecordedTrace(traced.codec.decode_outputs(outputs))
        inside = ActionScope(
            action_name=action.action_id.name,
            controller=scope.controller,
            make_context=scope.make_context,
            custom_context=scope.custom_context,
            attempt=scope.attempt.inside_trace(traced.name),
        )
        return _Opened(traced, inside, action, time.time_ns())

    async def _record(self, opened: _Opened, data: bytes | None, failed: BaseException | None) -> None:
        """The outcome is in its file, and with the control plane."""
        trace = TraceAction(
            name=opened.traced.name,
            phase=PhaseMessage.ACTION_PHASE_SUCCEEDED if failed is None else PhaseMessage.ACTION_PHASE_FAILED,
            start_time=_time(opened.started_ns),
            end_time=_time(time.time_ns()),
            outputs=OutputReferences(),
            spec=TraceSpec(interface=opened.traced.codec.typed_interface),
        )
        try:
            if failed is not None:
                document = error_document(failure_of(failed))
                await write(join(opened.folder, ERROR_FILE), document.SerializeToString(deterministic=True))
            elif data is not None:
                trace.outputs.output_uri = join(opened.folder, OUTPUTS_FILE)
                await write(trace.outputs.output_uri, data)
            opened.action.trace.CopyFrom(trace)
            await self._controller.link().enqueue(opened.action)
        except BaseRuntimeError as unrecorded:
            if failed is None:
                raise
            # What the function raised tells more.
            system_logger.warning("the failure of trace %s was not recorded: %s", opened.traced.name, unrecorded)


def _outcome(opened: _Opened, value: Any, error: BaseException | None) -> tuple[bytes | None, BaseException | None]:
    """The outputs, or what the call failed with: its error, or that outputs cannot be recorded."""
    attempt: RemoteAttempt = opened.scope.attempt
    attempt.is_over = True
    if error is not None:
        return None, error
    try:
        data: bytes = opened.traced.codec.encode_outputs(value).SerializeToString(deterministic=True)
        check_inline_size(attempt.task, "outputs", len(data), opened.traced.name)
    except Exception as unrecordable:
        return None, unrecordable
    return data, None


def _time(nanoseconds: int) -> Timestamp:
    return Timestamp(seconds=nanoseconds // 1_000_000_000, nanos=nanoseconds % 1_000_000_000)
