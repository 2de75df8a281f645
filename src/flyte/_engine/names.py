"""The names of runs and actions.

An action's name is a function of its parent's name, its task, its inputs, its group and how many equal calls came
before it, so a parent that runs again meets every child it had under the same name.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping

from flyte.errors import RuntimeUserError
from flyte.models import sub_action_name

ROOT_ACTION = "a0"
"""The name of every run's root action."""

RUN_NAME_MAX_LENGTH = 63
_RUN_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?")


def child_name(
    parent_name: str,
    task_name: str,
    inputs_hash: str,
    group: str | None,
    call_counts: MutableMapping[str, int],
) -> str:
    """The name of the next call of `task_name` with these inputs under one parent; the call is counted.

    Equal calls of one parent are told apart by a sequence number from 1, counted per task, inputs and group, so that
    the order in which *different* calls start does not matter.
    """
    call_key = f"{task_name}:{inputs_hash}:{group or ''}"
    sequence_no = call_counts[call_key] = call_counts.get(call_key, 0) + 1
    return sub_action_name(parent_name, sequence_no, task_name, inputs_hash, group)


def condition_name(parent_name: str, condition: str, call_counts: MutableMapping[str, int]) -> str:
    """The name of the action of the next condition of this name under one parent; it is counted."""
    # A task's call key has two colons.
    key = f"condition:{condition}"
    sequence_no = call_counts[key] = call_counts.get(key, 0) + 1
    return f"{parent_name}-cond-{condition}-{sequence_no}"


def check_run_name(name: str) -> str:
    """`name`, when it can be a run's name: it becomes a folder and a part of addresses.

    Raises:
        RuntimeUserError: code `BadRunName`; the name is empty, too long, or has a character that does not fit.
    """
    if len(name) <= RUN_NAME_MAX_LENGTH and _RUN_NAME.fullmatch(name):
        return name
    raise RuntimeUserError(
        "BadRunName",
        f"run name {name!r} is not allowed: use 1 to {RUN_NAME_MAX_LENGTH} characters out of a-z, 0-9, '.', '_' and "
        "'-', starting and ending with a letter or a digit.",
    )
