"""Which interpreter stands for the image of a task."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from flyteidl2.core.tasks_pb2 import RuntimeMetadata
from flyteidl2.task.task_definition_pb2 import TaskSpec

from flyte._authoring.image import Image
from flyte._image.building import find_environment
from flyte._image.environment import SCHEME, Environment, running_environment
from flyte._image.processes import stopped_by
from flyte._image.venv import ensure_environment
from flyte._logging import system_logger
from flyte._server.executors.containers import TaskProcess
from flyte._server.executors.official import ensure_official
from flyte._server.executors.refused import IMAGE_PULL_BACK_OFF, INVALID_IMAGE_NAME, UnrunnableError
from flyte._version import __version__
from flyte.errors import ImageBuildError

_DEFAULT = re.compile(r"ghcr\.io/flyteorg/flyte:py(?P<major>\d+)\.(?P<minor>\d+)-v[^:/@]+")
"""The images of tasks that name none: Python, and a release."""

_PROBE = """
import importlib.metadata, importlib.util, json, os, sys
found = importlib.util.find_spec("flyte")
folders = list(found.submodule_search_locations or ()) if found else []
has = lambda *parts: any(os.path.exists(os.path.join(folder, *parts)) for folder in folders)
ours, official = has("_worker", "forked.py"), has("_bin", "runtime.py")
kind = "ours" if ours else "official" if official else "none"
print(json.dumps({"kind": kind, "version": importlib.metadata.version("flyte") if folders else ""}))
"""
_PROBE_LIMIT_S = 60.0


class ImageMapping:
    """Which environments stand for images, as whoever runs the server has said; the first that fits counts.

    Args:
        pairs: A pattern of image names, in which `*` stands for anything, and the folder of an environment.
    """

    def __init__(self, pairs: Iterable[tuple[str, Path]] = ()) -> None:
        self.pairs = tuple(pairs)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> ImageMapping:
        """From texts such as `ghcr.io/flyteorg/flyte:*=/path/to/venv`.

        Raises:
            ValueError: one has another form, or there is no Python in its folder.
        """
        return cls(_pair(text) for text in texts)

    def find(self, image: str) -> Path | None:
        """The interpreter for an image; None where nothing was said of it."""
        for pattern, folder in self.pairs:
            if fnmatchcase(image, pattern):
                return _python_of(folder)
        return None


def _pair(text: str) -> tuple[str, Path]:
    pattern, _, folder = text.rpartition("=")
    if not pattern or not folder:
        raise ValueError(
            f"--image {text!r}: expected PATTERN=FOLDER, such as 'ghcr.io/flyteorg/flyte:*=/path/to/environment'."
        )
    path = Path(folder).expanduser().absolute()
    if not _python_of(path).exists():
        raise ValueError(f"--image {text!r}: there is no environment in {path}: {_python_of(path)} is missing.")
    return pattern, path


def _python_of(folder: Path) -> Path:
    return folder / "bin" / "python"


@dataclass(frozen=True, slots=True)
class Software:
    """What an attempt runs in.

    Attributes:
        environment: Its interpreter, with the variables and the folders of the image.
        is_ours: It holds this very package; else the official one.
    """

    environment: Environment
    is_ours: bool = True

    @property
    def python(self) -> str:
        """The interpreter."""
        return str(self.environment.python)

    def variables(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Those of a process in it, where others are inherited."""
        return self.environment.variables(inherited)


