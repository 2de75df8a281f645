"""Values as HTML, drawn by the libraries they come from."""

from __future__ import annotations

import html
from typing import Any

from flyte.report._markup import Markup, escaped, text_of

_DOTS_PER_INCH = 192
"""Twice what CSS calls an inch, so that a figure is sharp on screens that have as many."""


def to_html(value: Any) -> Markup:
    """A value as HTML for `log`, `replace` and the tabs, by the first of these that it has.

    `__html__`; plotly's `to_html` with its scripts inside; the `savefig` of matplotlib and seaborn figures; what it
    shows in a notebook (`_repr_html_`: data frames, estimators and many more; `_repr_png_`: images). Anything else
    is shown as its escaped text.
    """
    for draw in (_marked, _plotly, _matplotlib, _notebook_html, _notebook_image):
        drawn = draw(value)
        if drawn is not None:
            return Markup(drawn)
    return Markup(f"<pre>{html.escape(text_of(value))}</pre>")


def _marked(value: Any) -> str | None:
    return escaped(value) if hasattr(type(value), "__html__") else None


def _plotly(value: Any) -> str | None:
    if not (_has(value, "to_plotly_json") and _has(value, "to_html")):
        return None
    # Its `_repr_html_` would load the scripts from the network.
    drawn: str = value.to_html(full_html=False, include_plotlyjs=True)
    return drawn


def _matplotlib(value: Any) -> str | None:
    if not _has(value, "savefig"):
        return None
    from io import BytesIO

    file = BytesIO()
    value.savefig(file, format="png", dpi=_DOTS_PER_INCH, bbox_inches="tight")
    return _image(file.getvalue(), shown_dots=2)


def _notebook_html(value: Any) -> str | None:
    drawn = value._repr_html_() if _has(value, "_repr_html_") else None
    return drawn if isinstance(drawn, str) else None


def _notebook_image(value: Any) -> str | None:
    drawn = value._repr_png_() if _has(value, "_repr_png_") else None
    return _image(drawn) if isinstance(drawn, bytes) else None


def _image(png: bytes, shown_dots: int = 1) -> str:
    from base64 import b64encode

    # The first chunk of a PNG file starts with its width: https://www.w3.org/TR/png-3/#11IHDR
    width = int.from_bytes(png[16:20], "big") // shown_dots
    return f'<img alt="" width="{width}" src="data:image/png;base64,{b64encode(png).decode()}">'


def _has(value: Any, method: str) -> bool:
    return not isinstance(value, type) and callable(getattr(value, method, None))
