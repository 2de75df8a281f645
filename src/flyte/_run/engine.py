"""The engine of this process: one event loop in a thread of its own, the threads of sync tasks, a writer per store."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

from flyte._controller.threads import ThreadPool
from flyte._store.aborts import AbortWatch
from flyte._store.leases import LeaseKeeper
from flyte._store.writer import Writer
from flyte.config import home
from flyte.syncify import syncify


class Engine:
    """What local runs share. Made once a process; a forked child makes its own."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop = syncify.loop
        self.threads = ThreadPool(self.loop)
        self._writers: dict[Path, Writer] = {}
        self._leases: dict[Writer, LeaseKeeper] = {}
        self._aborts: dict[Writer, AbortWatch] = {}
        self._lock = threading.Lock()

    def writer(self) -> Writer:
        """The writer of the store in the home folder that is configured now."""
        folder = home().resolve()
        with self._lock:
            writer = self._writers.get(folder)
            if writer is None:
                writer = self._writers[folder] = Writer(folder)
            return writer

    def leases(self, writer: Writer) -> LeaseKeeper:
        """What renews the leases of this process's runs in the writer's store."""
        with self._lock:
            return self._leases.setdefault(writer, LeaseKeeper(writer))

    def aborts(self, writer: Writer) -> AbortWatch:
        """What hears when other processes ask to abort runs of this one in the writer's store."""
        with self._lock:
            return self._aborts.setdefault(writer, AbortWatch(writer))

    def close(self) -> None:
        """What was submitted is committed, files are closed, idle threads end."""
        with self._lock:
            writers, self._writers = list(self._writers.values()), {}
        for writer in writers:
            writer.close()
        self.threads.close()


_engines: dict[int, Engine] = {}
_lock = threading.Lock()


def engine() -> Engine:
    """The engine of this process, started on first use."""
    with _lock:
        running = _engines.get(os.getpid())
        if running is None:
            _engines.clear()
            running = _engines[os.getpid()] = Engine()
        return running


def close_engine() -> None:
    """The engine of this process is closed, if it was ever started; the next run starts another."""
    with _lock:
        running = _engines.pop(os.getpid(), None)
    if running is not None:
        running.close()
