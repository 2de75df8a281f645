"""The patterns of `.gitignore` files, as git reads them (https://git-scm.com/docs/gitignore, and `wildmatch.c` of git).

A pattern is about one file or folder, and says nothing of what is below it: whoever walks does not enter what is left
out.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_BYTES = "latin-1"
"""Makes one character of each byte."""

_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": r"\ \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"\x21-\x7e",
    "lower": "a-z",
    "print": r"\x20-\x7e",
    "punct": r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    "space": r"\ \t-\r",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
}


class _NeverMatches(Exception):
    """A pattern that git reads to no end: an open bracket, a lone backslash."""


@dataclass(frozen=True, slots=True)
class IgnorePattern:
    """A line that leaves something out, or takes it back.

    Attributes:
        line: What it says.
        expression: Matches the whole of a path relative to the folder of the file, each byte as a character: to git,
            `?` is one byte.
        is_negated: It takes back.
        is_for_folders: It is about folders only.
    """

    line: str
    expression: str
    is_negated: bool
    is_for_folders: bool


def read_patterns(content: bytes) -> tuple[IgnorePattern, ...]:
    """The patterns of a file; comments, empty lines, and what can match nothing are none."""
    lines = content.removeprefix(codecs.BOM_UTF8).decode(_BYTES).split("\n")
    return tuple(pattern for line in lines if (pattern := _read(line.removesuffix("\r"))))


def _read(line: str) -> IgnorePattern | None:
    stripped = _without_trailing_blanks(line)
    if not stripped or stripped.startswith("#"):
        return None
    is_negated = stripped.startswith("!")
    pattern = stripped.removeprefix("!")
    is_for_folders = pattern.endswith("/")
    pattern = pattern.removesuffix("/")
    # Without a slash it is about names at any depth.
    start = "" if "/" in pattern else "(?:.*/)?"
    try:
        expression = start + "".join(_translated(pattern.removeprefix("/")))
    except _NeverMatches:
        return None
    return IgnorePattern(os.fsdecode(stripped.encode(_BYTES)), expression, is_negated, is_for_folders)


def _without_trailing_blanks(line: str) -> str:
    end = len(line)
    while end and line[end - 1] == " " and not _is_escaped(line, end - 1):
        end -= 1
    return line[:end]


def _is_escaped(line: str, index: int) -> bool:
    before = line[:index]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def _translated(pattern: str) -> Iterator[str]:
    """The pieces of the regular expression."""
    index = 0
    while index < len(pattern):
        match pattern[index]:
            case "*":
                piece, index = _stars(pattern, index)
            case "?":
                piece, index = "[^/]", index + 1
            case "[":
                piece, index = _bracket(pattern, index)
            case _:
                character, index = _literal(pattern, index)
                piece = re.escape(character)
        yield piece


def _stars(pattern: str, start: int) -> tuple[str, int]:
    end = start
    while pattern.startswith("*", end):
        end += 1
    is_component = pattern[start - 1 : start] in ("", "/") and pattern[end : end + 1] in ("", "/")
    if end - start < 2 or not is_component:
        return "[^/]*", end
    if end == len(pattern):
        return ".*", end
    # Any number of folders, none too.
    return "(?:.*/)?", end + 1


def _bracket(pattern: str, start: int) -> tuple[str, int]:
    index = start + 1
    is_negated = pattern[index : index + 1] in ("!", "^")
    index += is_negated
    first = index
    members = []
    while index == first or not pattern.startswith("]", index):
        if pattern.startswith("[:", index) and (end := pattern.find("]", index + 2)) > 0 and pattern[end - 1] == ":":
            name = pattern[index + 2 : end - 1]
            if name not in _CLASSES:
                raise _NeverMatches
            members.append(_CLASSES[name])
            index = end + 1
            continue
        low, index = _literal(pattern, index)
        high = low
        if pattern.startswith("-", index) and pattern[index + 1 : index + 2] not in ("", "]"):
            high, index = _literal(pattern, index + 1)
        if low <= high:
            members.append(f"{re.escape(low)}-{re.escape(high)}")
    inside = "".join(members)
    if is_negated:
        return f"[^/{inside}]", index + 1
    return (f"(?!/)[{inside}]" if inside else "(?!)"), index + 1


def _literal(pattern: str, index: int) -> tuple[str, int]:
    if pattern.startswith("\\", index):
        index += 1
    if index >= len(pattern):
        raise _NeverMatches
    return pattern[index], index + 1


class IgnoreFile:
    """A file of patterns: the last one that matches a path decides."""

    def __init__(self, patterns: Iterable[IgnorePattern]) -> None:
        self._patterns = [(re.compile(each.expression, re.DOTALL), each) for each in reversed(tuple(patterns))]
        # Most paths match none, and one expression is faster than many.
        self._any = re.compile("|".join(f"(?:{each.expression})" for _, each in self._patterns) or "(?!)", re.DOTALL)

    def decide(self, relative: str, *, is_folder: bool) -> IgnorePattern | None:
        """The pattern that decides on a path; None where none is about it."""
        relative = relative if relative.isascii() else os.fsencode(relative).decode(_BYTES)
        if not self._any.fullmatch(relative):
            return None
        for expression, pattern in self._patterns:
            if (is_folder or not pattern.is_for_folders) and expression.fullmatch(relative):
                return pattern
        return None
