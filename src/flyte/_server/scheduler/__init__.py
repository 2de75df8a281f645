"""Drives the rules of the engine for the runs that are served: what waits starts, what ends is recorded and told.

It lives on the event loop of the server. Its memory is a copy of the open runs in the store: each change is committed
before anybody hears of it, and a server that starts reads it back.
"""

from __future__ import annotations

from flyte._server.scheduler.scheduler import Scheduler

__all__ = ["Scheduler"]
