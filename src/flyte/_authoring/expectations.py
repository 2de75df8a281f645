"""Checks of declared values, whose messages name the value seen and what was expected."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def expect(ok: bool, what: str, expected: str, seen: object) -> None:
    """Refuse `seen` unless `ok`.

    Raises:
        TypeError: `what` is not `expected`.
    """
    if not ok:
        raise TypeError(f"{what} must be {expected}, got {seen!r} ({type(seen).__name__})")


def expect_optional_str(what: str, seen: object) -> None:
    """Refuse anything but a string or None."""
    expect(seen is None or isinstance(seen, str), what, "a str or None", seen)


def expect_bool(what: str, seen: object) -> None:
    """Refuse anything but True and False."""
    expect(isinstance(seen, bool), what, "True or False", seen)


def expect_str_mapping(what: str, seen: Any) -> None:
    """Refuse anything but a mapping of strings to strings; values of other types are not converted silently."""
    expect(isinstance(seen, dict), what, "a dict of str to str", seen)
    for key, value in seen.items():
        expect(isinstance(key, str), f"a name in {what}", "a str", key)
        expect(isinstance(value, str), f"{what}[{key!r}]", "a str", value)


def near_name(name: object, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the known name that resembles `name` most, or nothing."""
    from difflib import get_close_matches

    near = get_close_matches(str(name), list(known), n=1, cutoff=0.7)
    return f" Did you mean {near[0]!r}?" if near else ""
