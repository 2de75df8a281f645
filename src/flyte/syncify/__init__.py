"""One async source, called from plain code and from async code alike.

```python
from flyte.syncify import syncify


@syncify
async def answer() -> int:
    return 42


print(answer())  # blocks; in async code: await answer.aio()
```
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar, overload

from flyte.syncify._background import BackgroundLoop
from flyte.syncify._functions import SyncFunction, SyncGenerator, SyncMethod, wrap

__all__ = ["Syncify", "syncify"]

P = ParamSpec("P")
R = TypeVar("R")


class Syncify:
    """A decorator that gives async code a blocking form; all that one instance decorates shares one event loop.

    Args:
        name: Of the loop's thread, which starts at the first call.
    """

    def __init__(self, name: str = "flyte_syncify") -> None:
        self._background = BackgroundLoop(name)

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a static method is also a callable
        self, obj: classmethod[Any, P, Coroutine[Any, Any, R]] | staticmethod[P, Coroutine[Any, Any, R]]
    ) -> SyncMethod[P, R]: ...

    @overload
    def __call__(self, obj: Callable[P, Coroutine[Any, Any, R]]) -> SyncFunction[P, R]: ...

    @overload
    def __call__(self, obj: Callable[P, AsyncIterator[R]]) -> SyncGenerator[P, R]: ...

    def __call__(self, obj: Any) -> Any:
        return wrap(self._background, obj)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop, running on its thread."""
        return self._background.loop

    def run_blocking(self, coro: Coroutine[Any, Any, R]) -> R:
        """Run `coro` on the loop and wait for it: what a plain call of a decorated function does.

        Raises:
            AssertionError: called on the loop's own thread, where it would wait for itself for ever.
        """
        return self._background.run_blocking(coro)

    def run_from_loop(self, coro: Coroutine[Any, Any, R]) -> Coroutine[Any, Any, R]:
        """An awaitable, for any event loop, of `coro` run on this one: what `.aio(...)` does.

        Cancelling it cancels `coro`, and takes effect when that has ended.
        """
        return self._background.run_from_loop(coro)

    def close(self) -> None:
        """Cancel what still runs, and end the thread; the next call starts another."""
        self._background.close()


syncify = Syncify()
"""The instance that all of Flyte's own functions use."""
