"""This very package in an environment: the code that runs, never the distribution of that name in a registry.

The code is packed into a wheel once for each state that it is in, so that a checkout under development, an installation
and an environment with either hold the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from flyte._atomic import write_atomically
from flyte._version import __version__
from flyte.errors import ImageBuildError

NAME = "flyte"
PACKAGE = Path(__file__).resolve().parents[1]
_WHEELS = ".wheels"
_LEFT_BEHIND = frozenset({"__pycache__"})
_EPOCH = (1980, 1, 1, 0, 0, 0)
_WHEEL_FILE = "Wheel-Version: 1.0\nGenerator: flyte\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@cache
def own_digest() -> str:
    """SHA-256 of the files of this package, in hex."""
    return _digest_of(PACKAGE)


def _digest_of(package: Path) -> str:
    digest = hashlib.sha256()
    for name, path in _files_of(package):
        with open(path, "rb", buffering=0) as file:
            content = file.read()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _files_of(package: Path) -> Iterator[tuple[str, str]]:
    """Relative name and path of each file, always in the same order."""
    top = str(package)
    for parent, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if name not in _LEFT_BEHIND)
        for name in sorted(names):
            if not name.endswith((".pyc", ".tmp")):
                path = os.path.join(parent, name)
                yield os.path.relpath(path, top).replace(os.sep, "/"), path


def ensure_own_wheel(images: Path) -> Path:
    """A wheel of this package, below `images`.

    Raises:
        ImageBuildError: the package is not installed, so that nobody knows what it depends on.
    """
    folder = images / _WHEELS / own_digest()[:16]
    wheel = folder / f"{NAME}-{__version__}-py3-none-any.whl"
    if not wheel.exists():
        if _digest_of(PACKAGE) != own_digest():
            raise ImageBuildError(
                f"the files of flyte in {PACKAGE} have changed since this process started: start it again, or an "
                f"environment would have another flyte than the one that runs."
            )
        write_atomically(wheel, wheel_bytes())
    return wheel


def own_constraints(wheel: Path) -> Path:
    """A file that says the same of what packages need while they are built."""
    file = wheel.with_name("build-constraints.txt")
    if not file.exists() or file.read_text("utf-8") != own_requirement(wheel):
        write_atomically(file, own_requirement(wheel).encode())
    return file


def own_requirement(wheel: Path) -> str:
    """The requirement that this wheel fulfils, and nothing of the same name in a registry does."""
    return f"{NAME} @ {wheel.as_uri()}"


def wheel_bytes() -> bytes:
    """A wheel of this package.

    Raises:
        ImageBuildError: as in `ensure_own_wheel`.
    """
    import zipfile

    info = f"{NAME}-{__version__}.dist-info"
    content = {f"{NAME}/{name}": Path(path).read_bytes() for name, path in _files_of(PACKAGE)}
    content |= {f"{info}/{name}": text.encode() for name, text in _metadata().items()}
    content[f"{info}/WHEEL"] = _WHEEL_FILE.encode()
    content[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in (*content, f"{info}/RECORD")).encode()
    packed = io.BytesIO()
    # Stored, not compressed: uv unpacks it at once.
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)
    return packed.getvalue()


def _metadata() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        installed = distribution(NAME)
    except PackageNotFoundError:
        raise ImageBuildError(
            f"flyte {__version__} runs from {PACKAGE} without being installed, so what it depends on is unknown: "
            f"`pip install -e` its project, and build again."
        ) from None
    if installed.version != __version__:
        raise ImageBuildError(
            f"flyte {__version__} runs from {PACKAGE}, but the installed distribution is flyte {installed.version}: "
            f"install the one that runs, and build again."
        )
    texts = {name: installed.read_text(name) for name in ("METADATA", "entry_points.txt")}
    return {name: text for name, text in texts.items() if text}


def running_versions() -> list[str]:
    """A pin for every distribution that the interpreter that runs can import, except this one."""
    pins: dict[str, str] = {}
    for entry in sys.path:
        for info in sorted(Path(entry or ".").glob("*.dist-info")):
            name, _, version = info.stem.rpartition("-")
            # What a local build calls itself, no registry has.
            if name and name != NAME and "+" not in version:
                pins.setdefault(name, f"{name}=={version}")
    return sorted(pins.values())


def check_own_package(environment: Path) -> None:
    """The environment holds this package and no other of its name.

    Raises:
        ImageBuildError: something put another one there.
    """
    for packages in environment.glob("lib/python*/site-packages"):
        found = sorted(path.name for path in packages.glob(f"{NAME}-*.dist-info"))
        if found == [f"{NAME}-{__version__}.dist-info"] and _digest_of(packages / NAME) == own_digest():
            return
    raise ImageBuildError(
        f"a layer of the image replaced flyte {__version__}, which runs here, by another distribution of that name. "
        f"Leave flyte out of what the image installs: every environment has the one that runs."
    )
