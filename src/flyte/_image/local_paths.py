"""Files and folders of this machine that requirements and arguments of pip name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from flyte._authoring.file_digests import digest_of_file, digest_of_folder
from flyte.errors import ImageBuildError

_ARCHIVES = (".whl", ".tar.gz", ".zip")
_INCLUDES = ("-r", "--requirement", "-c", "--constraint")
# `./wheels/a-1.0.whl[extra] ; python_version > "3"`, `a @ file:///wheels/a-1.0.whl`
_PARTS = re.compile(r"(?:[\w.-]+(?:\[[^\]]*\])?\s*@\s*)?(?P<place>[^\s;\[]+)(?P<rest>.*)", re.DOTALL)


def local_path_of(requirement: str, folder: Path) -> Path | None:
    """The wheel, archive or project that a requirement names by path, relative to `folder`; None for any other."""
    match = _PARTS.fullmatch(requirement.strip())
    if match is None:
        return None
    place = match["place"]
    if place.startswith("file:"):
        return Path(unquote(urlsplit(place).path))
    is_path = place.startswith((".", "/", "~")) or place.endswith(_ARCHIVES)
    return folder / Path(place).expanduser() if is_path and "://" not in place else None


def with_absolute_path(requirement: str, folder: Path, instead: Path | None = None) -> str:
    """The same requirement from any working directory; `instead` is where a copy of what it names lies."""
    match = _PARTS.fullmatch(requirement.strip())
    path = local_path_of(requirement, folder)
    if match is None or path is None:
        return requirement
    return f"{requirement.strip()[: match.start('place')]}{(instead or path.resolve()).as_posix()}{match['rest']}"


def absolute_arguments(extra_args: str | None, folder: Path) -> list[str]:
    """Arguments, those that are paths from `folder` in full."""
    return [_absolute(argument, folder) for argument in words_of(extra_args)]


def words_of(extra_args: str | None) -> list[str]:
    """Arguments, as a shell splits them.

    Raises:
        ImageBuildError: a quotation mark is not closed.
    """
    try:
        return shlex.split(extra_args or "")
    except ValueError as error:
        raise ImageBuildError(f"extra_args {extra_args!r} cannot be split into arguments: {error}") from None


def _absolute(argument: str, folder: Path) -> str:
    option, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    is_path = value != "" and not value.startswith("-") and "://" not in value and (folder / value).exists()
    return f"{option}{equals}{(folder / value).resolve()}" if is_path else argument


def digests_of_arguments(extra_args: str | None, folder: Path) -> list[str]:
    """What the files and folders that arguments name hold."""
    return [_digest(path) for path in paths_in_arguments(extra_args, folder)]


def paths_in_arguments(extra_args: str | None, folder: Path) -> list[Path]:
    """The files and folders that arguments name."""
    named = (argument.rpartition("=")[2] for argument in absolute_arguments(extra_args, folder))
    return [Path(each) for each in named if each.startswith("/") and Path(each).exists()]


def digests_of_requirements(requirements: tuple[str, ...], folder: Path) -> list[str]:
    """What the wheels, archives and projects that requirements name hold."""
    paths = (local_path_of(each, folder) for each in requirements)
    return [_digest(path) for path in paths if path is not None]


def digests_of_file(file: Path) -> list[str]:
    """What the files hold that a requirements file names."""
    return [_digest(path) for path in paths_named_in(file)]


def paths_named_in(file: Path) -> Iterator[Path]:
    """What a requirements file names: wheels, projects, and further files of requirements and constraints."""
    yield from _named_in(file, set())


def _named_in(file: Path, seen: set[Path]) -> Iterator[Path]:
    seen.add(file.resolve())
    for line in file.read_text("utf-8", "replace").splitlines():
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        option, _, value = text.replace("=", " ", 1).partition(" ") if text.startswith("--") else text.partition(" ")
        if option in _INCLUDES:
            path = file.parent / value.strip()
            if path.is_file() and path.resolve() not in seen:
                yield path
                yield from _named_in(path, seen)
        elif text and not text.startswith("-") and (path_named := local_path_of(text, file.parent)):
            yield path_named


def _digest(path: Path) -> str:
    if path.is_file():
        return digest_of_file(path)
    if path.is_dir() and not (path / "pyproject.toml").exists() and not (path / "setup.py").exists():
        # A folder of wheels to choose from, which may be large.
        wheels = sorted(each for each in path.iterdir() if each.is_file())
        return repr([(each.name, each.stat().st_size, each.stat().st_mtime_ns) for each in wheels])
    return digest_of_folder(path)
