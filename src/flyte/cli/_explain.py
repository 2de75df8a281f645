"""`flyte explain`: why something recorded is as it is."""

from __future__ import annotations

import rich_click as click

from flyte.cli._commands import Command, Group
from flyte.cli._invocation import current_invocation


@click.group(cls=Group)
def explain() -> None:
    """Explain what is recorded of a run."""


@explain.command(cls=Command, name="cache")
@click.argument("run_name")
@click.argument("action_name", default="a0")
def explain_cache(run_name: str, action_name: str) -> None:
    """Say whether an action got its result from the cache, and if not, why: which input, which version."""
    from flyte.cli._cache_explanation import show_explanation

    show_explanation(run_name, action_name, current_invocation().output)
