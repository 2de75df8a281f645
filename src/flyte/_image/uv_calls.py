"""What uv is asked to do, and how its failures are told."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flyte._authoring.image_layers import PipOptions
from flyte._image.build_secrets import hidden
from flyte._image.disk_errors import DISK_IS_FULL
from flyte._image.local_paths import absolute_arguments
from flyte._image.processes import Finished, run
from flyte._version import __version__
from flyte.errors import ImageBuildError

# They would lead uv to another environment than the one that is built.
_LEADING_ELSEWHERE = (
    "UV_BREAK_SYSTEM_PACKAGES",
    "UV_PROJECT",
    "UV_PROJECT_ENVIRONMENT",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "UV_TARGET",
    "UV_PREFIX",
    "UV_VENV_CLEAR",
    "UV_VENV_RELOCATABLE",
    "UV_VENV_SEED",
    "UV_WORKING_DIRECTORY",
    "PYTHONHOME",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
)
_NO_NETWORK = re.compile(
    r"failed to fetch|error sending request|dns error|could not connect|failed to download|client error \(connect\)",
    re.IGNORECASE,
)
_NO_SPACE = re.compile(
    r"no space left on device|disk quota exceeded|os error 28|errno 28|file too large", re.IGNORECASE
)
_OTHER_FLYTE = re.compile(r"(?:requires?|depends? on|version of|download `|URLs for package `)\s*flyte(?![\w-])")
_PINNED = re.compile(r"[\w.-]+(?:\[[^\]]*\])?\s*(?:===?\s*[\w.!+-]+|@\s*\S+)\s*(?:;.*)?|/\S+")
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
_PREAMBLE = re.compile(r"^(?:Using (?:C?Python) .*|Creating virtual environment at.*)\n", re.MULTILINE)
_LONGEST_OUTPUT = 20_000


def uv_program() -> str:
    """The uv that came with this package, else one on the `PATH`.

    Raises:
        ImageBuildError: there is none.
    """
    try:
        from uv import find_uv_bin

        return find_uv_bin()
    except (ImportError, FileNotFoundError):
        if found := shutil.which("uv"):
            return found
        raise ImageBuildError("uv, which makes environments, is not installed: `pip install uv`.") from None


def building_variables(added: Mapping[str, str]) -> dict[str, str]:
    """The variables of programs that build: those of this process, and what is added."""
    inherited = {name: value for name, value in os.environ.items() if name not in _LEADING_ELSEWHERE}
    if inherited.get("UV_LINK_MODE") == "symlink":
        # What is linked so is gone when uv's cache is cleaned.
        del inherited["UV_LINK_MODE"]
    return inherited | {"NO_COLOR": "1", "UV_NO_PROGRESS": "1"} | dict(added)


@dataclass(frozen=True, slots=True)
class Uv:
    """Calls of uv that concern one environment.

    Attributes:
        python: The interpreter of the environment.
        folder: Where uv runs: without settings of any project, and nothing there is named by a relative path.
        own: The requirement that keeps this package as it is; part of every installation.
        build_constraints: A file with the same, for what packages need while they are built.
    """

    python: Path
    folder: Path
    own: str
    build_constraints: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def install(
        self,
        requirements: Sequence[str],
        *,
        arguments: Sequence[str | Path] = (),
        secrets: Mapping[str, str] | None = None,
        folder: Path | None = None,
        is_pinned: bool = False,
    ) -> None:
        """The requirements are installed, together with this package.

        Args:
            requirements: As in a requirements file.
            arguments: Further ones of `uv pip install`.
            secrets: Variables for uv alone.
            folder: What relative paths are relative to.
            is_pinned: One version of each is asked for, so that what uv has kept is as good as what a registry has.

        Raises:
            ImageBuildError: they cannot be; it has the words of uv.
        """
        place = folder or self.folder
        if is_pinned and not _asks_for_new(arguments):
            kept = self._run(requirements, [*arguments, "--offline"], secrets or {}, place)
            if not kept.return_code:
                return
        finished = self._install(requirements, arguments, secrets or {}, place)
        if finished.return_code:
            raise ImageBuildError(failure_text("the packages cannot be installed", finished, secrets or {}))

    def try_install(self, *, arguments: Sequence[str | Path]) -> bool:
        """Whether this package is installed now, with what it depends on; where not, nothing changed."""
        return self._run([], arguments, {}, self.folder).return_code == 0

    def _install(
        self, requirements: Sequence[str], arguments: Sequence[str | Path], secrets: Mapping[str, str], folder: Path
    ) -> Finished:
        finished = self._run(requirements, arguments, secrets, folder)
        if finished.return_code and _NO_NETWORK.search(finished.output) and "--offline" not in arguments:
            # What was fetched before may do.
            offline = self._run(requirements, [*arguments, "--offline"], secrets, folder)
            return finished if offline.return_code else offline
        return finished

    def _run(
        self, requirements: Sequence[str], arguments: Sequence[str | Path], secrets: Mapping[str, str], folder: Path
    ) -> Finished:
        command: list[str | Path] = [uv_program(), "pip", "install", "--python", self.python, "-r", "-"]
        command += ["--build-constraints", self.build_constraints, *arguments]
        text = "".join(f"{each}\n" for each in (self.own, *requirements))
        return run(command, variables=building_variables({**self.variables, **secrets}), folder=folder, text_in=text)


def are_pinned(requirements: Sequence[str]) -> bool:
    """Whether each requirement allows one version alone: by `==`, by an address, or by a path."""
    return all(_PINNED.fullmatch(each.strip()) for each in requirements)


def _asks_for_new(arguments: Sequence[str | Path]) -> bool:
    return any(str(each).startswith(("--refresh", "--upgrade", "-U", "-P")) for each in arguments)


def arguments_of(options: PipOptions, folder: Path) -> list[str]:
    """The options of a layer, as uv takes them."""
    arguments = []
    if options.index_url:
        arguments += ["--index-url", options.index_url]
    for url in options.extra_index_urls:
        arguments += ["--extra-index-url", url]
    if options.pre:
        arguments += ["--prerelease", "allow"]
    return arguments + absolute_arguments(options.extra_args, folder)


def make_environment(folder: Path, python_version: str) -> None:
    """An environment without packages is in `folder`.

    Raises:
        ImageBuildError: there is no such Python, or the folder cannot be written.
    """
    is_running = python_version == ".".join(map(str, sys.version_info[:2]))
    python = sys.executable if is_running else python_version
    command: list[str | Path] = [uv_program(), "venv", "--no-project", "--python", python, folder]
    finished = run(command, variables=building_variables({}), folder=folder.parent)
    if not finished.return_code:
        return
    if _NO_SPACE.search(finished.output) or is_running:
        raise ImageBuildError(failure_text("the environment cannot be made", finished, {}))
    found = ", ".join(_pythons_found()) or "none"
    raise ImageBuildError(
        failure_text(f"Python {python_version} cannot be had. Found on this machine: {found}", finished, {})
        + f"\nInstall it (`uv python install {python_version}`), or ask for another with python_version=."
    )


def _pythons_found() -> list[str]:
    command = [uv_program(), "python", "list", "--only-installed", "--offline", "--output-format", "json"]
    finished = run(command, variables=building_variables({}), folder=Path.home())
    try:
        # Warnings come first.
        listed = json.loads(finished.output[finished.output.index("[{") :])
        return sorted({each["version"] for each in listed}, key=lambda text: [int(part) for part in text.split(".")])
    except (ValueError, KeyError, TypeError):
        return []


def failure_text(what: str, finished: Finished, secrets: Mapping[str, str]) -> str:
    """What failed, in the words of the program that failed, and the next step where there is one."""
    output = _PREAMBLE.sub("", finished.output).strip()
    if len(output) > _LONGEST_OUTPUT:
        output = f"[...]\n{output[-_LONGEST_OUTPUT:]}"
    ended = f" (ended by signal {-finished.return_code})" if finished.return_code < 0 else ""
    parts = [f"{what}{ended}:", output or f"it ended with {finished.return_code} and said nothing"]
    if _NO_SPACE.search(output):
        parts.append(DISK_IS_FULL)
    if _OTHER_FLYTE.search(output):
        parts.append(
            f"Every environment holds the flyte that runs, {__version__}, and no other distribution of that name: "
            f"leave flyte out of the requirements, or name it without a version."
        )
    return without_credentials(hidden("\n".join(parts), secrets))


def without_credentials(text: str) -> str:
    """The text, with no user names and passwords in its addresses."""
    return _CREDENTIALS.sub("****@", text)
