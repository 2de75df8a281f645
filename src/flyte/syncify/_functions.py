"""Async functions, generators and methods that can be called from plain code."""

from __future__ import annotations

import contextvars
import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from flyte.syncify._background import BackgroundLoop

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")


class _Wrapper:
    """What all forms share: name, docstring and signature of the wrapped function, and pickling by name."""

    __name__: str
    __qualname__: str

    def __init__(self, background: BackgroundLoop, func: Callable[..., Any]) -> None:
        functools.update_wrapper(self, func)  # type: ignore[arg-type]  # the subclasses are callable
        self._background = background
        self._func = func

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._func!r}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        instance = getattr(self._func, "__self__", None)
        return self.__qualname__ if instance is None else (getattr, (instance, self.__name__))


class SyncFunction(_Wrapper, Generic[P, R]):
    """An async function whose plain call blocks until the result is there; `.aio(...)` is the awaitable form."""

    _func: Callable[P, Coroutine[Any, Any, R]]

    def __init__(self, background: BackgroundLoop, func: Callable[P, Coroutine[Any, Any, R]]) -> None:
        super().__init__(background, func)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._background.run_blocking(self._func(*args, **kwargs))

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call from async code, on any event loop; the function itself runs on the background loop."""
        return await self._background.run_from_loop(self._func(*args, **kwargs))

    @overload
    def __get__(self, instance: None, owner: type) -> SyncFunction[P, R]: ...

    @overload
    def __get__(
        self: SyncFunction[Concatenate[S, Q], R], instance: S, owner: type | None = None
    ) -> SyncFunction[Q, R]: ...

    def __get__(self, instance: Any, owner: type | None = None) -> SyncFunction[Any, R]:
        return self if instance is None else SyncFunction(self._background, self._func.__get__(instance, owner))


class SyncGenerator(_Wrapper, Generic[P, R]):
    """An async generator function that plain code iterates too; `.aio(...)` is the form for `async for`."""

    _func: Callable[P, AsyncGenerator[R, None]]

    def __init__(self, background: BackgroundLoop, func: Callable[P, AsyncIterator[R]]) -> None:
        super().__init__(background, func)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        # One context for all steps: what the generator sets in one step is there in the next.
        context = contextvars.copy_context()
        run = functools.partial(self._background.run_blocking, context=context)
        source = self._func(*args, **kwargs)
        try:
            while True:
                try:
                    item = run(_next(source))
                except StopAsyncIteration:
                    return
                yield item
        finally:
            run(source.aclose())

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:
        """Iterate from async code, on any event loop; the generator itself runs on the background loop."""
        context = contextvars.copy_context()
        run = functools.partial(self._background.run_from_loop, context=context)
        source = self._func(*args, **kwargs)
        try:
            while True:
                try:
                    item = await run(_next(source))
                except StopAsyncIteration:
                    return
                yield item
        finally:
            await run(source.aclose())

    @overload
    def __get__(self, instance: None, owner: type) -> SyncGenerator[P, R]: ...

    @overload
    def __get__(
        self: SyncGenerator[Concatenate[S, Q], R], instance: S, owner: type | None = None
    ) -> SyncGenerator[Q, R]: ...

    def __get__(self, instance: Any, owner: type | None = None) -> SyncGenerator[Any, R]:
        return self if instance is None else SyncGenerator(self._background, self._func.__get__(instance, owner))


class SyncMethod(Generic[P, R]):
    """A class method or static method in the two forms of `SyncFunction`."""

    def __init__(
        self,
        background: BackgroundLoop,
        method: classmethod[Any, P, Coroutine[Any, Any, R]] | staticmethod[P, Coroutine[Any, Any, R]],
    ) -> None:
        self._background = background
        self._method = method
        self.__doc__ = method.__doc__

    def __get__(self, instance: Any, owner: type) -> SyncFunction[P, R]:
        return cast("SyncFunction[P, R]", wrap(self._background, self._method.__get__(instance, owner)))


async def _next(source: AsyncIterator[R]) -> R:
    return await anext(source)


def wrap(
    background: BackgroundLoop, obj: Any
) -> SyncFunction[Any, Any] | SyncGenerator[Any, Any] | SyncMethod[Any, Any]:
    """The callable form of an async function, generator, class method or static method.

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(obj, classmethod | staticmethod):
        wrap(background, obj.__func__)
        return SyncMethod(background, obj)
    if inspect.isasyncgenfunction(obj):
        return SyncGenerator(background, obj)
    if inspect.iscoroutinefunction(obj):
        return SyncFunction(background, obj)
    raise TypeError(
        f"syncify takes an async function, an async generator function, or a class method or static method of one; "
        f"got {obj!r}. Declare it with `async def`."
    )
