"""`flyte.map`: one task called for each item of an iterable, many calls at a time, results in order."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable, Sized
from concurrent import futures
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, overload

from flyte._authoring.call_window import CallWindow
from flyte._authoring.expectations import expect, expect_bool, expect_optional_str
from flyte._authoring.task import TaskTemplate
from flyte._context import ActionScope, current_scope
from flyte.errors import ActionAbortedError, SyncTaskCallInAsyncContextError
from flyte.models import GroupData
from flyte.syncify import syncify

LOOK_AHEAD = 1_000
"""How many items of an iterable of unknown length are read before the first of them has a result."""

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
FutureT = TypeVar("FutureT", bound="futures.Future[Any] | asyncio.Future[Any]")

_AsyncPartial: TypeAlias = "functools.partial[Coroutine[Any, Any, R]]"


class _Task(Protocol[R_co]):
    """A task, to a type checker. With the class, whose result is invariant, `list(flyte.map(...))` would not check."""

    def aio(self, *args: Any, **kwargs: Any) -> Coroutine[object, None, R_co]: ...


class MapCall:
    """`flyte.map`: a generator for sync code, and one for async code as `.aio`."""

    @overload
    def __call__(
        self,
        func: _Task[R] | _AsyncPartial[R],
        *args: Iterable[Any],
        group_name: str | None = None,
        concurrency: int = 0,
        return_exceptions: Literal[False],
    ) -> Generator[R, None, None]: ...

    @overload
    def __call__(
        self,
        func: _Task[R] | _AsyncPartial[R],
        *args: Iterable[Any],
        group_name: str | None = None,
        concurrency: int = 0,
        return_exceptions: bool = True,
    ) -> Generator[R | Exception, None, None]: ...

    @overload
    def __call__(
        self,
        func: functools.partial[R],
        *args: Iterable[Any],
        group_name: str | None = None,
        concurrency: int = 0,
        return_exceptions: Literal[False],
    ) -> Generator[R, None, None]: ...

    @overload
    def __call__(
        self,
        func: functools.partial[R],
        *args: Iterable[Any],
        group_name: str | None = None,
        concurrency: int = 0,
        return_exceptions: bool = True,
    ) -> Generator[R | Exception, None, None]: ...

    def __call__(
        self,
        func: Any,
        *args: Iterable[Any],
        group_name: str | None = None,
        concurrency: int = 0,
        return_exceptions: bool = True,
    ) -> Generator[Any, None, None]:
        """Results of a task called with the first items of all iterables, then with the second ones, and so on.

        Inside a task the calls run side by side, as actions of the group `<task>_<group_name or 'map'>`, and results
        come in the order of the items. Items are read as calls are made, so an iterator may be endless. Closing the
        generator cancels the calls that run. Outside a task the function is called for one item after the other.

        ```py
        scores = [score for score in flyte.map(train, configs) if not isinstance(score, Exception)]
        ```

        Args:
            func: A task, or a `functools.partial` of one that leaves exactly one parameter.
            args: One iterable for each parameter, read until the shortest of them ends; none gives no result.
            group_name: Last part of the name of the group.
            concurrency: How many calls run at a time. 0 means all, for iterables that know their length, and
                `LOOK_AHEAD` for others.
            return_exceptions: A failed call gives its exception as a value. Else the first one is raised and the other
                calls are cancelled.

        Raises:
            TypeError: `func` is no task, or a partial that leaves another number of parameters.
            ValueError: `concurrency` is negative.
            SyncTaskCallInAsyncContextError: called on the event loop of a task, which it would block.
        """
        mapped = _Mapped(func, args, group_name, concurrency, return_exceptions)
        scope = current_scope()
        if scope is None:
            return mapped.one_by_one()
        if _loop_is_running():
            raise SyncTaskCallInAsyncContextError(
                f"flyte.map over {mapped.task.name!r} was called in async code, where it would block every other task. "
                "Write: async for result in flyte.map.aio(...)"
            )
        return mapped.on_threads(scope)

    @overload
    def aio(
        self,
        func: _Task[R] | _AsyncPartial[R],
        *args: Iterable[Any],
        group_name: str | None = None,
        concurrency: int = 0,
        return_exceptions: Literal[False],
    ) -> AsyncGenerator[R, None]: ...

    @overload
    def aio(
        self,
        func: _Task[R] | _AsyncPartial[R],
        *args: Iterable[Any],
        group_name: str | None = None,
        concurrency: int = 0,
        return_exceptions: bool = True,
    ) -> AsyncGenerator[R | Exception, None]: ...

    @overload
    def aio(
        self,
        func: functools.partial[R],
        *args: Iterable[Any],
        group_name: str | None = None,
        concurrency: int = 0,
        return_exceptions: Literal[False],
    ) -> AsyncGenerator[R, None]: ...

    @overload
    def aio(
        self,
        func: functools.partial[R],
        *args: Iterable[Any],
        group_name: str | None = None,
        concurrency: int = 0,
        return_exceptions: bool = True,
    ) -> AsyncGenerator[R | Exception, None]: ...

    def aio(
        self,
        func: Any,
        *args: Iterable[Any],
        group_name: str | None = None,
        concurrency: int = 0,
        return_exceptions: bool = True,
    ) -> AsyncGenerator[Any, None]:
        """The same for `async for`, over sync and async tasks alike."""
        mapped = _Mapped(func, args, group_name, concurrency, return_exceptions)
        scope = current_scope()
        return mapped.one_by_one_async() if scope is None else mapped.on_loop(scope)


map = MapCall()


class _Mapped:
    """One use of `flyte.map`."""

    def __init__(
        self,
        func: Any,
        iterables: tuple[Iterable[Any], ...],
        group_name: str | None,
        concurrency: int,
        return_exceptions: bool,
    ) -> None:
        self.task, self._arguments = _called(func, len(iterables))
        expect_optional_str("group_name", group_name)
        expect_bool("return_exceptions", return_exceptions)
        expect(isinstance(concurrency, int) and not isinstance(concurrency, bool), "concurrency", "an int", concurrency)
        if concurrency < 0:
            raise ValueError(f"concurrency must be 0, which is no limit, or more; got {concurrency}")
        self._group = GroupData(f"{self.task.name}_{group_name or 'map'}")
        self._concurrency = concurrency
        self._return_exceptions = return_exceptions
        self._is_of_known_length = any(isinstance(each, Sized) for each in iterables)
        self._items = zip(*iterables, strict=False)

    def one_by_one(self) -> Generator[Any, None, None]:
        for item in self._items:
            args, kwargs = self._arguments(item)
            try:
                outcome = self.task.forward(*args, **kwargs)
                if inspect.iscoroutine(outcome):
                    outcome = syncify.run_blocking(outcome)
            except Exception as error:
                outcome = self._failed(error)
            yield outcome

    async def one_by_one_async(self) -> AsyncGenerator[Any, None]:
        for item in self._items:
            args, kwargs = self._arguments(item)
            try:
                outcome = await self.task.aio(*args, **kwargs)
            except Exception as error:
                outcome = self._failed(error)
            yield outcome

    def on_threads(self, scope: ActionScope) -> Generator[Any, None, None]:
        """The results while the calling thread waits for them; the calls themselves run on the engine's loop."""
        scope = scope.derive(group=self._group)
        ended = threading.Event()

        def start(item: tuple[Any, ...]) -> futures.Future[Any]:
            future: futures.Future[Any] = scope.controller.start(scope, self.task, *self._arguments(item))
            return future

        window = self._window(start, ended.set)
        try:
            while True:
                ended.clear()
                future = window.fill()
                if future is None:
                    return
                if future.done():
                    yield self._outcome(window.take())
                else:
                    ended.wait()
        finally:
            window.cancel()

    async def on_loop(self, scope: ActionScope) -> AsyncGenerator[Any, None]:
        """The results while the calling coroutine waits for them, on whatever loop it runs."""
        scope = scope.derive(group=self._group)
        ended = asyncio.Event()

        def start(item: tuple[Any, ...]) -> asyncio.Future[Any]:
            return asyncio.ensure_future(scope.controller.submit(scope, self.task, *self._arguments(item)))

        window = self._window(start, ended.set)
        try:
            while True:
                ended.clear()
                future = window.fill()
                if future is None:
                    return
                if future.done():
                    yield self._outcome(window.take())
                else:
                    await ended.wait()
        finally:
            if cancelled := window.cancel():
                # Whoever goes on after this meets actions that have ended, not some that are about to.
                await asyncio.wait(cancelled)
            for future in window.left():
                # Else asyncio complains of errors that nobody looked at.
                _ = future.cancelled() or future.exception()

    def _window(self, start: Callable[[tuple[Any, ...]], FutureT], wake: Callable[[], None]) -> CallWindow[FutureT]:
        ahead = None if self._is_of_known_length and not self._concurrency else max(LOOK_AHEAD, self._concurrency)
        return CallWindow(self._items, start, wake, self._concurrency or None, ahead)

    def _outcome(self, future: futures.Future[Any] | asyncio.Future[Any]) -> Any:
        if future.cancelled():
            return self._failed(ActionAbortedError(f"the call of task {self.task.name!r} was aborted."))
        error = future.exception()
        if error is None:
            return future.result()
        if not isinstance(error, Exception):
            raise error
        return self._failed(error)

    def _failed(self, error: Exception) -> Exception:
        if not self._return_exceptions:
            raise error
        return error


