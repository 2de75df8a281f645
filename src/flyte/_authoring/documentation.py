"""Documentation of a task."""

from __future__ import annotations

from dataclasses import dataclass

from flyte._authoring.expectations import expect


@dataclass(frozen=True)
class Documentation:
    """What a task does, in words; without one, the docstring of the function is used.

    Raises:
        TypeError: the description is not a string.
    """

    description: str

    def __post_init__(self) -> None:
        expect(isinstance(self.description, str), "Documentation.description", "a str", self.description)
