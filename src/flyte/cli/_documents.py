"""Results on stdout: documents for programs, tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flyte.cli._invocation import OutputFormat
from flyte.cli._terminal import console

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_PHASE_STYLES = {
    "succeeded": "green",
    "recovered": "green",
    "failed": "red",
    "timed_out": "red",
    "aborted": "yellow",
    "interrupted": "yellow",
    "running": "cyan",
}


def print_document(document: Any, output: OutputFormat) -> None:
    """JSON: indented, or on one line for `json-raw`."""
    layout: dict[str, Any] = {"indent": 2} if output is OutputFormat.JSON else {"separators": (",", ":")}
    print(json.dumps(document, ensure_ascii=False, allow_nan=False, **layout), flush=True)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        is_kept_whole: Its texts are never wrapped or cut, because people copy them.
        is_cut: Its texts are cut where the terminal is too narrow, not wrapped.
        is_optional: It is left out when all its texts are empty.
    """

    title: str
    is_kept_whole: bool = False
    is_cut: bool = False
    is_number: bool = False
    is_optional: bool = False


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], output: OutputFormat) -> None:
    """Rows of texts under titles; a phase is coloured where the terminal has colours."""
    from rich import box
    from rich.table import Table

    has_lines = output is OutputFormat.TABLE
    table = Table(
        box=box.ROUNDED if has_lines else None,
        pad_edge=has_lines,
        header_style="bold",
        padding=(0, 1 if has_lines else 2, 0, has_lines),
    )
    kept = [index for index, column in enumerate(columns) if not column.is_optional or any(row[index] for row in rows)]
    for column in (columns[index] for index in kept):
        table.add_column(
            column.title,
            no_wrap=column.is_kept_whole or column.is_cut,
            overflow="ellipsis" if column.is_cut else "fold",
            justify="right" if column.is_number else "left",
        )
    for row in rows:
        table.add_row(*(_styled(columns[index].title, row[index]) for index in kept))
    _print(table)


def print_details(pairs: Sequence[tuple[str, str]]) -> None:
    """Names and values below one another; what is empty is left out."""
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, value in pairs:
        if value:
            table.add_row(name, _styled(name, value))
    _print(table)


def _styled(title: str, text: str) -> Text:
    from rich.text import Text

    return Text(text, _PHASE_STYLES.get(text, "") if title == "Phase" else "")


def _print(table: Table) -> None:
    terminal = console(sys.stdout)
    with terminal.capture() as captured:
        terminal.print(table)
    # Rich fills the last column with blanks.
    print(*(line.rstrip() for line in captured.get().splitlines()), sep="\n", flush=True)
