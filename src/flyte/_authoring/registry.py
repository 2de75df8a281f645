"""The environments that this process has declared."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flyte._authoring.environment import Environment

_ENVIRONMENTS: list[Environment] = []


def register(environment: Environment) -> None:
    """Remember `environment`; a name may come again, as when a notebook cell is run twice."""
    _ENVIRONMENTS.append(environment)


def loaded_environments() -> tuple[Environment, ...]:
    """Every environment declared so far, in the order of declaration."""
    return tuple(_ENVIRONMENTS)
