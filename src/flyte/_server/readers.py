"""Reading the store from the event loop: a few connections, each used by one thread at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

from flyte._store.reader import StoreReader

T = TypeVar("T")

_READERS = 4
"""SQLite reads at once on as many connections; more threads than that only wait for the processor."""


class StoreReaders:
    """The reading connections of a server. They are opened when they are first needed."""

    def __init__(self, home: Path, count: int = _READERS) -> None:
        self.home = home
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="store-reader")
        self._idle: SimpleQueue[StoreReader] = SimpleQueue()

    async def read(self, question: Callable[[StoreReader], T]) -> T:
        """What `question` answers, asked in a thread; the event loop goes on meanwhile.

        Where the caller is cancelled, the question is still asked to its end, and nobody hears the answer.

        Raises:
            StoreError: the store cannot be read.
            Exception: whatever the question raises.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, question)

    def close(self) -> None:
        """Nothing is read any more, and the connections are closed."""
        self._threads.shutdown(cancel_futures=True)
        while True:
            try:
                self._idle.get_nowait().close()
            except Empty:
                return

    def _ask(self, question: Callable[[StoreReader], T]) -> T:
        # There are no more threads than connections, so an empty queue means that one is yet to be opened.
        try:
            reader = self._idle.get_nowait()
        except Empty:
            reader = StoreReader(self.home)
        try:
            return question(reader)
        finally:
            self._idle.put(reader)
