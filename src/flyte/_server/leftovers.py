"""Files in the home of a server that nobody needs any more: uploads, unpacked code, old logs."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from flyteidl2.task.task_definition_pb2 import TaskSpec

from flyte._server.executors.code import FOLDER as CODE_FOLDER
from flyte._server.executors.code import folder_of
from flyte._server.executors.containers import process_of
from flyte._server.executors.refused import UnrunnableError
from flyte._store.orphans import UPLOADS_FOLDER, all_specs, unnamed_uploads
from flyte._store.reader import StoreReader

UPLOADS_KEPT_S = 7 * 24 * 3600.0
"""Clients remember for a day what they have sent, and do not send it again."""

CODE_KEPT_S = 24 * 3600.0
LOGS_KEPT_S = 30 * 24 * 3600.0
LARGEST_LOG_BYTES = 10 << 20
_ASIDE = ".deleted-"


def remove_uploads(home: Path, kept_s: float = UPLOADS_KEPT_S, give_up: Callable[[], bool] = lambda: False) -> int:
    """Uploads that are older and that nothing names are gone; how many that were. Blocks, until `give_up` says so."""
    before_s = time.time() - kept_s
    old = {each for each in _uploads(home) if _last_change_s(home / UPLOADS_FOLDER / each) < before_s}
    if not old:
        return 0
    with StoreReader(home) as reader:
        unnamed = reader.ask(lambda store: unnamed_uploads(store, home, old, give_up))
    count = 0
    for each in unnamed:
        folder = home / UPLOADS_FOLDER / each
        # It may have come again meanwhile.
        if _last_change_s(folder) < before_s:
            shutil.rmtree(folder, ignore_errors=True)
            count += 1
    return count


def remove_code(home: Path, kept_s: float = CODE_KEPT_S) -> int:
    """Unpacked bundles that are older and that no task's spec names are gone; how many that were. Blocks."""
    folders = {path.name: path for path in _entries(home / CODE_FOLDER)}
    aside = [path for name, path in folders.items() if name.startswith(_ASIDE)]
    before_s = time.time() - kept_s
    old = {name for name, path in folders.items() if path not in aside and _last_change_s(path, depth=0) < before_s}
    count = 0
    for name in old - _named_code(home) if old else ():
        moved = folders[name].with_name(f"{_ASIDE}{name}")
        with suppress(OSError):
            folders[name].rename(moved)
            aside.append(moved)
            count += 1
    # Whoever wants one of them from now on unpacks it anew; who had looked just before is named by now.
    named = _named_code(home) if aside else set()
    for path in aside:
        name = path.name.removeprefix(_ASIDE)
        if name in named and not path.with_name(name).exists():
            with suppress(OSError):
                path.rename(path.with_name(name))
                count -= 1
        shutil.rmtree(path, ignore_errors=True)
    return count


def tidy_logs(home: Path, current: Iterable[str], kept_s: float = LOGS_KEPT_S) -> None:
    """Old logs are gone, and those that grow are begun anew. Blocks.

    Args:
        home: Of the server.
        current: Names of logs that another process appends to; what is in them so far is kept beside, with `.1`.
    """
    for name in current:
        path = home / name
        with suppress(OSError):
            if path.stat().st_size > LARGEST_LOG_BYTES:
                shutil.copyfile(path, path.with_name(f"{name}.1"))
                os.truncate(path, 0)
    before_s = time.time() - kept_s
    for path in home.glob("*.log.*"):
        with suppress(OSError):
            if path.stat().st_mtime < before_s:
                path.unlink()


def _named_code(home: Path) -> set[str]:
    with StoreReader(home) as reader:
        specs = reader.ask(lambda store: list(all_specs(store)))
    named = set()
    for each in specs:
        with suppress(UnrunnableError):
            named.add(folder_of(process_of(TaskSpec.FromString(each)).arguments))
    return {each for each in named if each is not None}


def _uploads(home: Path) -> Iterator[str]:
    root = home / UPLOADS_FOLDER
    for project in _entries(root):
        for domain in _entries(project):
            for entry in _entries(domain):
                yield str(entry.relative_to(root))


def _entries(folder: Path) -> list[Path]:
    """The folders in a folder, without links."""
    with suppress(OSError):
        return [Path(each.path) for each in os.scandir(folder) if each.is_dir(follow_symlinks=False)]
    return []


def _last_change_s(folder: Path, depth: int = 64) -> float:
    """When a folder, or something in it, was changed last."""
    latest = 0.0
    with suppress(OSError):
        latest = folder.stat().st_mtime
        for each in os.scandir(folder) if depth else ():
            latest = max(latest, each.stat(follow_symlinks=False).st_mtime)
            if each.is_dir(follow_symlinks=False):
                latest = max(latest, _last_change_s(Path(each.path), depth - 1))
    return latest
