"""Links shown beside an action."""

from __future__ import annotations

from typing import Any, Dict, Optional, Protocol, runtime_checkable

from flyte._authoring.expectations import expect


@runtime_checkable
class Link(Protocol):
    """A link to a page about an action, such as its logs or its experiment; a declaration for served runs.

    Attributes:
        name: The text to click.
        icon_uri: A picture beside it.
    """

    name: str
    icon_uri: Optional[str] = ""

    def get_link(
        self,
        run_name: str,
        project: str,
        domain: str,
        context: Dict[str, str],
        parent_action_name: str,
        action_name: str,
        pod_name: str,
        **kwargs: Any,
    ) -> str:
        """The address for one action.

        Args:
            run_name: The run.
            project: Its project.
            domain: Its domain.
            context: The custom context of the action.
            parent_action_name: The action that called this one.
            action_name: The action.
            pod_name: The machine it runs on; `localhost` in local runs.
            **kwargs: What a later release may add.
        """
        ...


def links_of(links: Any) -> tuple[Link, ...]:
    """The links that `links=` means: one, or several.

    Raises:
        TypeError: one of them lacks a name or `get_link`.
    """
    each_link = tuple(links) if isinstance(links, list | tuple) else (links,)
    for link in each_link:
        is_link = hasattr(link, "name") and callable(getattr(link, "get_link", None))
        expect(is_link, "links", "objects with a name and a get_link method (see flyte.Link)", link)
    return each_link
