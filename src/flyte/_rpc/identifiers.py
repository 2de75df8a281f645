"""Names of actions as they travel, and back."""

from __future__ import annotations

from flyteidl2.common.identifier_pb2 import ActionIdentifier, RunIdentifier

from flyte.models import ActionID


def action_identifier(action: ActionID) -> ActionIdentifier:
    """The message that names an action; what it has none of is empty."""
    run = RunIdentifier(
        org=action.org or "", project=action.project or "", domain=action.domain or "", name=action.run_name or ""
    )
    return ActionIdentifier(run=run, name=action.name)


def action_id(identifier: ActionIdentifier) -> ActionID:
    """The action that a message names; what is empty there is None."""
    run = identifier.run
    return ActionID(
        name=identifier.name,
        run_name=run.name,
        project=run.project or None,
        domain=run.domain or None,
        org=run.org or None,
    )
