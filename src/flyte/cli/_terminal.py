"""What may be written to a stream: colours only to a terminal, and only where they are welcome."""

from __future__ import annotations

import os
import sys
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

_ENDLESS_WIDTH = 100_000


def is_terminal(stream: IO[str]) -> bool:
    """True for a stream that someone looks at, with a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def has_color(stream: IO[str]) -> bool:
    """True for a terminal whose owner has not set `NO_COLOR`."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def paint(text: str, stream: IO[str], **style: Any) -> str:
    """The text in a style of `click.style`, where the stream shows it."""
    return click.style(text, **style) if has_color(stream) else text


def note(text: str) -> None:
    """A line on stderr: not a result, nor an error."""
    print(paint(text, sys.stderr, dim=True), file=sys.stderr, flush=True)


def console(stream: IO[str]) -> Console:
    """A rich console. Only a terminal has a width; everywhere else lines are as long as they need to be."""
    from rich.console import Console

    terminal = is_terminal(stream)
    return Console(
        file=stream,
        force_terminal=terminal,
        color_system="auto" if has_color(stream) else None,
        width=None if terminal else _ENDLESS_WIDTH,
        highlight=False,
        markup=False,
        emoji=False,
    )
