"""The environments on this machine: which there are, and deleting them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from flyte._image.environment import FOLDER, RECORD, BuiltRecord, environment_folder, load_record
from flyte._image.own_package import own_digest
from flyte._image.processes import processes_in
from flyte._image.venv import build_lock
from flyte.errors import RuntimeUserError


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An environment that was built.

    Attributes:
        folder: Where it lies, with what failed or earlier builds left.
    """

    record: BuiltRecord
    folder: Path

    @property
    def created_at(self) -> datetime:
        """When it was complete."""
        return datetime.fromisoformat(self.record.created_at)

    @property
    def used_at(self) -> datetime:
        """When it was last asked for."""
        return datetime.fromtimestamp((self.folder / RECORD).stat().st_mtime, UTC)


def built_images(home: Path) -> list[BuiltImage]:
    """The complete ones, newest first."""
    keys = sorted(path.name for path in (home / FOLDER).glob("[!.]*") if path.is_dir())
    records = [record for key in keys if (record := load_record(home, key)) is not None]
    built = [BuiltImage(record, environment_folder(home, record.key)) for record in records]
    return sorted(built, key=lambda each: each.created_at, reverse=True)


def find_built(home: Path, key: str) -> BuiltImage:
    """The one whose key starts so; `venv:` before it does no harm.

    Raises:
        RuntimeUserError: code `ImageNotFound`, there is none, or there are several.
    """
    start = key.removeprefix("venv:")
    found = [each for each in built_images(home) if start and each.record.key.startswith(start)]
    if len(found) == 1:
        return found[0]
    problem = f"is the start of {len(found)} keys" if found else "is not the key of an environment on this machine"
    raise RuntimeUserError("ImageNotFound", f"{key!r} {problem}: `flyte get image` lists them.")


def in_use(images: Iterable[BuiltImage]) -> dict[str, list[int]]:
    """The processes that run in environments, by key; those that run in none are left out."""
    keys = {each.folder: each.record.key for each in images}
    return {keys[folder]: pids for folder, pids in processes_in(keys).items()}


def delete_built(home: Path, image: BuiltImage) -> None:
    """The environment is gone; its note first, so that nobody starts in half of one.

    Raises:
        RuntimeUserError: code `ImageInUse`, processes run in it.
    """
    key = image.record.key
    with build_lock(home, key):
        if pids := in_use([image]).get(key):
            shown = ", ".join(map(str, pids[:5]))
            raise RuntimeUserError("ImageInUse", f"process {shown} runs in environment {key}: end it first, or wait.")
        (image.folder / RECORD).unlink(missing_ok=True)
        shutil.rmtree(image.folder, ignore_errors=True)


def remove_remains(home: Path) -> None:
    """Nothing is left of builds that were killed, nor wheels of states of this package that are gone."""
    folder = home / FOLDER
    for path in folder.glob("[!.]*"):
        if path.is_dir() and load_record(home, path.name) is None:
            with build_lock(home, path.name):
                if load_record(home, path.name) is None:
                    shutil.rmtree(path, ignore_errors=True)
    for path in (folder / ".wheels").glob("*"):
        if path.name != own_digest()[:16]:
            shutil.rmtree(path, ignore_errors=True)


def is_of_another_flyte(image: BuiltImage) -> bool:
    """It was built by another version or state of this package: no image leads to it any more."""
    return image.record.flyte_digest != own_digest()
