"""What a server deletes by itself: old runs, as it is configured, and what nothing refers to any more."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from flyte._engine.retention import Retention, too_many_or_too_old
from flyte._logging import system_logger
from flyte._run.deleting import Deleted, delete_runs, run_ages
from flyte._server.leftovers import remove_code, remove_uploads, tidy_logs
from flyte._server.readers import StoreReaders
from flyte._server.scheduler import Scheduler
from flyte._server.settings import ServerSettings
from flyte._store.orphans import orphaned_specs
from flyte._store.reader import StoreReader
from flyte._store.records import StoredRun
from flyte.errors import BaseRuntimeError

T = TypeVar("T")

EVERY_S = 3600.0
HOST_LOG_FILE = "host.log"
"""What the process above the attempts logs, in the home folder."""

_AT_ONCE = 20
"""So many runs are deleted, then others have their turn."""

_WITHIN_S = 1.0
_PAUSE_S = 0.5
_DAY_US = 24 * 3600 * 1_000_000


class Housekeeping:
    """Looks after the home of a server, in threads, a little at a time. Lives on the server's loop."""

    def __init__(self, settings: ServerSettings, readers: StoreReaders, scheduler: Scheduler) -> None:
        self._home: Path = settings.home
        days = settings.retention_days
        self._retention = Retention(None if days is None else round(days * _DAY_US), settings.retention_runs)
        self._readers = readers
        self._scheduler = scheduler
        self._going: asyncio.Task[None] | None = None
        self._working: asyncio.Future[Any] | None = None
        self._is_over = threading.Event()

    def start(self) -> None:
        """It begins now, and again every hour."""
        self._going = asyncio.get_running_loop().create_task(self._go_on())

    async def close(self) -> None:
        """Nothing is being deleted any more."""
        self._is_over.set()
        if self._going is not None:
            self._going.cancel()
            await asyncio.wait((self._going,))
        if self._working is not None:
            await asyncio.wait((self._working,))

    async def tidy(self) -> None:
        """Everything that is due is deleted. A failure is logged, and the rest goes on."""
        for name, work in (
            ("old runs", self._delete_old_runs),
            ("specs of tasks", self._delete_specs),
            ("files", self._delete_files),
        ):
            try:
                await work()
            except (BaseRuntimeError, OSError) as error:
                system_logger.warning("%s were not deleted: %s", name, error)

    async def _go_on(self) -> None:
        while True:
            await self.tidy()
            await asyncio.sleep(EVERY_S)

    async def _delete_old_runs(self) -> None:
        if self._retention.keeps_all:
            return
        runs = await self._readers.read(self._expired)
        count = 0
        for start in range(0, len(runs), _AT_ONCE):
            is_finished = False
            while not is_finished:
                # Those that are gone already are passed over.
                deleted = await self._in_thread(lambda at=start: self._delete(runs[at : at + _AT_ONCE]))  # type: ignore[misc]
                count += deleted.runs
                is_finished = deleted.is_finished
                await asyncio.sleep(_PAUSE_S)
        if count:
            system_logger.info("deleted %d runs that were too old or too many", count)

    def _expired(self, reader: StoreReader) -> list[StoredRun]:
        expired = too_many_or_too_old(run_ages(reader), self._retention, time.time_ns() // 1000)
        # Oldest first: what is cut short has kept the newest.
        found = [reader.find_run(run_id) for run_id in reversed(expired)]
        return [run for run in found if run is not None]

    def _delete(self, runs: list[StoredRun]) -> Deleted:
        return delete_runs(self._home, runs, _WITHIN_S)

    async def _delete_specs(self) -> None:
        while await self._scheduler.delete_orphaned_specs(
            lambda: self._readers.read(lambda reader: reader.ask(orphaned_specs))
        ):
            await asyncio.sleep(_PAUSE_S)

    async def _delete_files(self) -> None:
        home = self._home
        bundles = await self._in_thread(lambda: remove_code(home))
        uploads = await self._in_thread(lambda: remove_uploads(home, give_up=self._is_over.is_set))
        await self._in_thread(lambda: tidy_logs(home, (HOST_LOG_FILE,)))
        if uploads or bundles:
            system_logger.info("deleted %d uploads and %d unpacked bundles that nothing names", uploads, bundles)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        working = asyncio.ensure_future(asyncio.to_thread(work))
        self._working = working
        return await asyncio.shield(working)
