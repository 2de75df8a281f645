"""Text from data, made safe to stand in a page."""

from __future__ import annotations

import html
from typing import Any

FOLDED_LIMIT = 20_000
"""Characters of a folded value that the page holds; a table of millions of rows must not end up in it by accident."""


class Markup(str):
    """HTML on purpose: it is inserted as it is where other text is escaped.

    Whatever has a method `__html__` is taken so, as template engines do. Joining a `Markup` with other text gives
    plain text again, which is escaped.
    """

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


def escaped(value: Any) -> Markup:
    """A value as HTML: what says that it is HTML as it is, the text of anything else with no meaning as markup."""
    if hasattr(type(value), "__html__"):
        return Markup(value.__html__())
    return Markup(html.escape(text_of(value)))


def text_of(value: Any) -> str:
    """`str(value)`, or what was wrong with it: showing a value must not fail the task that shows it."""
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__}, whose str() raised {type(error).__name__}>"


def abbreviate(value: Any, limit: int = 300) -> Markup:
    """The text of a value as HTML, escaped; what is longer than `limit` characters is folded.

    A folded value shows its first `limit` characters and how many follow, and opens on a click, up to
    `FOLDED_LIMIT` characters.

    Raises:
        ValueError: `limit` is negative.
    """
    if limit < 0:
        raise ValueError(f"abbreviate: limit is {limit}, expected a number of characters from 0.")
    text = text_of(value)
    if len(text) <= limit:
        return Markup(html.escape(text))
    left_out = len(text) - max(limit, FOLDED_LIMIT)
    ending = f"… {left_out} more characters" if left_out > 0 else ""
    return Markup(
        f'<details class="folded"><summary>{html.escape(text[:limit])}… (+{len(text) - limit})</summary>'
        f"<pre>{html.escape(text[: max(limit, FOLDED_LIMIT)] + ending)}</pre></details>"
    )
