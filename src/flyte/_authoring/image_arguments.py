"""What the methods of an image accept, and the checks of it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Tuple, Union, get_args

from flyte._authoring.expectations import expect, near_name

Architecture = Literal["linux/amd64", "linux/arm64"]
ProjectInstallMode = Literal["dependencies_only", "install_project"]

OLDEST_PYTHON = (3, 11)
_BOTH_PLATFORMS: Tuple[Architecture, ...] = ("linux/amd64", "linux/arm64")

_WORD = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_WORD}(?:/{_WORD})*")


def running_python() -> Tuple[int, int]:
    """The version of this interpreter, as major and minor."""
    return sys.version_info[:2]


def dotted(version: Tuple[int, int]) -> str:
    """`3.12` for `(3, 12)`."""
    return f"{version[0]}.{version[1]}"


def python_version_of(version: Tuple[int, int] | None) -> Tuple[int, int]:
    """A version as major and minor; without one, that of this interpreter."""
    if version is None:
        return running_python()
    is_pair = isinstance(version, tuple) and len(version) == 2 and all(isinstance(part, int) for part in version)
    expect(is_pair, "python_version", "a pair such as (3, 12)", version)
    return version


def platforms_of(platform: Union[Architecture, Tuple[Architecture, ...], None]) -> Tuple[Architecture, ...]:
    """The platforms that `platform=` means; without one, both."""
    if platform is None:
        return _BOTH_PLATFORMS
    chosen: Tuple[Architecture, ...] = platform if isinstance(platform, tuple) else (platform,)
    known = get_args(Architecture)
    for each in chosen:
        if each not in known:
            raise ValueError(f"platform must be {' or '.join(map(repr, known))}, got {each!r}.{near_name(each, known)}")
    return chosen


def checked_name(name: str) -> str:
    """`name`, if a registry takes it as the name of an image."""
    expect(isinstance(name, str), "the name of an image", "a str", name)
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"image name {name!r} must be lower-case letters and digits, with '.', '_' or '-' between them; "
            f"the tag is computed, and the registry goes into registry="
        )
    return name


def install_mode_of(mode: ProjectInstallMode) -> ProjectInstallMode:
    """`mode`, if there is such a mode."""
    known = get_args(ProjectInstallMode)
    if mode not in known:
        raise ValueError(
            f"project_install_mode must be {' or '.join(map(repr, known))}, got {mode!r}.{near_name(mode, known)}"
        )
    return mode


def optional_path(path: Path | str | None) -> Path | None:
    """`path` as a path."""
    return None if path is None else Path(path)


def strings_of(what: str, values: Iterable[str]) -> tuple[str, ...]:
    """`values`, if each is a string with something in it."""
    strings = tuple(values)
    for value in strings:
        expect(isinstance(value, str) and value.strip() != "", what, "non-empty strings", value)
    return strings
