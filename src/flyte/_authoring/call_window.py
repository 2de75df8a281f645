"""The calls of a `flyte.map` that are made and not handed out yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Protocol, Self, TypeVar

Item = tuple[Any, ...]


class Outcome(Protocol):
    """What a future of threads and one of an event loop have in common."""

    def done(self) -> bool: ...

    def cancel(self) -> Any: ...

    def add_done_callback(self, callback: Callable[[Self], object], /) -> object: ...


FutureT = TypeVar("FutureT", bound=Outcome)


class CallWindow(Generic[FutureT]):
    """Makes calls ahead of whoever takes their outcomes, in the order of the items.

    It knows neither threads nor loops: whoever takes calls `fill` again each time it was woken.

    Args:
        items: Read one at a time, when its call is made. What reading raises is raised after the outcomes before it.
        start: Makes the call for an item.
        wake: Called, on whatever thread, when a call has ended.
        running_limit: How many calls run at a time; None for any number.
        ahead_limit: How many items are read ahead of the one that is handed out; None for any number.
    """

    def __init__(
        self,
        items: Iterator[Item],
        start: Callable[[Item], FutureT],
        wake: Callable[[], None],
        running_limit: int | None,
        ahead_limit: int | None,
    ) -> None:
        self._items = items
        self._start = start
        self._wake = wake
        self._running_limit = running_limit
        self._ahead_limit = ahead_limit
        self._calls: deque[FutureT] = deque()
        self._running: set[FutureT] = set()
        self._is_exhausted = False
        self._error: Exception | None = None

    def fill(self) -> FutureT | None:
        """The next call to be handed out, after all calls are made that may be; None after the last."""
        while self._may_start():
            try:
                item = next(self._items)
            except StopIteration:
                self._is_exhausted = True
                break
            except Exception as error:
                self._is_exhausted, self._error = True, error
                break
            future = self._start(item)
            self._calls.append(future)
            self._running.add(future)
            future.add_done_callback(self._ended)
        if self._calls:
            return self._calls[0]
        if self._error is not None:
            raise self._error
        return None

    def take(self) -> FutureT:
        """The call that `fill` gave, handed out now."""
        return self._calls.popleft()

    def cancel(self) -> set[FutureT]:
        """Calls that have not ended are cancelled; returns those."""
        running = set(self._running)
        for future in running:
            future.cancel()
        return running

    def left(self) -> Iterable[FutureT]:
        """The calls that were made and not handed out."""
        return tuple(self._calls)

    def _may_start(self) -> bool:
        if self._is_exhausted:
            return False
        if self._running_limit is not None and len(self._running) >= self._running_limit:
            return False
        return self._ahead_limit is None or len(self._calls) < self._ahead_limit

    def _ended(self, future: FutureT) -> None:
        self._running.discard(future)
        self._wake()
