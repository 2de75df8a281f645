"""`flyte abort` on a control plane."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import Any

from flyte._run.aborting import WAIT_S, AbortOutcome
from flyte.cli._errors import CommandError
from flyte.cli._plane import connect
from flyte.cli._plane_records import PlaneRecords
from flyte.models import ActionPhase

_ROOT = "a0"


def abort_on_plane(run_name: str, action_name: str, reason: str) -> AbortOutcome:
    """The control plane has been asked to end a run, or one action of it, and had time to do so.

    Raises:
        RunNotFoundError: there is no such run or action.
        CommandError: it is over.
    """
    from flyte.remote import Action, Run
    from flyte.syncify import syncify

    connect()
    records = PlaneRecords()
    run = records.load_run(run_name)
    action = records.load_action(run, action_name)
    if action.phase.is_terminal:
        what = f"run {run_name!r}" if action_name == _ROOT else f"action {action_name!r}"
        raise CommandError(f"{what} is over: it is {action.phase.value}. There is nothing to abort.")
    if action_name == _ROOT:
        Run.get(run_name).abort(reason)
    else:
        Action.get(run_name=run_name, name=action_name).abort(reason)
    return AbortOutcome(syncify.run_blocking(_phase_of(Action.get(run_name=run_name, name=action_name))))


async def _phase_of(action: Any) -> ActionPhase:
    """The phase when it has ended, or when it had its time to."""
    with suppress(TimeoutError):
        async with asyncio.timeout(WAIT_S), aclosing(action.watch()) as updates:
            async for _ in updates:
                pass
    phase: ActionPhase = action.phase
    return phase
