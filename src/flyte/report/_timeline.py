"""What happened, row by row."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from flyte.report._current import get_tab
from flyte.report._markup import escaped, text_of
from flyte.report._report import MAIN_TAB


class Timeline:
    """Appends rows to a tab of the current report; outside a task nothing happens.

    Everything is shown as text. `Markup`, such as `abbreviate` returns, is shown as HTML.
    """

    def __init__(self, tab_name: str = MAIN_TAB) -> None:
        self.tab_name = tab_name

    def heading(self, text: Any) -> None:
        """A heading for the rows that follow."""
        get_tab(self.tab_name).log(f"<h3>{escaped(text)}</h3>")

    def row(self, *, icon: str = "•", label: Any = "", meta: str = "", detail: str = "", error: Any = None) -> None:
        """A row: what it was, in small print something about it such as a duration, and what came of it.

        Args:
            error: What went wrong: an exception is shown with its class, None not at all.
        """
        cells = [f'<span class="icon">{escaped(icon)}</span>', f'<b class="label">{escaped(label)}</b>']
        cells += [f'<span class="{name}">{escaped(text)}</span>' for name, text in _given(meta=meta, detail=detail)]
        if error is not None:
            cells.append(f'<span class="error">⚠ {escaped(_named(error))}</span>')
        get_tab(self.tab_name).log(f'<div class="timeline-row">{"".join(cells)}</div>')


def _given(**texts: str) -> list[tuple[str, str]]:
    return [(name, text) for name, text in texts.items() if text]


def _named(error: Any) -> Any:
    return f"{type(error).__name__}: {text_of(error)}".removesuffix(": ") if isinstance(error, BaseException) else error


def duration_ms(start_iso: Any, end_iso: Any) -> str:
    """The time between two ISO 8601 times (or `datetime` objects), as in `"12 ms"`; empty where one is no time.

    It is empty too where only one of them has a time zone.
    """
    try:
        elapsed = _moment(end_iso) - _moment(start_iso)
    except (TypeError, ValueError):
        return ""
    return f"{elapsed / timedelta(milliseconds=1):.0f} ms"


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)
