"""Who makes the request that is being answered, and by which address they reached the server."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request.

    Attributes:
        subject: Stable name of who asks: that of their token, else the user of this machine; empty for nobody.
        name: The same as people read it.
        base_url: How they reach this server, such as `http://localhost:30080`.
    """

    subject: str = ""
    name: str = ""
    base_url: str = ""


_CALLER: ContextVar[Caller] = ContextVar("flyte_server_caller")


def current_caller() -> Caller:
    """Who makes the request that this code answers; a caller without a name where there is none."""
    return _CALLER.get(Caller())


def set_caller(caller: Caller) -> None:
    """From here on, this task and those it starts answer that caller."""
    _CALLER.set(caller)
