"""From what stands in a file or an environment variable to a typed value.

Each parser takes a string, or what YAML made of it, and raises `ValueError` saying what it expected.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

_FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def text(raw: Any) -> str:
    """A string; a number or a flag, which YAML makes of `org: 5`, is taken as it was written."""
    if isinstance(raw, dict | list):
        raise ValueError("expected text")
    return str(raw)


def flag(raw: Any) -> bool:
    """A boolean, in the words that YAML and shells use."""
    value = _FLAGS.get(str(raw).strip().lower())
    if value is None:
        raise ValueError("expected true or false")
    return value


def command(raw: Any) -> list[str]:
    """A program and its arguments: a list, a JSON array, or a line as one types it in a shell."""
    if isinstance(raw, list):
        return [str(part) for part in raw]
    line = text(raw)
    if line.lstrip().startswith("["):
        try:
            return [str(part) for part in json.loads(line)]
        except json.JSONDecodeError as error:
            raise ValueError(f"expected a JSON array or a command line ({error})") from None
    return shlex.split(line)


def words(raw: Any) -> list[str]:
    """A list, or words separated by commas or blanks."""
    if isinstance(raw, list):
        return [str(word) for word in raw]
    return text(raw).replace(",", " ").split()


def mapping(raw: Any) -> dict[str, str]:
    """Names and values: a mapping, a JSON object, or `name=value` pairs separated by commas."""
    if isinstance(raw, dict):
        return {str(name): str(value) for name, value in raw.items()}
    line = text(raw)
    if line.lstrip().startswith("{"):
        try:
            return mapping(json.loads(line))
        except json.JSONDecodeError as error:
            raise ValueError(f"expected a JSON object or name=value pairs ({error})") from None
    pairs = [pair.partition("=") for pair in line.split(",") if pair.strip()]
    if not all(separator for _, separator, _ in pairs):
        raise ValueError("expected a mapping, a JSON object, or name=value pairs separated by commas")
    return {name.strip(): value.strip() for name, _, value in pairs}


def positive_number(raw: Any) -> float:
    """A number above 0."""
    try:
        number = float(raw)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(raw, bool) or not 0 < number < math.inf:
        raise ValueError("expected a number above 0")
    return number


def count(raw: Any) -> int:
    """A whole number from 1."""
    number = positive_number(raw)
    if not number.is_integer():
        raise ValueError("expected a whole number from 1")
    return int(number)


def one_of(*choices: str) -> Callable[[Any], Any]:
    """A parser for one of a few words."""

    def choice(raw: Any) -> str:
        if raw in choices:
            return str(raw)
        near = get_close_matches(str(raw), choices, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"expected one of {', '.join(choices)}{hint}")

    return choice
