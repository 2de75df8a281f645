"""Traces: calls of plain functions inside an action, recorded and not made again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from flyte._context import ActionScope, enter_scope
from flyte._controller.calls import Attempt
from flyte._controller.failures import failure_of
from flyte._controller.ledger import SUCCEEDED, Ledger
from flyte._controller.progress import TaskProgress
from flyte._controller.stepping import await_in_context
from flyte._engine.names import child_name
from flyte._store.records import ActionKind, ActionRecord
from flyte.errors import ActionAbortedError
from flyte.models import ActionPhase
from flyte.types._hashing import inputs_hash

if TYPE_CHECKING:
    from flyte._authoring.trace import TracedFunction

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Opened:
    """A trace that is to be executed now."""

    traced: TracedFunction
    record: ActionRecord
    progress: TaskProgress
    scope: ActionScope
    """What the function sees: the trace's own action."""


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A trace whose outcome is known; `value` is what it returned or, of a generator, the list of its items."""

    value: Any


class Tracer:
    """Records the traces of one run. Its methods may be called on any thread and any loop."""

    def __init__(self, ledger: Ledger, loop: asyncio.AbstractEventLoop) -> None:
        self._ledger = ledger
        self._loop = loop

    async def call(self, scope: ActionScope, traced: TracedFunction, arguments: dict[str, Any]) -> Any:
        """What an async function returns, or returned when it was traced before."""
        begun = await self._here(partial(self._begin_async, scope, traced, arguments))
        if isinstance(begun, _Recorded):
            return begun.value
        context = copy_context()
        context.run(enter_scope, begun.scope)
        try:
            value = await await_in_context(context, traced.start(arguments))
        except BaseException as error:
            await self._here(partial(self._end_async, begun, None, error))
            raise
        return await self._here(partial(self._end_async, begun, value, None))

    def call_blocking(self, scope: ActionScope, traced: TracedFunction, arguments: dict[str, Any]) -> Any:
        """The same for a sync function."""
        begun = self._begin(scope, traced, arguments)
        if isinstance(begun, _Recorded):
            return begun.value
        context = copy_context()
        context.run(enter_scope, begun.scope)
        try:
            value = context.run(traced.start, arguments)
        except BaseException as error:
            self._end(begun, None, error)
            raise
        return self._end(begun, value, None)

    async def stream(self, scope: ActionScope, traced: TracedFunction, arguments: dict[str, Any]) -> AsyncIterator[Any]:
        """The items of an async generator, recorded when it ends; those of the record when it was traced before."""
        begun = await self._here(partial(self._begin_async, scope, traced, arguments))
        if isinstance(begun, _Recorded):
            for item in begun.value:
                yield item
            return
        context = copy_context()
        context.run(enter_scope, begun.scope)
        items: list[Any] = []
        generator = traced.start(arguments)
        try:
            while True:
                try:
                    item = await await_in_context(context, _next_of(generator))
                except StopAsyncIteration:
                    break
                items.append(item)
                yield item
        except BaseException as error:
            await self._here(partial(self._end_async, begun, None, error))
            raise
        await self._here(partial(self._end_async, begun, items, None))

    def stream_blocking(self, scope: ActionScope, traced: TracedFunction, arguments: dict[str, Any]) -> Iterator[Any]:
        """The same for a sync generator."""
        begun = self._begin(scope, traced, arguments)
        if isinstance(begun, _Recorded):
            yield from begun.value
            return
        context = copy_context()
        context.run(enter_scope, begun.scope)
        items: list[Any] = []
        generator = traced.start(arguments)
        nothing = object()
        try:
            while (item := context.run(next, generator, nothing)) is not nothing:
                items.append(item)
                yield item
        except BaseException as error:
            self._end(begun, None, error)
            raise
        self._end(begun, items, None)

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

    def _begin(self, scope: ActionScope, traced: TracedFunction, arguments: dict[str, Any]) -> _Opened | _Recorded:
        if not self._is_on_loop():
            begin = self._begin_async(scope, traced, arguments)
            return asyncio.run_coroutine_threadsafe(begin, self._loop).result()
        begun, spill = self._open(scope, traced, arguments)
        if spill is not None:
            _drop(spill)
            raise _too_large(traced, "inputs")
        return begun

    async def _begin_async(
        self, scope: ActionScope, traced: TracedFunction, arguments: dict[str, Any]
    ) -> _Opened | _Recorded:
        begun, spill = self._open(scope, traced, arguments)
        if spill is not None:
            await spill
        return begun

    def _open(
        self, scope: ActionScope, traced: TracedFunction, arguments: dict[str, Any]
    ) -> tuple[_Opened | _Recorded, Awaitable[None] | None]:
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
        record = ledger.meet(name) if parent.may_replay else None
        if record is not None and record.phase == SUCCEEDED:
            progress.replayed()
            return _Recorded(traced.codec.decode_outputs(ledger.outputs_of(record))), None
        spill = None
        if record is None:
            record = ledger.open(name, parent.record.action_id, traced.name, group, ActionKind.TRACE)
            spill = ledger.put_inputs(record, inputs.SerializeToString(deterministic=True))
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
        return _Opened(traced, record, progress, inside), spill

    def _end(self, opened: _Opened, value: Any, error: BaseException | None) -> Any:
        if not self._is_on_loop():
            end = self._end_async(opened, value, error)
            return asyncio.run_coroutine_threadsafe(end, self._loop).result()
        phase, data = self._outcome(opened, value, error)
        if data is not None and (spill := self._ledger.put_outputs(opened.record, data)) is not None:
            _drop(spill)
            raise _too_large(opened.traced, "outputs")
        self._ledger.end_blocking(opened.record, phase, opened.progress)
        return value

    async def _end_async(self, opened: _Opened, value: Any, error: BaseException | None) -> Any:
        phase, data = self._outcome(opened, value, error)
        if data is not None and (spill := self._ledger.put_outputs(opened.record, data)) is not None:
            await spill
        await self._ledger.end(opened.record, phase, opened.progress)
        return value

    def _outcome(self, opened: _Opened, value: Any, error: BaseException | None) -> tuple[ActionPhase, bytes | None]:
        opened.scope.attempt.is_over = True
        if error is None:
            return ActionPhase.SUCCEEDED, opened.traced.codec.encode_outputs(value).SerializeToString(
                deterministic=True
            )
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            return ActionPhase.ABORTED, None
        self._ledger.fail(opened.record, failure_of(error))
        return ActionPhase.FAILED, None


async def _next_of(generator: AsyncIterator[T]) -> T:
    return await anext(generator)


def _drop(spill: Awaitable[None]) -> None:
    if asyncio.iscoroutine(spill):
        spill.close()


def _too_large(traced: TracedFunction, side: str) -> Exception:
    from flyte.errors import InlineIOMaxBytesBreached

    return InlineIOMaxBytesBreached(
        f"the {side} of the traced function {traced.name!r} are too large to be recorded while it is called blockingly "
        "in async code: make it `async def`."
    )
