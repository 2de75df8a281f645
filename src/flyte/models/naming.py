"""Names of actions: random ones for roots, deterministic ones for everything below."""

from __future__ import annotations

from hashlib import md5

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]


def generate_random_name() -> str:
    """A fresh random name: a UUID4 in its 36-character form."""
    from uuid import uuid4

    return str(uuid4())


def base36(number: int) -> str:
    """`number` in digits `0-9a-z`, most significant first, without padding."""
    pairs = []
    while number:
        # Two digits a step: half the divisions of a big integer.
        number, pair = divmod(number, 1296)
        pairs.append(_PAIRS[pair])
    pairs.reverse()
    return "".join(pairs).lstrip("0") or "0"


def sub_action_name(parent_name: str, task_call_seq: int, task_hash: str, input_hash: str, group: str | None) -> str:
    """The name of a child action: the same call in the same place gets the same name in every process.

    This is what lets a resumed run find the children it had. The name is the MD5 of the call's identity in base 36, at
    most 25 characters; clients and servers of Flyte 2 compute the same one.

    Args:
        parent_name: Name of the action that makes the call.
        task_call_seq: Tells apart calls that are equal in everything else, counted from 1.
        task_hash: Identity of the task that is called.
        input_hash: Identity of the inputs; empty when there are none.
        group: Label of the group the call is in; None and empty are the same.
    """
    identity = f"{parent_name}-{input_hash}-{task_hash}-{task_call_seq}"
    if group:
        identity += f"-{group}"
    digest = md5(identity.encode(), usedforsecurity=False).digest()
    return base36(int.from_bytes(digest, "big"))
