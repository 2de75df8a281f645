"""Class methods in the two forms of `syncify`, with types that every type checker follows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from flyte.syncify import syncify

if TYPE_CHECKING:
    from flyte.syncify._functions import SyncFunction, SyncGenerator

P = ParamSpec("P")
R = TypeVar("R")


class ClassFunction(Protocol[P, R]):
    """A class method that blocks, or is awaited as `.aio`."""

    def __get__(self, instance: Any, owner: Any = None) -> SyncFunction[P, R]: ...


class ClassGenerator(Protocol[P, R]):
    """A class method that is iterated, or asynchronously as `.aio`."""

    def __get__(self, instance: Any, owner: Any = None) -> SyncGenerator[P, R]: ...


# mypy hands a decorator above @classmethod the plain function, `cls` included; others hand it the class method.
if TYPE_CHECKING:

    @overload
    def on_class(method: classmethod[Any, P, Coroutine[Any, Any, R]]) -> ClassFunction[P, R]: ...

    @overload
    def on_class(method: classmethod[Any, P, AsyncIterator[R]]) -> ClassGenerator[P, R]: ...

    @overload
    def on_class(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]) -> ClassFunction[P, R]: ...

    @overload
    def on_class(method: Callable[Concatenate[Any, P], AsyncIterator[R]]) -> ClassGenerator[P, R]: ...

    def on_class(method: Any) -> Any:
        """What `syncify` makes of a class method."""

else:
    on_class = syncify
