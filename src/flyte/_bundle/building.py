"""Bundles where tasks find them: packed once for the same files, kept in the home folder, uploaded on request."""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyte._atomic import write_atomically
from flyte._bundle.limits import SizeLimits
from flyte._bundle.packing import Packed, pack, read_whole
from flyte._bundle.plans import BundlePlan, Fingerprint
from flyte._logging import system_logger
from flyte.errors import CodeBundleError
from flyte.models import CodeBundle

FOLDER = "bundles"
_KNOWN = ".known"
_CLOCK_TICK_NS = 100_000_000
"""Two writes of a file within one tick of the file system's clock may leave the same time."""


def bundles_folder() -> Path:
    """The folder in the home folder of Flyte that holds bundles: each in a folder named by its version."""
    from flyte.config import home

    return home() / FOLDER


@dataclass(frozen=True, slots=True)
class KeptBundle:
    """A bundle in the home folder.

    Attributes:
        path: The file.
        version: MD5 of it, in hex.
        is_new: It was packed for this call; else nothing had changed since it was.
    """

    path: Path
    version: str
    is_new: bool


def build_bundle(plan: BundlePlan, *, to: str | None = None) -> CodeBundle | None:
    """The bundle of a plan is in the home folder or at an address, whole; None where the style is `none`.

    Safe to call again and from several processes: a bundle of the same files is not packed, nor stored, again.

    Args:
        plan: Of `plan_bundle`, made just now.
        to: A folder or prefix such as `s3://bucket/code` to put it below.

    Raises:
        CodeBundleError: there is nothing to bundle, it is too large, or a file cannot be read.
        StorageError: it cannot be written.
    """
    if plan.copy_style == "none":
        return None
    kept = keep_bundle(plan)
    return CodeBundle(
        computed_version=kept.version,
        tgz=str(kept.path) if to is None else store_kept(kept, to),
        destination=".",
        files=[file.path for file in plan.files],
    )


def keep_bundle(plan: BundlePlan) -> KeptBundle:
    """The bundle of a plan is in the home folder; see `build_bundle`."""
    check_plan(plan)
    record = _Record.of(plan)
    if known := record.find():
        return known
    began_ns = time.time_ns()
    output = io.BytesIO()
    packed = pack(plan, output, read_whole)
    path = _place(packed.version, packed.name, output.getvalue())
    record.write(packed, began_ns)
    return KeptBundle(path, packed.version, is_new=True)


def check_plan(plan: BundlePlan) -> None:
    """Nothing, when there is something to bundle, and it is not too large.

    Raises:
        CodeBundleError: there is not, or it is.
    """
    if not plan.files:
        raise CodeBundleError(_nothing(plan))
    SizeLimits.from_environment().check(plan)


def store_kept(kept: KeptBundle, to: str) -> str:
    """A bundle of the home folder is below an address too; returns where. What is there already is not sent again."""
    from flyte.storage import join
    from flyte.storage._addresses import absolute
    from flyte.storage._backend import backend_of
    from flyte.storage._transfer import store

    # The version is of all bytes: what is found under it is this bundle.
    address = join(absolute(to), kept.version, kept.path.name)
    found = backend_of(address).find(address)
    if found is None or found.size != kept.path.stat().st_size:
        store(str(kept.path), address)
    return address


def keep_bytes(name: str, content: bytes) -> KeptBundle:
    """A bundle of these bytes is in the home folder."""
    version = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return KeptBundle(_place(version, name, content), version, is_new=True)


def _place(version: str, name: str, content: bytes) -> Path:
    path = bundles_folder() / version / name
    if not _has_size(path, len(content)):
        write_atomically(path, content)
    return path


def _has_size(path: Path, size_bytes: int) -> bool:
    try:
        return path.stat().st_size == size_bytes
    except OSError:
        return False


def _nothing(plan: BundlePlan) -> str:
    match plan.copy_style:
        case "loaded_modules":
            why = "no module was imported from there: name the folder that holds your code as the root"
        case "custom":
            why = "no environment includes a file: add include=(...) to one, or choose another copy_style"
        case _:
            why = "it is empty, or rules leave out all of it"
    left_out = f" {len(plan.skipped)} left out, such as {_first_skipped(plan)}." if plan.skipped else ""
    return f"there is nothing to bundle in {plan.root} with copy_style={plan.copy_style!r}: {why}.{left_out}"


def _first_skipped(plan: BundlePlan) -> str:
    return f"{plan.skipped[0].relative} ({plan.skipped[0].rule})"


@dataclass(frozen=True, slots=True)
class _Record:
    """What was packed from the same paths the last time: a small file that spares reading them all again."""

    path: Path
    fingerprints: tuple[Fingerprint, ...]

    @classmethod
    def of(cls, plan: BundlePlan) -> _Record:
        names = hashlib.sha256(os.fsencode(f"{plan.root}\0" + "\0".join(file.relative for file in plan.files)))
        path = bundles_folder() / _KNOWN / f"{names.hexdigest()[:32]}.json"
        return cls(path, tuple(file.fingerprint for file in plan.files))

    def find(self) -> KeptBundle | None:
        """The bundle, if no file has changed since it was packed."""
        try:
            known: dict[str, Any] = json.loads(self.path.read_bytes())
            if known["files"] != _digest_of(self.fingerprints):
                return None
            path = bundles_folder() / known["version"] / known["name"]
            size_bytes = known["size_bytes"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return KeptBundle(path, known["version"], is_new=False) if _has_size(path, size_bytes) else None

    def write(self, packed: Packed, began_ns: int) -> None:
        """Remember it, unless a file was written so lately that its next change may leave the same times."""
        latest_ns = max(max(fingerprint[1:3]) for fingerprint in packed.fingerprints)
        if latest_ns >= began_ns - _CLOCK_TICK_NS:
            return
        known = {
            "files": _digest_of(packed.fingerprints),
            "version": packed.version,
            "name": packed.name,
            "size_bytes": packed.size_bytes,
        }
        try:
            write_atomically(self.path, json.dumps(known).encode())
        except OSError as error:
            system_logger.info("%s cannot be written, so the next bundle reads all files: %s", self.path, error)


def _digest_of(fingerprints: tuple[Fingerprint, ...]) -> str:
    return hashlib.sha256(repr(fingerprints).encode()).hexdigest()
