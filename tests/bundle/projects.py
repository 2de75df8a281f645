"""Writing projects and archives for tests."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from flyte._bundle.building import build_bundle
from flyte._bundle.plans import BundlePlan
from flyte.models import CodeBundle


def write(root: Path, files: Mapping[str, str | bytes]) -> None:
    """The files, by relative path, are below a folder."""
    for relative, content in files.items():
        path = root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def names(plan: BundlePlan) -> list[str]:
    """The relative paths of what goes in."""
    return [file.relative for file in plan.files]


def rules(plan: BundlePlan) -> dict[str, str]:
    """The rule of each path that was left out."""
    return {each.relative: each.rule for each in plan.skipped}


def built(plan: BundlePlan) -> CodeBundle:
    """The bundle of a plan that has files."""
    bundle = build_bundle(plan)
    assert bundle is not None
    assert bundle.tgz is not None
    return bundle


def archive_of(bundle: CodeBundle) -> Path:
    """The file of a bundle that is on this machine."""
    assert bundle.tgz is not None
    return Path(bundle.tgz)


def contents(archive: Path) -> dict[str, bytes]:
    """The files in an archive."""
    found = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            found[member.name] = file.read()
    return found


def tree(folder: Path) -> dict[str, bytes]:
    """The files below a folder, without those that inflation keeps for itself."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".flyte-bundle")
    }


def bundle_of(data: bytes, folder: Path, name: str = "x.tar.gz") -> CodeBundle:
    """A bundle of these bytes, with the right version."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    version = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return CodeBundle(computed_version=version, tgz=str(folder / name))


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A gzipped tar of any members, also of those that nobody should send."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), mtime=0)


def member(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    """One member of an archive."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    return info, content
