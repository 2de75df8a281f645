"""Reading an object: a range of it, or all of it into a file, over as many connections as pay."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from flyte.errors import DataChangedError
from flyte.storage._failures import data_errors

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult
    from obstore.store import ObjectStore

_PIECE_BYTES = 1 << 20

_LOOK_EVERY_S = 0.1
"""How often the speed of a download is looked at while it has one connection."""

_FIRST_BYTE_WITHIN_S = 1.0
"""An answer that takes longer to begin is slow, whatever comes behind it."""

_FAST_BYTES_PER_S = 200 << 20
"""One connection to a store far away gives less (Amazon names 85 to 90 MB/s for S3); more than this is a network, or a
server, that further ones would only share."""


class Place(NamedTuple):
    """An address as obstore takes it."""

    store: ObjectStore
    key: str


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """The object that was at an address when it was looked at; another one that is there now is refused.

    Attributes:
        size: In bytes.
        e_tag: What the store calls this content; None where it does not say.
    """

    place: Place
    address: str
    size: int
    e_tag: str | None

    def range(self, start: int, end: int) -> Any:
        """The bytes from `start` to before `end`."""
        with data_errors(self.address, "read"):
            data = self._ask(start, end).bytes()
        self._check_length(start, end, len(data))
        return data

    def pieces(self, start: int, end: int) -> Iterator[Any]:
        """The same bytes as they come, for who need not have them in memory together."""
        length = 0
        with data_errors(self.address, "read"):
            for piece in self._ask(start, end).stream(min_chunk_size=_PIECE_BYTES):
                length += len(piece)
                yield piece
        self._check_length(start, end, length)

    def _ask(self, start: int, end: int) -> GetResult:
        import obstore

        # A range that is all of it is none: some servers take longer to answer one.
        options: GetOptions = {} if (start, end) == (0, self.size) else {"range": (start, end)}
        if self.e_tag is not None:
            options["if_match"] = self.e_tag
        return obstore.get(self.place.store, self.place.key, options=options)

    def _check_length(self, start: int, end: int, found: int) -> None:
        if found != end - start:
            raise DataChangedError(
                self.address,
                f"cannot read {self.address}: {end - start} bytes from {start} were asked for and {found} came. "
                "It was truncated while it was read: read it again.",
            )


def read_into_file(version: ObjectVersion, target: Path, descriptor: int, chunk_size: int, concurrency: int) -> None:
    """The file behind the descriptor holds the object.

    It is read from the start over one connection. Where that is slow, others read it in parts from the end, until they
    meet.

    Args:
        target: What errors call the file.
        chunk_size: Bytes of a part.
        concurrency: Connections at most.
    """
    reading = _Reading(version, target, descriptor, chunk_size)
    if version.size <= chunk_size or concurrency == 1:
        reading.from_start()
        return
    with ThreadPoolExecutor(concurrency, "flyte-io") as pool:
        first = pool.submit(copy_context().run, reading.from_start)
        jobs = [first]
        try:
            if _is_slow(first, lambda: reading.position):
                jobs += [pool.submit(copy_context().run, reading.from_end) for _ in range(concurrency - 1)]
            for done in wait(jobs, return_when=FIRST_EXCEPTION).done:
                done.result()
        finally:
            reading.stop()


def _is_slow(job: Future[None], position: Callable[[], int]) -> bool:
    """Whether a download is slow, once that is known; False when it has ended."""
    began = last = time.monotonic()
    seen = 0
    while not wait([job], _LOOK_EVERY_S).done:
        now, here = time.monotonic(), position()
        if not here:
            if now - began > _FIRST_BYTE_WITHIN_S:
                return True
        # The interval in which the first bytes came began before them.
        elif seen and (here - seen) / (now - last) < _FAST_BYTES_PER_S:
            return True
        seen, last = here, now
    return False


class _Reading:
    """An object on its way into a file. Each part of it is claimed once, from the start or from the end.

    Attributes:
        position: Where the reading from the start is.
    """

    def __init__(self, version: ObjectVersion, target: Path, descriptor: int, part_bytes: int) -> None:
        self.position = 0
        self._version = version
        self._target = target
        self._descriptor = descriptor
        self._part_bytes = part_bytes
        self._lock = Lock()
        self._claimed_first = 0
        """Parts before this one were claimed from the start; those from the next one on from the end."""
        self._claimed_last = -(-version.size // part_bytes)

    def from_start(self) -> None:
        """All parts from the first to the last that nobody else has claimed are in the file."""
        claimed_to = 0
        for piece in self._version.pieces(0, self._version.size):
            view = memoryview(piece).cast("B")
            while view:
                if self.position == claimed_to:
                    if not self._claim_first():
                        return
                    claimed_to = min(claimed_to + self._part_bytes, self._version.size)
                count = self._write(view[: claimed_to - self.position], self.position)
                self.position += count
                view = view[count:]

    def from_end(self) -> None:
        """All parts from the last to the first that nobody else has claimed are in the file."""
        while (part := self._claim_last()) is not None:
            start = part * self._part_bytes
            for piece in self._version.pieces(start, min(start + self._part_bytes, self._version.size)):
                view = memoryview(piece).cast("B")
                while view:
                    count = self._write(view, start)
                    view, start = view[count:], start + count

    def stop(self) -> None:
        """No further part is claimed."""
        with self._lock:
            self._claimed_last = self._claimed_first

    def _claim_first(self) -> bool:
        with self._lock:
            is_free = self._claimed_first < self._claimed_last
            self._claimed_first += is_free
            return is_free

    def _claim_last(self) -> int | None:
        with self._lock:
            if self._claimed_first >= self._claimed_last:
                return None
            self._claimed_last -= 1
            return self._claimed_last

    def _write(self, data: memoryview, position: int) -> int:
        with data_errors(self._target, "write"):
            return os.pwrite(self._descriptor, data, position)
