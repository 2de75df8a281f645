"""The parts of a task's docstring that become descriptions in its interface."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docstring_parser.common import Docstring as ParsedDocstring


class Docstring:
    """A docstring in Google, NumPy, reST or Epydoc style, parsed when first asked.

    Parsing costs more than decorating a task, and most programs never look at a description.

    Args:
        docstring: The text; leading indentation does not matter.
        callable_: Where to take the text from when `docstring` is not given.
    """

    def __init__(self, docstring: str | None = None, callable_: Callable[..., Any] | None = None) -> None:
        if docstring is None and callable_ is not None:
            docstring = callable_.__doc__
        self._text = docstring

    @cached_property
    def _parsed(self) -> ParsedDocstring:
        import docstring_parser

        return docstring_parser.parse(self._text or "")

    @property
    def short_description(self) -> str | None:
        """The first paragraph."""
        return self._parsed.short_description

    @property
    def long_description(self) -> str | None:
        """What stands between the first paragraph and the sections."""
        return self._parsed.long_description

    @property
    def input_descriptions(self) -> dict[str, str]:
        """Texts of the documented parameters, by parameter name."""
        return {param.arg_name: param.description for param in self._parsed.params if param.description}

    @property
    def output_descriptions(self) -> dict[str, str]:
        """Texts of the documented outputs that have a name, by that name."""
        return {
            returned.return_name: returned.description
            for returned in self._parsed.many_returns
            if returned.return_name and returned.description
        }

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Docstring) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return f"Docstring({self._text!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"_text": self._text}
