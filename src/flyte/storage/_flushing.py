"""Data on its way to the disk while the task that wrote it goes on.

A copy is with the operating system when it is made, which is enough for the crash of a process. A power cut asks for
more: it is flushed on a thread, and whoever records a pointer to it waits for that first.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from flyte._atomic import sync_folder
from flyte.errors import StorageError
from flyte.storage._addresses import absolute, is_remote
from flyte.storage._settings import Local, settings_for

_ONE_BY_ONE = 8
"""So many files are flushed one by one; of more, the whole file system is, in one call."""


class _Flush(NamedTuple):
    path: Path
    is_folder: bool
    done: Future[None]


_lock = threading.Lock()
_pending: dict[str, Future[None]] = {}
"""What is not on the disk yet, or could not be brought there."""
_waiting: list[_Flush] = []
_is_flushing = False


def flush_file_later(path: Path) -> None:
    """The file at `path`, complete, is being flushed."""
    _enqueue(path, is_folder=False)


def flush_folder_later(path: Path) -> None:
    """All files of the folder at `path`, complete, are being flushed."""
    _enqueue(path, is_folder=True)


def wait_until_flushed(path: str) -> None:
    """What this process wrote at a local path is on the disk; at once for anything else.

    Raises:
        StorageError: the disk refused it.
    """
    if is_remote(path):
        return
    path = absolute(path)
    flushed = _pending.get(path)
    if flushed is None:
        return
    with _told(path):
        flushed.result()


async def flushed(path: str) -> None:
    """As `wait_until_flushed`, while the event loop runs: what others write meanwhile is flushed along.

    Raises:
        StorageError: the disk refused it.
    """
    if is_remote(path):
        return
    path = absolute(path)
    pending = _pending.get(path)
    if pending is None:
        return
    with _told(path):
        await asyncio.wrap_future(pending)


@contextmanager
def _told(path: str) -> Iterator[None]:
    """In the block a file is waited for; nobody waits for it afterwards."""
    try:
        yield
    except OSError as error:
        raise StorageError(path, f"cannot flush {path} to the disk: {error.strerror or error}.") from error
    finally:
        with _lock:
            _pending.pop(path, None)


def _enqueue(path: Path, *, is_folder: bool) -> None:
    global _is_flushing
    settings = settings_for("file")
    if not (isinstance(settings, Local) and settings.flush):
        return
    path = Path(absolute(path))
    flush = _Flush(path, is_folder, Future())
    with _lock:
        _pending[str(path)] = flush.done
        _waiting.append(flush)
        if _is_flushing:
            return
        _is_flushing = True
    # It lives for as long as there is something to do, and one is enough: the disk is the bottleneck.
    try:
        threading.Thread(target=_flush_until_done, name="flyte-flush", daemon=True).start()
    except RuntimeError:
        # There are no more threads, or the interpreter is about to end.
        _flush_until_done()


def _flush_until_done() -> None:
    global _is_flushing
    while True:
        with _lock:
            batch = list(_waiting)
            _waiting.clear()
            if not batch:
                _is_flushing = False
                return
        if len(batch) <= _ONE_BY_ONE:
            for each in batch:
                _settle([each], partial(_flush_file_system if each.is_folder else _flush_file, each.path))
            continue
        for same in _by_file_system(batch):
            _settle(same, partial(_flush_file_system, *(each.path for each in same)))


def _by_file_system(batch: list[_Flush]) -> list[list[_Flush]]:
    """The files that are still there, by the file system they are on; the others are settled."""
    groups: dict[int, list[_Flush]] = {}
    for each in batch:
        try:
            device = each.path.stat().st_dev
        except OSError as error:
            _settle([each], partial(_fail, error))
        else:
            groups.setdefault(device, []).append(each)
    return list(groups.values())


def _fail(error: OSError) -> None:
    raise error


def _settle(batch: list[_Flush], flush: Callable[[], None]) -> None:
    try:
        flush()
    except FileNotFoundError:
        error = None  # its run was deleted meanwhile
    except Exception as failure:
        error = failure
    else:
        error = None
    for each in batch:
        if error is not None:
            each.done.set_exception(error)
            continue
        each.done.set_result(None)
        with _lock:
            if _pending.get(str(each.path)) is each.done:
                del _pending[str(each.path)]


def _flush_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def _flush_file_system(*paths: Path) -> None:
    """All that was written to the file system of these paths: a call a file would take some milliseconds each."""
    descriptor = _opened_first(paths)
    if descriptor is None:
        return
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if hasattr(libc, "syncfs"):
            if libc.syncfs(descriptor) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), str(paths[0]))
        else:
            os.sync()
    finally:
        os.close(descriptor)


def _opened_first(paths: Iterable[Path]) -> int | None:
    """The first of these that is still there, opened."""
    for path in paths:
        with suppress(FileNotFoundError):
            return os.open(path, os.O_RDONLY)
    return None


def _forget() -> None:
    """In a process that was forked: the thread that flushes is not in it, and what waited is the parent's."""
    global _is_flushing, _lock
    _lock = threading.Lock()
    _pending.clear()
    _waiting.clear()
    _is_flushing = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
