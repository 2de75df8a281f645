"""Secrets that tasks get as files."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import threading
from pathlib import Path

import psutil

SECRETS_VARIABLE = "FLYTE_SECRETS_DIR"

_PREFIX = "flyte-secrets-"


class SecretFiles:
    """A folder of secrets that only this user can read, in memory where the system has such a folder.

    Their names have to be those of files: a store of secrets makes sure of that. Safe from any thread.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._lock = threading.Lock()

    @property
    def folder(self) -> Path | None:
        """Where they are; None while there are none."""
        return self._folder

    def write(self, key: str, group: str | None, value: bytes) -> Path:
        """The file with the secret; one of that name that is there stays as it is."""
        with self._lock:
            if self._folder is None:
                place = _folder_in_memory()
                _remove_leftovers(place)
                self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place))
            folder = self._folder / group if group else self._folder
            folder.mkdir(mode=stat.S_IRWXU, exist_ok=True)
            file = folder / key
            if not file.exists():
                descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR)
                with os.fdopen(descriptor, "wb") as opened:
                    opened.write(value)
            return file

    def close(self) -> None:
        """None of them is left."""
        with self._lock:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None


def _folder_in_memory() -> Path:
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and os.access(memory, os.W_OK) else Path(tempfile.gettempdir())


def _remove_leftovers(place: Path) -> None:
    """The secrets of runs whose process was killed are gone; of this user, that is."""
    for folder in place.glob(f"{_PREFIX}*"):
        number = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            shutil.rmtree(folder, ignore_errors=True)
