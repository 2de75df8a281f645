"""Methods that can be called from sync and from async code because they never wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

S = TypeVar("S")
P = ParamSpec("P")
T = TypeVar("T")


class BoundImmediate(Generic[P, T]):
    """`method(...)` and `await method.aio(...)` give the same."""

    def __init__(self, function: Callable[P, T]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._function(*args, **kwargs)

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """The same, for code that also works with runs that are elsewhere."""
        return self._function(*args, **kwargs)


class immediate(Generic[S, P, T]):
    """Gives a method an `.aio` form."""

    def __init__(self, function: Callable[Concatenate[S, P], T]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __get__(self, instance: S, owner: type[Any] | None = None) -> BoundImmediate[P, T]:
        return BoundImmediate(self._function.__get__(instance, owner))
