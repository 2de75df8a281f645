"""Waiting for an action, with a word to whoever sits there."""

from __future__ import annotations

import sys
from contextlib import aclosing
from typing import Literal

from flyteidl2.common.identifier_pb2 import ActionIdentifier
from flyteidl2.workflow.run_definition_pb2 import ActionDetails

from flyte.models import ActionPhase
from flyte.remote._action_details import is_over, watched

WaitFor = Literal["terminal", "running"]
_HAS_RUN = frozenset({ActionPhase.RUNNING, ActionPhase.PAUSED})


async def wait_for(action_id: ActionIdentifier, what: WaitFor, *, quiet: bool) -> ActionDetails:
    """The action once it has ended, or has started to run.

    Args:
        action_id: The action.
        what: `terminal` or `running`.
        quiet: Say nothing; else each phase is told on a terminal.

    Raises:
        ValueError: it is none of the two.
    """
    if what not in ("terminal", "running"):
        raise ValueError(f"wait_for: expected 'terminal' or 'running', got {what!r}.")
    says = not quiet and sys.stderr.isatty()
    last = None
    details = ActionDetails()
    async with aclosing(watched(action_id)) as stream:  # type: ignore[type-var]
        async for details in stream:
            phase = ActionPhase.from_protobuf(details.status.phase) if details.status.phase else None
            if says and phase is not None and phase is not last:
                print(f"{action_id.run.name}/{action_id.name} is {phase.value}", file=sys.stderr, flush=True)
            last = phase
            if what == "running" and phase in _HAS_RUN:
                break
            if is_over(details):
                break
    return details
