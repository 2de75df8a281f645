"""Traces: calls of plain functions inside an action, recorded and not made again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from flyte._context import ActionScope
from flyte._controller.calls import Attempt
from flyte._controller.failures import failure_of
from flyte._controller.ledger import DONE, Ledger
from flyte._controller.limits import check_inline_size
from flyte._controller.progress import TaskProgress
from flyte._controller.trace_calls import OpenTrace, RecordedTrace, TraceCalls
from flyte._engine.names import child_name
from flyte._faults import reach
from flyte._store.records import ActionKind, ActionRecord
from flyte.errors import ActionAbortedError
from flyte.models import ActionPhase
from flyte.types._hashing import inputs_hash

if TYPE_CHECKING:
    from flyte._authoring.trace import TracedFunction

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Opened(OpenTrace):
    """A trace of this engine that is to be executed now."""

    record: ActionRecord
    progress: TaskProgress
    leftovers: set[asyncio.Task[Any]]
    """Of the attempt it is in: while it goes on in an asyncio task of its own, that is cancelled with the attempt."""
    loop_task: asyncio.Task[Any] | None = None


class Tracer(TraceCalls[_Opened]):
    """Records the traces of one run. Its methods may be called on any thread and any loop."""

    def __init__(self, ledger: Ledger, loop: asyncio.AbstractEventLoop) -> None:
        self._ledger = ledger
        self._loop = loop

    async def begin(
        self, scope: ActionScope, traced: TracedFunction, arguments: dict[str, Any]
    ) -> _Opened | RecordedTrace:
        begun = await self._here(partial(self._begin, scope, traced, arguments))
        if isinstance(begun, _Opened) and self._is_on_loop():
            here = asyncio.current_task()
            if here is not None and here is not scope.attempt.loop_task:
                begun.loop_task = here
                begun.leftovers.add(here)
        return begun

    def begin_blocking(
        self, scope: ActionScope, traced: TracedFunction, arguments: dict[str, Any]
    ) -> _Opened | RecordedTrace:
        if not self._is_on_loop():
            begin = self._begin(scope, traced, arguments)
            return asyncio.run_coroutine_threadsafe(begin, self._loop).result()
        begun, spill = self._open(scope, traced, arguments)
        if spill is not None:
            _drop(spill)
            raise _too_large(traced, "inputs")
        return begun

    async def end(self, opened: _Opened, value: Any, error: BaseException | None) -> Any:
        return await self._here(partial(self._end, opened, value, error))

    def end_blocking(self, opened: _Opened, value: Any, error: BaseException | None) -> Any:
        if not self._is_on_loop():
            end = self._end(opened, value, error)
            return asyncio.run_coroutine_threadsafe(end, self._loop).result()
        phase, data, raised = self._outcome(opened, value, error)
        if data is not None and (spill := self._ledger.put_outputs(opened.record, data)) is not None:
            _drop(spill)
            raise _too_large(opened.traced, "outputs")
        self._ledger.end_blocking(opened.record, phase, opened.progress)
        if raised is not None:
            raise raised
        return value

    async def _here(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """`make()` awaited on the engine's loop, wherever this is."""
        if asyncio.get_running_loop() is self._loop:
            return await make()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(make(), self._loop))

    def _is_on_loop(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    async def _begin(
        self, scope: ActionScope, traced: TracedFunction, arguments: dict[str, Any]
    ) -> _Opened | RecordedTrace:
        begun, spill = self._open(scope, traced, arguments)
        if spill is not None:
            await spill
        return begun

    def _open(
        self, scope: ActionScope, traced: TracedFunction, arguments: dict[str, Any]
    ) -> tuple[_Opened | RecordedTrace, Awaitable[None] | None]:
        parent: Attempt = scope.attempt
        if parent.is_over:
            raise ActionAbortedError(
                f"the traced function {traced.name!r} was called by action {scope.action_name!r}, which is over."
            )
        inputs = traced.codec.encode_inputs(arguments)
        group = scope.group
        name = child_name(
            scope.action_name, traced.name, inputs_hash(inputs), group.name if group else None, scope.call_counts
        )
        ledger = self._ledger
        progress = parent.progress.child(traced.name)
        record = ledger.meet(name, parent.record.action_id, group) if parent.may_replay else None
        if record is not None and record.phase in DONE:
            progress.replayed()
            return RecordedTrace(traced.codec.decode_outputs(ledger.outputs_of(record))), None
        spill = None
        if record is None:
            record = ledger.open(name, parent.record.action_id, traced.name, group, ActionKind.TRACE)
            data = inputs.SerializeToString(deterministic=True)
            check_inline_size(parent.task, "inputs", len(data), traced.name)
            spill = ledger.put_inputs(record, data)
            if parent.may_replay:
                ledger.recall.keep(record)
                if ledger.recall.is_resumed:
                    parent.new_calls.append(record)
        progress.started += 1
        ledger.journal.started(record)
        inside = ActionScope(
            action_name=name,
            controller=scope.controller,
            make_context=scope.make_context,
            custom_context=scope.custom_context,
            attempt=parent.inside_trace(record, progress),
        )
        reach("trace.started")
        return _Opened(traced, inside, record, progress, parent.others), spill

    async def _end(self, opened: _Opened, value: Any, error: BaseException | None) -> Any:
        phase, data, raised = self._outcome(opened, value, error)
        if data is not None and (spill := self._ledger.put_outputs(opened.record, data)) is not None:
            await spill
        await self._ledger.end(opened.record, phase, opened.progress)
        if raised is not None:
            raise raised
        return value

    def _outcome(
        self, opened: _Opened, value: Any, error: BaseException | None
    ) -> tuple[ActionPhase, bytes | None, Exception | None]:
        """The phase, the outputs, and what the caller gets in place of `value`: outputs that cannot be recorded."""
        opened.scope.attempt.is_over = True
        if opened.loop_task is not None:
            opened.leftovers.discard(opened.loop_task)
        reach("trace.done")
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            return ActionPhase.ABORTED, None, None
        if error is not None:
            self._ledger.fail(opened.record, failure_of(error))
            return ActionPhase.FAILED, None, None
        try:
            data = opened.traced.codec.encode_outputs(value).SerializeToString(deterministic=True)
            check_inline_size(opened.scope.attempt.task, "outputs", len(data), opened.traced.name)
        except Exception as unrecordable:
            self._ledger.fail(opened.record, failure_of(unrecordable))
            return ActionPhase.FAILED, None, unrecordable
        return ActionPhase.SUCCEEDED, data, None


def _drop(spill: Awaitable[None]) -> None:
    if asyncio.iscoroutine(spill):
        spill.close()


def _too_large(traced: TracedFunction, side: str) -> Exception:
    from flyte.errors import InlineIOMaxBytesBreached

    return InlineIOMaxBytesBreached(
        f"the {side} of the traced function {traced.name!r} are too large to be recorded while it is called blockingly "
        "in async code: make it `async def`."
    )
