"""Which run, or which action of it, is meant by a name or by the address of its page."""

from __future__ import annotations

import re

from flyteidl2.common.identifier_pb2 import ActionIdentifier

from flyte._rpc.settings import current_session
from flyte.remote._places import ROOT_ACTION, action_id, run_id

_PAGE = re.compile(
    r"https?://[^/]+/(?:v2/)?domain/(?P<domain>[^/]+)/project/(?P<project>[^/]+)/runs/(?P<run>[^/?#]+)"
    r"(?:/(?P<action>[^/?#]+))?/?(?:[?#].*)?"
)


def action_of(uri: str | None, run_name: str | None, name: str | None) -> ActionIdentifier:
    """The action that is meant.

    Args:
        uri: The address of a page, or `run/action`, or a run; excludes the other two.
        run_name: The run.
        name: The action; default the root action.

    Raises:
        ValueError: it is not said which, or twice.
    """
    session = current_session()
    if uri is None:
        if not run_name:
            raise ValueError("which action? Give run_name=..., and name=... for another one than the root action.")
        return action_id(session, run_name, name or ROOT_ACTION)
    if run_name is not None or name is not None:
        raise ValueError(f"{uri!r} says which action it is: leave run_name and name out.")
    if page := _PAGE.fullmatch(uri):
        run = run_id(session, page["run"], page["project"], page["domain"])
        return ActionIdentifier(run=run, name=page["action"] or ROOT_ACTION)
    run_part, _, action_part = uri.partition("/")
    if not run_part or "/" in action_part or ":" in uri:
        raise ValueError(f"{uri!r} is neither the address of a run's page nor `run/action`.")
    return action_id(session, run_part, action_part or ROOT_ACTION)
