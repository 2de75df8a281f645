"""What `poetry.lock` says, in the words of pip."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyte.errors import ImageBuildError


@dataclass(frozen=True, slots=True)
class PoetryRequirements:
    """What a project asks for, and the versions that its lock file holds everything at."""

    requirements: list[str]
    constraints: list[str]


def poetry_requirements(manifest: Path, lock: Path | None) -> PoetryRequirements:
    """The main dependencies of a project, without those of groups such as `dev`.

    Raises:
        ImageBuildError: a file is not TOML, or the dependencies are in Poetry's own words and there is no lock file.
    """
    project = _load(manifest)
    packages = [] if lock is None else _load(lock).get("package", [])
    asked = list(project.get("project", {}).get("dependencies", []))
    own_words: dict[str, Any] = project.get("tool", {}).get("poetry", {}).get("dependencies", {})
    named = [(name, wish) for name, wish in own_words.items() if name.lower() != "python" and not _is_optional(wish)]
    known = {_normal(each) for each in map(_name_of, asked)}
    if named and lock is None:
        raise ImageBuildError(
            f"{manifest.absolute()} has dependencies in Poetry's own words (tool.poetry.dependencies) and no "
            f"poetry.lock beside it: run `poetry lock`, or name them under project.dependencies."
        )
    asked += [_named(name, wish) for name, wish in named if _normal(name) not in known]
    pinned = [_pin(each) for each in packages]
    elsewhere = {_normal(each["name"]): _address(each) for each in packages if "source" in each}
    asked = [elsewhere.get(_normal(_name_of(each))) or each for each in asked]
    return PoetryRequirements(asked, [pin for pin in pinned if pin])


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ImageBuildError(f"{path.absolute()} of an image cannot be read: {error}") from None


def _is_optional(wish: Any) -> bool:
    return isinstance(wish, dict) and bool(wish.get("optional"))


def _named(name: str, wish: Any) -> str:
    """The lock file has the version: only the extras and markers are left to say."""
    if not isinstance(wish, dict):
        return name
    extras = f"[{','.join(wish['extras'])}]" if wish.get("extras") else ""
    return f"{name}{extras}" + (f" ; {wish['markers']}" if wish.get("markers") else "")


def _pin(package: dict[str, Any]) -> str | None:
    if package.get("source", {}).get("type") in ("git", "url", "file", "directory"):
        return None
    markers = package.get("markers")
    # In a table the markers are by group, and one package may be in several.
    condition = markers.get("main") if isinstance(markers, dict) else markers
    return f"{package['name']}=={package['version']}" + (f" ; {condition}" if condition else "")


def _address(package: dict[str, Any]) -> str | None:
    source = package["source"]
    match source.get("type"):
        case "git":
            return f"{package['name']} @ git+{source['url']}@{source['resolved_reference']}"
        case "url":
            return f"{package['name']} @ {source['url']}"
        case "file" | "directory":
            raise ImageBuildError(
                f"poetry.lock takes {package['name']} from {source['url']}, a path of this machine: install it with "
                f"with_pip_packages(<path>) and leave it out of the project."
            )
    return None


def _name_of(requirement: str) -> str:
    return re.split(r"[\s\[<>=!~;@(]", requirement.strip(), maxsplit=1)[0]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
