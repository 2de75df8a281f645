"""Paths below the home of a server that come from outside."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from flyte._server.refusals import InvalidRequestError

UPLOADS = "uploads"
_READABLE = (UPLOADS, "runs")
"""The folders of a home that have data. What else is in it, keys among it, is given to nobody."""

_SEGMENT_BYTES = 255
_PATH_BYTES = 2_000


def checked_segments(text: str, what: str) -> tuple[str, ...]:
    """The names that a relative path consists of.

    Args:
        text: With `/` between them.
        what: Which field of the request it is, for the error.

    Raises:
        InvalidRequestError: it leads elsewhere, or no file can have such a name.
    """
    segments = tuple(text.split("/"))
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) > _PATH_BYTES or any(
        len(each.encode("utf-8", "surrogatepass")) > _SEGMENT_BYTES for each in segments
    ):
        raise InvalidRequestError(f"{what} is too long for a path: {text[:80]!r}...")
    if any(each in ("", ".", "..") or not each.isprintable() for each in segments):
        raise InvalidRequestError(
            f"{what} is {text!r}: it must be a relative path of printable names, without '.', '..' and empty ones."
        )
    return segments


def checked_name(text: str, what: str) -> str:
    """One name.

    Raises:
        InvalidRequestError: it is a path, or no file can have such a name.
    """
    segments = checked_segments(text, what)
    if len(segments) != 1:
        raise InvalidRequestError(f"{what} is {text!r}: it must be a name without '/'.")
    return text


def below(home: Path, segments: Iterable[str], folders: Iterable[str] = _READABLE) -> Path | None:
    """The path below `home`, where it is in one of its `folders`, links followed; None where it leads elsewhere."""
    path = home.joinpath(*segments)
    found = path.resolve()
    roots = ((home / folder).resolve() for folder in folders)
    return path if any(found.is_relative_to(root) and found != root for root in roots) else None


def relative_to_home(home: Path, address: str) -> str | None:
    """The path of an address relative to `home`; None where it is not below it."""
    path = PurePosixPath(address)
    if not path.is_relative_to(home):
        return None
    return str(path.relative_to(home))
