"""The store as the services use it: questions in threads, changes by the one writer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from flyte._server.readers import StoreReaders
from flyte._store.reader import StoreReader
from flyte._store.writer import Change, Writer
from flyte.errors import StoreError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ServedStore:
    """The store of a server.

    Attributes:
        home: The folder that it is in.
    """

    home: Path
    writer: Writer
    readers: StoreReaders

    async def read(self, question: Callable[[StoreReader], T]) -> T:
        """What `question` answers.

        Raises:
            StoreError: the store cannot be read.
        """
        return await self.readers.read(question)

    async def write(self, change: Change) -> Any:
        """The change is committed; its result.

        Raises:
            StoreError: it could not be committed.
        """
        loop = asyncio.get_running_loop()
        written: asyncio.Future[Any] = loop.create_future()

        def settle(result: Any, error: StoreError | None) -> None:
            if written.done():
                return
            if error is None:
                written.set_result(result)
            else:
                written.set_exception(error)

        self.writer.submit(change, lambda result, error: _call_soon(loop, settle, result, error))
        return await written


def _call_soon(loop: asyncio.AbstractEventLoop, settle: Callable[..., None], *arguments: Any) -> None:
    # The loop may be gone by now, and with it whoever waited.
    if not loop.is_closed():
        loop.call_soon_threadsafe(settle, *arguments)
