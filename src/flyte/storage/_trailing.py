"""What follows a file while it is written or read: its hash, and the way of its bytes to the disk.

Both happen one step behind, on a thread of their own: a file that is complete then has its hash, and the flush at its
end finds little left to do.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

from flyte.storage._digests import Digester
from flyte.storage._settings import Local, settings_for

STEP_BYTES = 8 << 20
_READ_BYTES = 1 << 20
_PIECES_BEHIND = 4
_SYNC_FILE_RANGE_WRITE = 2
"""Starts to write the pages of a range and waits for none (https://man7.org/linux/man-pages/man2/sync_file_range.2.html)."""


class Trailing:
    """Follows the file behind a descriptor, which is open for reading too; it is read from the kernel's memory of it.

    Args:
        descriptor: The file. It stays open until `close`.
        flushes: Whether the file is one that is flushed when it is complete.
    """

    def __init__(self, descriptor: int, *, flushes: bool) -> None:
        self._descriptor = descriptor
        self._flushes = flushes
        self._digester = Digester()
        self._handed_over = 0
        self._steps: list[Future[None]] = []
        self._thread: ThreadPoolExecutor | None = None

    def written_to(self, end: int) -> None:
        """All bytes before `end` are written."""
        if end - self._handed_over < STEP_BYTES:
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "flyte-hash")
        self._steps.append(self._thread.submit(self._follow, self._handed_over, end))
        self._handed_over = end

    def digest(self, size: int) -> str:
        """The content hash of the file, which is complete with `size` bytes.

        Raises:
            OSError: it could not be read.
        """
        for step in self._steps:
            step.result()
        self._hash(self._handed_over, size)
        return self._digester.digest()

    def close(self) -> None:
        """The thread has ended, and nothing reads the file any more."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)

    def _follow(self, start: int, end: int) -> None:
        if self._flushes:
            start_flush(self._descriptor, start, end)
        self._hash(start, end)

    def _hash(self, start: int, end: int) -> None:
        if start >= end:
            return
        buffer = memoryview(bytearray(min(end - start, _READ_BYTES)))
        while start < end and (read := os.preadv(self._descriptor, [buffer[: end - start]], start)):
            self._digester.update(buffer[:read])
            start += read


class TrailingDigester:
    """Hashes what it is fed, in order, beside the thread that feeds it.

    Args:
        thread_from: Pieces of so many bytes go to the other thread; for smaller ones it costs more than the hash.
    """

    def __init__(self, thread_from: int = 1 << 18) -> None:
        self._digester = Digester()
        self._thread_from = thread_from
        self._thread: ThreadPoolExecutor | None = None
        self._pending: deque[Future[None]] = deque()

    def update(self, data: bytes | memoryview) -> None:
        """The next bytes. A view is hashed before this returns, since its memory may change then."""
        if isinstance(data, bytes) and len(data) >= self._thread_from:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, "flyte-hash")
            self._pending.append(self._thread.submit(self._digester.update, data))
            self._settle(_PIECES_BEHIND)
            return
        self._settle(0)
        self._digester.update(data)

    def digest(self) -> str:
        """The content hash of everything so far."""
        self._settle(0)
        return self._digester.digest()

    def close(self) -> None:
        """The thread has ended."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)

    def _settle(self, at_most: int) -> None:
        while len(self._pending) > at_most:
            self._pending.popleft().result()


def write_all(descriptor: int, parts: Iterable[bytes | memoryview]) -> None:
    """The parts are written, one after the other, and on their way to the disk."""
    position = 0
    for part in parts:
        view = memoryview(part).cast("B")
        while view:
            written = os.write(descriptor, view[:STEP_BYTES])
            view = view[written:]
            if written == STEP_BYTES:
                start_flush(descriptor, position, position + written)
            position += written


def start_flush(descriptor: int, start: int, end: int) -> None:
    """The bytes from `start` to before `end` are on their way to the disk, if files are flushed and the system can."""
    settings = settings_for("file")
    if isinstance(settings, Local) and settings.flush and (sync_file_range := _sync_file_range()) is not None:
        # What it cannot do, the flush at the end does, and says.
        sync_file_range(descriptor, start, end - start, _SYNC_FILE_RANGE_WRITE)


@cache
def _sync_file_range() -> Callable[[int, int, int, int], int] | None:
    call = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if call is None:
        return None
    call.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return call  # type: ignore[no-any-return]
