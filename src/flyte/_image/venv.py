"""Environments: each is made once, whole or not at all, and found by its key ever after.

An environment is built where it stays, because tools write its path into their scripts, and in a folder of its own
for each attempt, because a program that outlives a killed build may still write to that one. What makes it an
environment is a note beside the folder, `environment.json`, which appears in one step when everything else is on the
disk. What no note points to is removed by the next build.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from flyte._atomic import write_atomically
from flyte._authoring.image import Image
from flyte._authoring.image_layers import BakedCode, Commands, DockerIgnore
from flyte._image.bases import check_platform, is_running_python, python_version_of_base
from flyte._image.disk_errors import told_disk_errors
from flyte._image.environment import (
    FOLDER,
    RECORD,
    BuiltRecord,
    Environment,
    environment_folder,
    load_environment,
    load_record,
    note_use,
    running_environment,
)
from flyte._image.keys import environment_key
from flyte._image.refusals import refuse_what_cannot_be_held
from flyte._locks import locked
from flyte._logging import system_logger
from flyte._version import __version__
from flyte.errors import ImageBuildError

LOCKS = ".locks"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """An image that an environment can hold.

    Attributes:
        key: Of the environment; None where the interpreter that runs is one.
    """

    image: Image | None
    python_version: str = ""
    key: str | None = None


def plan_of(image: Image | None, *, image_refs: Mapping[str, str] | None = None, bakes_code: bool = False) -> Plan:
    """What is to be built, from looking at the image and the files that it names.

    Args:
        image: None is no image: the interpreter that runs.
        image_refs: What `Image.from_ref_name` stands for.
        bakes_code: Code is to be in the environment where a layer asks for that.

    Raises:
        ImageBuildError: no environment can hold it, or a file is missing.
    """
    image = None if image is None else resolved(image, image_refs or {})
    if image is None or is_running_python(image):
        return Plan(image)
    refuse_what_cannot_be_held(image, bakes_code=bakes_code)
    version = python_version_of_base(image)
    check_platform(image)
    image.validate()
    return Plan(image, version, environment_key(image, version))


def resolved(image: Image, image_refs: Mapping[str, str]) -> Image:
    """The image that a name of the configuration stands for, and any other as it is.

    Raises:
        ImageBuildError: the name stands for nothing.
    """
    if image._ref_name is None or image.base_image is not None:
        return image
    if image._ref_name not in image_refs:
        known = f" It names {', '.join(sorted(image_refs))}." if image_refs else ""
        raise ImageBuildError(
            f"image {image._ref_name!r} is not in the configuration: set image.image_refs.{image._ref_name} to the "
            f"address of an image.{known}"
        )
    address = image_refs[image._ref_name]
    return image.clone(base_image=address) if image._is_cloned else Image.from_base(address)


def ensure_environment(
    image: Image | None,
    *,
    home: Path,
    image_refs: Mapping[str, str] | None = None,
    force: bool = False,
    say: Say | None = None,
) -> Environment:
    """The environment of an image, built now unless it is there. Safe from any thread and process.

    A complete one is found by reading the files that the image names and one note; no process is started.

    Args:
        image: None, and the default image without layers, mean the interpreter that runs.
        home: Where environments are kept, in `images`.
        image_refs: What `Image.from_ref_name` stands for.
        force: Build it even though it is there. What runs in the old one goes on.
        say: Told what is being done; logged by default.

    Raises:
        ImageBuildError: no environment can hold the image, or building it failed; nothing of it stays.
    """
    plan = plan_of(image, image_refs=image_refs)
    return build_plan(plan, home=home, force=force, say=say or system_logger.info)


def build_plan(plan: Plan, *, home: Path, force: bool, say: Say) -> Environment:
    """The environment of a plan, as `ensure_environment` gives it."""
    if plan.image is None or plan.key is None:
        return running_environment()
    home = home.absolute()
    if not force and (found := load_environment(home, plan.key)):
        note_use(home, plan.key)
        return found
    with build_lock(home, plan.key, say):
        if not force and (found := load_environment(home, plan.key)):
            return found
        return _build(plan.image, plan.python_version, plan.key, home, say)


@contextmanager
def build_lock(home: Path, key: str, say: Say = lambda text: None) -> Iterator[None]:
    """One process at a time builds or deletes the environment of that key; a process that is gone holds nothing.

    Raises:
        ImageBuildError: the folder cannot be written.
    """
    path = home / FOLDER / LOCKS / key
    with (
        told_disk_errors(path),
        locked(path, lambda: say("waiting for another process, which builds this image")),
    ):
        yield


def _build(image: Image, python_version: str, key: str, home: Path, say: Say) -> Environment:
    started = time.monotonic()
    place = environment_folder(home, key)
    remove_leftovers(home, key)
    folder = place / f"{os.getpid()}-{time.time_ns():x}"
    try:
        folder.mkdir(parents=True)
        record = _filled(image, python_version, key, home, folder, say, started)
        if environment_key(image, python_version) != key:
            raise ImageBuildError("files of the image have changed while it was built: build it again.")
        # Everything is on the disk before the note says so.
        os.sync()
        write_atomically(place / RECORD, record.to_json())
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            # Not empty where an older environment of this key stays.
            place.rmdir()
        raise
    return record.environment(home)


def _filled(
    image: Image, python_version: str, key: str, home: Path, folder: Path, say: Say, started: float
) -> BuiltRecord:
    from flyte._image.ignore_patterns import patterns_of
    from flyte._image.installing import Site, install_own_package, tools_of
    from flyte._image.own_package import (
        check_own_package,
        ensure_own_wheel,
        own_constraints,
        own_digest,
        own_requirement,
    )
    from flyte._image.uv_calls import Uv, make_environment

    say(f"making an environment with Python {python_version}")
    make_environment(folder, python_version)
    wheel = ensure_own_wheel(home / FOLDER)
    uv = Uv(
        python=folder / "bin" / "python",
        folder=home / FOLDER,
        own=own_requirement(wheel),
        build_constraints=own_constraints(wheel),
        variables=_link_mode(image),
    )
    site = Site(folder, home, python_version, uv, say, patterns_of(image._layers))
    site.root.mkdir()
    install_own_package(uv, tools_of(folder))
    for layer in image._layers:
        site.carry_out(layer)
    check_own_package(folder)
    shutil.rmtree(tools_of(folder), ignore_errors=True)
    has_place = site.working_dir is not None or site.has_sources
    working_dir = str(site.place(".").relative_to(folder)) if has_place else None
    if working_dir is not None:
        (folder / working_dir).mkdir(parents=True, exist_ok=True)
    return BuiltRecord(
        key=key,
        attempt=folder.name,
        name=image.name or "",
        python_version=python_version,
        flyte_version=__version__,
        flyte_digest=own_digest(),
        layers=tuple(layer.kind for layer in image._layers if not isinstance(layer, DockerIgnore | BakedCode)),
        env_vars=site.env_vars,
        working_dir=working_dir,
        python_path=(working_dir,) if site.has_sources and working_dir is not None else (),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        build_s=round(time.monotonic() - started, 3),
        size_bytes=_size_of(folder),
    )


def _link_mode(image: Image) -> dict[str, str]:
    # A command may change a file of a package, which would be changed in uv's cache and in every environment, too.
    return {"UV_LINK_MODE": "copy"} if any(isinstance(layer, Commands) for layer in image._layers) else {}


def remove_leftovers(home: Path, key: str) -> None:
    """Nothing is left of killed builds, nor of what was built anew and nothing runs in. Under `build_lock` only."""
    record = load_record(home, key)
    place = environment_folder(home, key)
    there = list(place.iterdir()) if place.is_dir() else []
    for path in there:
        if path.name.startswith("."):
            path.unlink()
    from flyte._image.processes import processes_in

    if folders := [path for path in there if path.is_dir() and (record is None or path.name != record.attempt)]:
        busy = processes_in(folders)
        for folder in folders:
            if folder not in busy:
                shutil.rmtree(folder, ignore_errors=True)


def _size_of(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        total += sum(os.lstat(os.path.join(parent, name)).st_size for name in names)
    return total
