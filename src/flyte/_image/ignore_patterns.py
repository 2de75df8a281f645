"""Patterns of `.dockerignore` files: which files of a copied folder stay out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from flyte._authoring.image_layers import DockerIgnore, Layer


class IgnorePatterns:
    """Patterns in their order; the last that fits a path decides. They are relative to each folder that is copied."""

    def __init__(self, lines: Sequence[str]) -> None:
        wanted = [line.strip() for line in lines]
        self._rules = [_rule(line) for line in wanted if line and not line.startswith("#")]

    @classmethod
    def of_files(cls, files: Sequence[Path]) -> IgnorePatterns:
        """The patterns of all files, in order."""
        return cls([line for file in files for line in file.read_text("utf-8", "replace").splitlines()])

    def leaves_out(self, relative: str) -> bool:
        """Whether a file stays out, by its own name or that of a folder above it."""
        is_out = False
        for pattern, is_exception in self._rules:
            if pattern.fullmatch(relative):
                is_out = not is_exception
        return is_out


def patterns_of(layers: Sequence[Layer]) -> IgnorePatterns:
    """What the layers of an image leave out of the folders they copy."""
    return IgnorePatterns.of_files([layer.path for layer in layers if isinstance(layer, DockerIgnore)])


def _rule(line: str) -> tuple[re.Pattern[str], bool]:
    is_exception = line.startswith("!")
    glob = line.removeprefix("!").strip().strip("/").removeprefix("./")
    # What fits a folder fits everything in it.
    return re.compile(_regex(glob) + "(?:/.*)?"), is_exception


def _regex(glob: str) -> str:
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", glob)
    return "".join(_TRANSLATED.get(part) or (part if part[:1] == "[" else re.escape(part)) for part in parts)


_TRANSLATED = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
