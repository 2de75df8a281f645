"""What processes that died in the middle of writing left in the folders of a run."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from flyte._store.data_holders import RAW_FOLDER
from flyte._store.records import ActionRecord

_PAYLOAD = re.compile(r"(?:inputs|outputs)-[0-9a-f]{8}\.pb")
_TEMPORARY = re.compile(r"\..+\.(?P<pid>\d+)\.\d+\.tmp")


def remove_leftovers(home: Path, run_folder: Path, base_folder: Path, records: Iterable[ActionRecord]) -> None:
    """Temporary files of dead processes are gone, and so are the payloads of the run that no record points to.

    For whoever has just become the owner of the run, before anything of it runs: nobody else writes in its folder, and
    a payload without a record is whole, but its action did not get to say so.

    Args:
        run_folder: The run's own, below `home`.
        base_folder: Where its actions write; living processes may write there for other runs.
    """
    kept: set[str | None] = set()
    names: list[str] = []
    for record in records:
        names.append(record.name)
        kept |= {record.inputs_file, record.outputs_file}
    for path in _files(run_folder, left_out="raw"):
        is_unclaimed = _PAYLOAD.fullmatch(path.name) and path.relative_to(home).as_posix() not in kept
        if is_unclaimed or _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)
    _remove_half_stored(run_folder / RAW_FOLDER)
    if base_folder != run_folder:
        for path in (path for name in names for path in _files(base_folder / name)):
            temporary = _TEMPORARY.fullmatch(path.name)
            if temporary and not _is_process(int(temporary["pid"])):
                path.unlink(missing_ok=True)


def _remove_half_stored(raw: Path) -> None:
    """The temporary files and folders of dead processes in what a run stored are gone."""
    for path in (*raw.glob(".*.tmp"), *raw.glob("*/.*.tmp")):
        temporary = _TEMPORARY.fullmatch(path.name)
        if temporary is None or _is_process(int(temporary["pid"])):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _files(folder: Path, left_out: str | None = None) -> Iterator[Path]:
    for here, subfolders, files in os.walk(folder):
        if left_out in subfolders and Path(here) == folder:
            subfolders.remove(left_out)
        yield from (Path(here, name) for name in files)


def _is_process(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