_Arguments: TypeAlias = Callable[[tuple[Any, ...]], tuple[tuple[Any, ...], dict[str, Any]]]


def _called(func: Any, iterables: int) -> tuple[TaskTemplate[Any, Any, Any], _Arguments]:
    """The task that is called, and what makes the arguments of one call out of the items."""
    task = func.func if isinstance(func, functools.partial) else func
    if not isinstance(task, TaskTemplate):
        hint = " Decorate it with `@env.task` first." if callable(task) else ""
        raise TypeError(f"flyte.map takes a task or a partial of one, got {task!r} ({type(task).__name__}).{hint}")
    if task is func:
        return task, lambda item: (item, {})
    bound = _bound(func, task)
    left = [name for name in task.interface.inputs if name not in bound]
    if len(left) != 1:
        raise TypeError(
            f"a partial for flyte.map must leave exactly one parameter, but this one of task {task.name!r} leaves "
            f"{len(left)}: {', '.join(left) or 'none'}. Bind the others, those with defaults too."
        )
    if iterables > 1:
        raise TypeError(
            f"a partial of task {task.name!r} that leaves one parameter, {left[0]!r}, takes one iterable; got "
            f"{iterables}."
        )
    return task, lambda item: ((), {**bound, left[0]: item[0]})


def _bound(func: functools.partial[Any], task: TaskTemplate[Any, Any, Any]) -> dict[str, Any]:
    bound = task.interface.convert_to_kwargs(*func.args) if func.args else {}
    for name, value in func.keywords.items():
        if name in bound:
            raise TypeError(f"the partial of task {task.name!r} binds {name!r} by position and by name.")
        bound[name] = value
    return bound


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
