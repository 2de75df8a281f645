"""What a script says at its top about what it needs (PEP 723)."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from flyte.errors import ImageBuildError

# The pattern that the standard gives.
_BLOCK = re.compile(r"(?m)^# /// script$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
_CLAUSE = re.compile(r"\s*(?P<operator>~=|==|!=|<=|>=|<|>)\s*(?P<version>\d+(?:\.\d+)*)(?P<any>\.\*)?\s*")


@dataclass(frozen=True, slots=True)
class ScriptNeeds:
    """Its packages, and the Pythons it runs on."""

    dependencies: list[str]
    requires_python: str | None


def script_needs(script: Path) -> ScriptNeeds:
    """What the block says.

    Raises:
        ImageBuildError: there is not exactly one, or it is not as the standard says.
    """
    blocks = list(_BLOCK.finditer(script.read_text("utf-8", "replace")))
    if len(blocks) != 1:
        raise ImageBuildError(
            f"{script.absolute()} has {len(blocks)} '# /// script' blocks, each ended by '# ///': exactly one is "
            f"expected at its top."
        )
    lines = blocks[0]["content"].splitlines()
    try:
        block = tomllib.loads("\n".join(line[2:] if line.startswith("# ") else line[1:] for line in lines))
    except tomllib.TOMLDecodeError as error:
        raise ImageBuildError(f"the '# /// script' block of {script.absolute()} is not TOML: {error}") from None
    if settings := sorted(block.get("tool", {}).get("uv", {})):
        raise ImageBuildError(
            f"{script.absolute()} has settings for uv ({', '.join(settings)}), which an image does not read: give "
            f"index_url= and extra_args= to from_uv_script, and name sources in the dependencies ('a @ https://...')."
        )
    dependencies = block.get("dependencies", [])
    if not isinstance(dependencies, list) or not all(isinstance(each, str) for each in dependencies):
        raise ImageBuildError(f"{script.absolute()}: dependencies must be a list of texts, got {dependencies!r}")
    return ScriptNeeds(dependencies, block.get("requires-python"))


def check_python(needs: ScriptNeeds, script: Path, python_version: str) -> None:
    """The Python of the image is one that the script runs on.

    Raises:
        ImageBuildError: it is not.
    """
    if needs.requires_python and not is_allowed(python_version, needs.requires_python):
        raise ImageBuildError(
            f"{script.absolute()} asks for Python {needs.requires_python}, the image has {python_version}: say which "
            f"with Image.from_uv_script(..., python_version=(3, 12))."
        )


def is_allowed(python_version: str, specifier: str) -> bool:
    """Whether a minor version such as `3.12` has releases that a specifier such as `>=3.11,<3.13` allows."""
    return all(_fulfils(python_version, clause) for clause in specifier.split(",") if clause.strip())


def _fulfils(python_version: str, clause: str) -> bool:
    match = _CLAUSE.fullmatch(clause)
    if match is None:
        raise ImageBuildError(f"requires-python has {clause.strip()!r}, expected a form such as '>=3.11'")
    has = tuple(map(int, python_version.split(".")))
    named = tuple(map(int, match["version"].split(".")))
    asked = (*named, 0)[:2]
    is_whole = len(named) <= 2
    match match["operator"]:
        case ">=":
            return has >= asked
        case "~=":
            return has >= asked and (has[0] == asked[0] if is_whole else has == asked)
        case ">":
            return has > asked or (has == asked and not is_whole)
        case "<":
            return has < asked or (has == asked and not is_whole and named[2] > 0)
        case "<=":
            return has <= asked
        case "==":
            return has == asked if len(named) > 1 else has[0] == named[0]
    # `!=` of a patch release leaves others.
    return has != asked or not is_whole