class Images:
    """Finds, and makes where needed, what attempts run in. Lives on one event loop.

    Args:
        home: Where environments are kept.
    """

    def __init__(self, home: Path, mapping: ImageMapping) -> None:
        self._home = home
        self._mapping = mapping
        self._stop = threading.Event()
        self._finding: dict[tuple[str, str], asyncio.Task[Software]] = {}

    async def software(self, process: TaskProcess, spec: TaskSpec) -> Software:
        """What stands for the image of a task.

        Raises:
            UnrunnableError: nothing does.
        """
        version = _official_version(spec) or ""
        key = process.image, version
        finding = self._finding.get(key)
        if finding is None or (
            finding.done() and (finding.cancelled() or finding.exception() or self._is_gone(finding))
        ):
            with stopped_by(self._stop):
                finding = asyncio.ensure_future(asyncio.to_thread(self._find, process.image, version))
            self._finding[key] = finding
        return await asyncio.shield(finding)

    async def close(self) -> None:
        """Nothing is being made."""
        self._stop.set()
        if self._finding:
            await asyncio.wait(self._finding.values())

    def _is_gone(self, finding: asyncio.Task[Software]) -> bool:
        return not os.path.exists(finding.result().python)

    def _find(self, image: str, official_version: str) -> Software:
        software = self._found(image, official_version)
        whose = "this package" if software.is_ours else "the official release"
        system_logger.info("image %r: attempts run %s in %s", image, whose, software.python)
        return software

    def _found(self, image: str, official_version: str) -> Software:
        if any(character.isspace() or not character.isprintable() for character in image):
            raise UnrunnableError(INVALID_IMAGE_NAME, f"{image!r} is no name of an image. {_how_to_map(image)}")
        if (python := self._mapping.find(image)) is not None:
            return _probed(python, image)
        default = _DEFAULT.fullmatch(image)
        if image and default is None:
            return self._built(image)
        version = sys.version_info[:2] if default is None else (int(default["major"]), int(default["minor"]))
        try:
            if official_version:
                return _probed(_python_of(ensure_official(self._home, official_version, version)), image)
            return Software(self._plain(version))
        except (ImageBuildError, ValueError) as error:
            raise _not_there(image, str(error)) from error

    def _plain(self, version: tuple[int, int]) -> Environment:
        """This package under that version of Python."""
        if version == sys.version_info[:2]:
            return running_environment()
        return ensure_environment(Image.from_debian_base(python_version=version), home=self._home)

    def _built(self, image: str) -> Software:
        try:
            return Software(find_environment(image, home=self._home))
        except (ImageBuildError, ValueError) as error:
            reason = str(error) if image.startswith(SCHEME) else f"this server has no containers: {error}"
            raise _not_there(image, reason) from error


def _official_version(spec: TaskSpec) -> str | None:
    """The official release that made a spec; None where this one did."""
    runtime = spec.task_template.metadata.runtime
    if runtime.type != RuntimeMetadata.FLYTE_SDK or runtime.version in ("", __version__):
        return None
    return str(runtime.version)


def _probed(python: Path, image: str) -> Software:
    environment = Environment(str(python.parent.parent), python, folder=python.parent.parent)
    if os.path.realpath(python.parent) == os.path.realpath(os.path.dirname(sys.executable)):
        return Software(running_environment())
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    try:
        ended = subprocess.run(
            [python, "-I", "-c", _PROBE],
            env=variables,
            capture_output=True,
            text=True,
            timeout=_PROBE_LIMIT_S,
            stdin=subprocess.DEVNULL,
        )
        told = json.loads(ended.stdout) if ended.returncode == 0 else {"kind": ended.stderr.strip()[-500:]}
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise _not_there(image, f"{python} cannot be run: {error}.") from error
    kind = told["kind"]
    if kind == "ours" and told["version"] != __version__:
        reason = f"{python}, which stands for it, has flyte {told['version']}: install {__version__} there, as here."
        raise _not_there(image, reason)
    if kind not in ("ours", "official"):
        said = "it has no flyte" if kind == "none" else kind
        raise _not_there(image, f"{python}, which stands for it, cannot run tasks: {said}.")
    return Software(environment, is_ours=kind == "ours")


def _not_there(image: str, reason: str) -> UnrunnableError:
    return UnrunnableError(
        IMAGE_PULL_BACK_OFF, f"there is no image {image!r} on this server: {reason} {_how_to_map(image)}"
    )


def _how_to_map(image: str) -> str:
    return f"Name an environment that stands for it: flyte start --image '{image or 'NAME'}=/path/to/environment'."
