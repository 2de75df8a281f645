"""Calls of traced functions, of each kind: what is around them, wherever they are recorded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from flyte._context import ActionScope, enter_scope
from flyte._controller.stepping import await_in_context

if TYPE_CHECKING:
    from flyte._authoring.trace import TracedFunction

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class OpenTrace:
    """A trace that is to be executed now.

    Attributes:
        scope: What the function sees: the trace's own action.
    """

    traced: TracedFunction
    scope: ActionScope


@dataclass(frozen=True, slots=True)
class RecordedTrace:
    """A trace whose outcome is known; `value` is what it returned or, of a generator, the list of its items."""

    value: Any


Opened = TypeVar("Opened", bound=OpenTrace)


class TraceCalls(ABC, Generic[Opened]):
    """Calls of traced functions. Its methods may be called on any thread and any loop."""

    @abstractmethod
    async def begin(
        self, scope: ActionScope, traced: TracedFunction, arguments: dict[str, Any]
    ) -> Opened | RecordedTrace:
        """The trace, to be executed or recorded before."""

    @abstractmethod
    def begin_blocking(
        self, scope: ActionScope, traced: TracedFunction, arguments: dict[str, Any]
    ) -> Opened | RecordedTrace:
        """The same while this thread waits."""

    @abstractmethod
    async def end(self, opened: Opened, value: Any, error: BaseException | None) -> Any:
        """`value` once it, or the error, is recorded."""

    @abstractmethod
    def end_blocking(self, opened: Opened, value: Any, error: BaseException | None) -> Any:
        """The same while this thread waits."""

    async def call(self, scope: ActionScope, traced: TracedFunction, arguments: dict[str, Any]) -> Any:
        """What an async function returns, or returned when it was traced before."""
        begun = await self.begin(scope, traced, arguments)
        if isinstance(begun, RecordedTrace):
            return begun.value
        context = copy_context()
        context.run(enter_scope, begun.scope)
        try:
            value = await await_in_context(context, traced.start(arguments))
        except BaseException as error:
            await self.end(begun, None, error)
            raise
        return await self.end(begun, value, None)

    def call_blocking(self, scope: ActionScope, traced: TracedFunction, arguments: dict[str, Any]) -> Any:
        """The same for a sync function."""
        begun = self.begin_blocking(scope, traced, arguments)
        if isinstance(begun, RecordedTrace):
            return begun.value
        context = copy_context()
        context.run(enter_scope, begun.scope)
        try:
            value = context.run(traced.start, arguments)
        except BaseException as error:
            self.end_blocking(begun, None, error)
            raise
        return self.end_blocking(begun, value, None)

    async def stream(self, scope: ActionScope, traced: TracedFunction, arguments: dict[str, Any]) -> AsyncIterator[Any]:
        """The items of an async generator, recorded when it ends; those of the record when it was traced before."""
        begun = await self.begin(scope, traced, arguments)
        if isinstance(begun, RecordedTrace):
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
            await self.end(begun, None, error)
            raise
        await self.end(begun, items, None)

    def stream_blocking(self, scope: ActionScope, traced: TracedFunction, arguments: dict[str, Any]) -> Iterator[Any]:
        """The same for a sync generator."""
        begun = self.begin_blocking(scope, traced, arguments)
        if isinstance(begun, RecordedTrace):
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
            self.end_blocking(begun, None, error)
            raise
        self.end_blocking(begun, items, None)


async def _next_of(generator: AsyncIterator[T]) -> T:
    return await anext(generator)
