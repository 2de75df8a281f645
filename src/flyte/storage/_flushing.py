"""Data on its way to the disk while the task that wrote it goes on.

A copy is with the operating system when it is made, which is enough for the crash of a process. A power cut asks for
more: it is flushed on a thread, and whoever records a pointer to it waits for that first.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import NamedTuple

from flyte._atomic import sync_folder
from flyte.errors import StorageError
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
    flushed = _pending.get(path)
    if flushed is None:
        return
    try:
        flushed.result()
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
    flush = _Flush(path, is_folder, Future())
    with _lock:
        _pending[str(path)] = flush.done
        _waiting.append(flush)
        if _is_flushing:
            return
        _is_flushing = True
    # It lives for as long as there is something to do, and one is enough: the disk is the bottleneck.
    threading.Thread(target=_flush_until_done, name="flyte-flush", daemon=True).start()


def _flush_until_done() -> None:
    global _is_flushing
    while True:
        with _lock:
            batch = list(_waiting)
            _waiting.clear()
            if not batch:
                _is_flushing = False
                return
        if len(batch) > _ONE_BY_ONE:
            _settle(batch, partial(_flush_file_system, batch[0].path))
        else:
            for each in batch:
                _settle([each], partial(_flush_file_system if each.is_folder else _flush_file, each.path))


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


def _flush_file_system(path: Path) -> None:
    """All that was written to the file system of `path`: a call a file would take some milliseconds each."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if hasattr(libc, "syncfs"):
            if libc.syncfs(descriptor) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), str(path))
        else:
            os.sync()
    finally:
        os.close(descriptor)
