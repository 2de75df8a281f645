"""HTML that a task shows about itself, in tabs."""

from __future__ import annotations

from dataclasses import dataclass, field

MAIN_TAB = "main"


@dataclass
class Tab:
    """A page of a report: pieces of HTML, one below the other."""

    name: str
    content: list[str] = field(default_factory=list)

    def log(self, html: str) -> None:
        """`html` stands below what was there."""
        self.content.append(html)

    def replace(self, html: str) -> None:
        """`html` stands alone."""
        self.content = [html]

    def get_html(self) -> str:
        """All pieces as one text."""
        return "\n".join(self.content)


@dataclass
class Report:
    """The report of one action; `flyte.ctx().report` inside a task.

    Attributes:
        name: The action's name.
        tabs: Tabs by name; `main` is always there.
    """

    name: str
    tabs: dict[str, Tab] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tabs.setdefault(MAIN_TAB, Tab(MAIN_TAB))

    def has_content(self) -> bool:
        """Whether any tab holds something."""
        return any(tab.content for tab in self.tabs.values())

    def get_tab(self, name: str, create_if_missing: bool = True) -> Tab:
        """The tab of that name.

        Raises:
            ValueError: there is none, and `create_if_missing` is False.
        """
        if name not in self.tabs:
            if not create_if_missing:
                raise ValueError(f"report {self.name!r} has no tab {name!r}; it has {', '.join(self.tabs)}.")
            self.tabs[name] = Tab(name)
        return self.tabs[name]


__all__ = ["Report", "Tab"]
