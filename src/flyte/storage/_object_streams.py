"""Objects as Python file objects: read by ranges, written by parts."""

from __future__ import annotations

import io
import os
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from flyte.storage._backend import Stored, Writing
from flyte.storage._digests import Digester

if TYPE_CHECKING:
    from typing_extensions import Buffer

_QUEUED_WRITES = 2
_COLLECTED_BYTES = 1 << 20
"""Small writes are handed on together, so that each does not cost a switch of threads."""


class RangeReader(io.RawIOBase):
    """Reads an object of `size` bytes by ranges, each while the one before is being used.

    Args:
        get_range: Gives the bytes from a start to before an end.
        size: Of the object.
        chunk_size: Of a range, where the reader goes on where it was; after a seek ranges start small.
    """

    def __init__(self, get_range: Callable[[int, int], Any], size: int, chunk_size: int) -> None:
        self._get_range = get_range
        self._size = size
        self._chunk_size = chunk_size
        self._position = 0
        self._chunk = memoryview(b"")
        self._chunk_start = 0
        self._next: tuple[int, Future[Any]] | None = None
        self._is_sequential = True
        self._fetching: ThreadPoolExecutor | None = None

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a position, from the start, from here, or from the end; returns it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"cannot seek to {base + offset}: a position is not negative.")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill `buffer` as far as one range goes; returns how many bytes that were, 0 at the end."""
        view = memoryview(buffer).cast("B")
        if not view or self._position >= self._size:
            return 0
        offset = self._position - self._chunk_start
        if not 0 <= offset < len(self._chunk):
            self._load(self._position, len(view))
            offset = 0
        count = min(len(view), len(self._chunk) - offset)
        view[:count] = self._chunk[offset : offset + count]
        self._position += count
        return count

    def close(self) -> None:
        """The reader is closed; a range on its way is dropped."""
        if not self.closed and self._fetching is not None:
            self._fetching.shutdown(wait=True, cancel_futures=True)
        super().close()

    def _load(self, start: int, wanted: int) -> None:
        ready, self._next = self._next, None
        is_next = start == self._chunk_start + len(self._chunk)
        if ready is not None and ready[0] == start:
            data = ready[1].result()
        else:
            if ready is not None:
                ready[1].cancel()
            # Somebody who seeks about wants little from each place.
            size = self._chunk_size if is_next else max(min(wanted, self._chunk_size), 1 << 16)
            data = self._get_range(start, min(start + size, self._size))
        self._chunk, self._chunk_start = memoryview(data).cast("B"), start
        following = start + len(self._chunk)
        if is_next and following < self._size:
            if self._fetching is None:
                self._fetching = ThreadPoolExecutor(1, "flyte-io")
            end = min(following + self._chunk_size, self._size)
            self._next = following, self._fetching.submit(self._get_range, following, end)


class ObjectWriting(Writing):
    """Hands what is written to an upload that runs on a thread of its own.

    Args:
        address: Where the object will be.
        put: Uploads what an iterator of buffers gives, and makes nothing visible when the iterator raises.
    """

    def __init__(self, address: str, put: Callable[[Iterator[bytes]], None]) -> None:
        self._address = address
        self._parts: queue.Queue[bytes | None] = queue.Queue(_QUEUED_WRITES)
        self._collected = bytearray()
        self._digester = Digester()
        self._size = 0
        self._is_discarded = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._upload, args=(put,), name="flyte-upload", daemon=True)
        self._thread.start()

    def write(self, data: Buffer, /) -> int:
        """Write all of `data`; returns its length in bytes.

        Raises:
            StorageError: the upload has failed.
        """
        view = memoryview(data).cast("B")
        self._collected += view
        self._digester.update(view)
        self._size += len(view)
        if len(self._collected) >= _COLLECTED_BYTES:
            self._hand_over(bytes(self._collected))
            self._collected.clear()
        return len(view)

    def close(self) -> None:
        """The object is at its address.

        Raises:
            StorageError: the upload failed; nothing is there.
        """
        if self.closed:
            return
        super().close()
        if self._collected:
            self._hand_over(bytes(self._collected))
        self._hand_over(None)
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        self.stored = Stored(self._size, self._digester.digest())

    def discard(self) -> None:
        """As the base class says."""
        if self.closed:
            return
        super().close()
        self._is_discarded = True
        self._hand_over(None, raises=False)
        self._thread.join()

    def _hand_over(self, part: bytes | None, *, raises: bool = True) -> None:
        while True:
            if self._failure is not None:
                if raises:
                    self._is_discarded = True
                    raise self._failure
                return
            try:
                self._parts.put(part, timeout=0.1)
                return
            except queue.Full:
                continue

    def _upload(self, put: Callable[[Iterator[bytes]], None]) -> None:
        try:
            put(self._given())
        except _DiscardedError:
            pass
        except BaseException as error:
            self._failure = error

    def _given(self) -> Iterator[bytes]:
        while (part := self._parts.get()) is not None:
            yield part
        if self._is_discarded:
            raise _DiscardedError


class _DiscardedError(Exception):
    """What is being written shall not be at its address."""
