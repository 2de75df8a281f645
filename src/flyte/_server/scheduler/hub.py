"""Who is told when something has changed: after the commit, and many changes at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

_Key = tuple[str, str | None]
_ANY_RUN: _Key = ("", None)


class Hub:
    """Tells watchers that there is something new to be read. Lives on the server's loop."""

    def __init__(self) -> None:
        self._watchers: dict[_Key, set[asyncio.Event]] = {}

    @property
    def watchers(self) -> int:
        """How many there are."""
        return sum(map(len, self._watchers.values()))

    def action_changed(self, run_name: str, action_name: str) -> None:
        """Something of that action is new in the store."""
        self._tell((run_name, action_name))
        self._tell((run_name, None))

    def run_changed(self) -> None:
        """Something of some run is."""
        self._tell(_ANY_RUN)

    def changes(self, run_name: str, action_name: str | None = None) -> AsyncIterator[None]:
        """An item at once, and one after changes of the action, or of any of the run."""
        return self._watch((run_name, action_name))

    def run_changes(self) -> AsyncIterator[None]:
        """The same for changes of runs."""
        return self._watch(_ANY_RUN)

    def _tell(self, key: _Key) -> None:
        for event in self._watchers.get(key, ()):
            event.set()

    async def _watch(self, key: _Key) -> AsyncIterator[None]:
        event = asyncio.Event()
        watchers = self._watchers.setdefault(key, set())
        watchers.add(event)
        try:
            while True:
                yield
                await event.wait()
                event.clear()
        finally:
            watchers.discard(event)
            if not watchers:
                self._watchers.pop(key, None)
