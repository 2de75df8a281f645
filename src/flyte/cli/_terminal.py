"""What may be written to a stream: colours only to a terminal, and only where they are welcome."""

from __future__ import annotations

import os
import sys
from pathlib import Path
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


def confirm_deletion(total: str, question: str) -> None:
    """Somebody at the terminal wants it.

    Args:
        total: How much is deleted, as in `3 runs`.
        question: What is asked.

    Raises:
        CommandError: nobody is there to ask.
        click.Abort: they do not.
    """
    from flyte.cli._errors import CommandError

    if not is_terminal(sys.stdin):
        raise CommandError(f"this deletes {total}: confirm it with --yes, or see which with --dry-run.")
    click.confirm(question, abort=True, err=True)


def confirm_replacement(file: Path) -> None:
    """Somebody at the terminal wants a file replaced.

    Raises:
        CommandError: nobody is there to ask.
        click.Abort: they do not.
    """
    from flyte.cli._errors import CommandError

    if not is_terminal(sys.stdin):
        raise CommandError(f"{file} is there already: replace it with --force, or choose another with --output.")
    click.confirm(f"Overwrite [{file}]?", abort=True, err=True)
