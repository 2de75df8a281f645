"""The page of a report: one HTML file that needs nothing else, neither a network nor a server.

Each tab is an `<iframe srcdoc>`. Its HTML is the value of one attribute, so no tag in it, closed or not, can swallow
the page or another tab, and it may be a whole document. Scripts, styles and ids of two tabs do not meet, and
`document` is the tab's own, as the scripts of plotting libraries expect (in a shadow root they would not find their
elements). The sandbox has no `allow-same-origin`: the scripts of a report cannot act as the reader on the site that
serves it.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from string import Template

DEFAULT_TEMPLATE = Path(__file__).with_name("page.html")
_FRAME_HEAD = Path(__file__).with_name("frame.html")
_SANDBOX = "allow-scripts allow-popups allow-popups-to-escape-sandbox allow-downloads allow-forms allow-modals"
_BODY = "BODY_HTML"


class Page(str):
    """A whole HTML page as text; a notebook shows it as a page."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        # In a frame, since a notebook would mix the page's styles with its own. The `<div>` around it keeps IPython
        # from advising to use its own class for frames.
        return f"<div>{_frame('report', self, 'width: 100%; height: 36em; border: 0')}</div>"


def render_page(title: str, tabs: Mapping[str, str], template_path: Path) -> Page:
    """The page with these tabs, HTML by name, in that order.

    Raises:
        OSError: the template cannot be read.
        ValueError: the template has no place for the tabs.
    """
    template = Template(template_path.read_text("utf-8"))
    if _BODY not in template.get_identifiers():
        raise ValueError(f"report template {template_path} has no ${_BODY}, where the tabs go.")
    head = _FRAME_HEAD.read_text("utf-8")
    # `safe`, since a page may have other uses for `$`, above all in its scripts.
    page = template.safe_substitute(
        {
            "TITLE": html.escape(title),
            "NAV_HTML": "\n".join(f'<li onclick="handleLinkClick(this)">{html.escape(name)}</li>' for name in tabs),
            _BODY: "\n".join(f"<div>{_frame(name, head + content)}</div>" for name, content in tabs.items()),
        }
    )
    return Page(page)


def _frame(title: str, document: str, style: str = "") -> str:
    styled = f' style="{style}"' if style else ""
    return f'<iframe title="{html.escape(title)}" sandbox="{_SANDBOX}"{styled} srcdoc="{_quoted(document)}"></iframe>'


def _quoted(text: str) -> str:
    # All that has a meaning inside a quoted attribute; escaping `<` too would only make the file larger.
    return text.replace("&", "&amp;").replace('"', "&quot;")
