"""A report and its tabs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Dict, List

from flyte._atomic import write_atomically
from flyte.report._page import DEFAULT_TEMPLATE, Page, render_page

MAIN_TAB = "main"


@dataclass
class Tab:
    """One tab of a report: pieces of HTML, one below the other.

    The HTML is inserted as it is; values from data go through `abbreviate` or `to_html` first. Whatever it is, it
    cannot reach the page around it or another tab.
    """

    name: str
    content: List[str] = field(default_factory=list)

    def log(self, content: str) -> None:
        """The HTML `content` stands below what was there.

        Raises:
            TypeError: `content` is not text.
        """
        self.content.append(_checked(content))

    def replace(self, content: str) -> None:
        """The HTML `content` stands alone.

        Raises:
            TypeError: `content` is not text.
        """
        self.content = [_checked(content)]

    def get_html(self) -> str:
        """All pieces as one text."""
        return "\n".join(self.content)


@dataclass
class Report:
    """The report of one action; `flyte.ctx().report` inside a task. Several threads may write to it.

    Attributes:
        name: The action's name, the title of the page.
        tabs: Tabs by name, in the order of the page; `main` is always there.
        template_path: The page around the tabs, a `string.Template`: `$NAV_HTML` becomes one
            `<li onclick="handleLinkClick(this)">` a tab, `$BODY_HTML` one `<div>` a tab, `$TITLE` the name.
    """

    name: str
    tabs: Dict[str, Tab] = field(default_factory=dict)
    template_path: Path = field(default=DEFAULT_TEMPLATE, repr=False)

    def __post_init__(self) -> None:
        self.tabs.setdefault(MAIN_TAB, Tab(MAIN_TAB))
        self._saving = Lock()

    def has_content(self) -> bool:
        """Whether any tab shows something."""
        return any(any(tab.content) for tab in list(self.tabs.values()))

    def get_tab(self, name: str, create_if_missing: bool = True) -> Tab:
        """The tab of that name, a new and empty one if there was none.

        Raises:
            ValueError: there is none, and `create_if_missing` is False.
        """
        if create_if_missing:
            return self.tabs.setdefault(name, Tab(name))
        if name not in self.tabs:
            raise ValueError(f"report {self.name!r} has no tab {name!r}; it has {', '.join(map(repr, self.tabs))}.")
        return self.tabs[name]

    def get_final_report(self) -> Page:
        """The whole page as text, which a notebook shows as a page. The main tab is left out while it is empty.

        Raises:
            OSError: `template_path` cannot be read.
            ValueError: the template has no place for the tabs.
        """
        shown = {name: tab.get_html() for name, tab in list(self.tabs.items()) if name != MAIN_TAB or any(tab.content)}
        return render_page(self.name, shown, self.template_path)

    def save(self, path: Path) -> None:
        """The file at `path` is the page as it is now, whole; of two saves of one report the later one stays.

        Raises:
            OSError: the file could not be written.
        """
        self.save_as(lambda page: write_atomically(path, page))

    def save_as(self, write: Callable[[bytes], object]) -> None:
        """`write` is called with the page as it is now; of two saves of one report the later one stays."""
        with self._saving:
            # A lone surrogate, as in a file name that is not UTF-8, becomes a character reference.
            write(self.get_final_report().encode("utf-8", "xmlcharrefreplace"))

    def __getstate__(self) -> dict[str, Any]:
        # Reports travel between processes; locks do not.
        return {name: value for name, value in self.__dict__.items() if name != "_saving"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _saving=Lock())


def _checked(content: str) -> str:
    if isinstance(content, str):
        return content
    raise TypeError(
        f"a report takes HTML as text, got a {type(content).__name__}. "
        f"Pass `flyte.report.to_html(value)` to show a value."
    )
