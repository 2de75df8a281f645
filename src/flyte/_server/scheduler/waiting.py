"""Parents that wait for their children, and what they hold meanwhile: nothing."""

from __future__ import annotations

from flyte._server.executors.orders import Executor
from flyte._server.scheduler.states import OpenAction


class Waiting:
    """Counts the open children of each action. Lives on the server's loop."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def called(self, action: OpenAction) -> None:
        """Its parent waits for it."""
        parent = action.parent
        if parent is None or action.counts_for_parent:
            return
        action.counts_for_parent = True
        parent.open_children += 1
        if parent.open_children == 1:
            self.hold_back(parent)

    def ended(self, action: OpenAction) -> None:
        """Its parent waits for it no more."""
        parent = action.parent
        if parent is None or not action.counts_for_parent:
            return
        action.counts_for_parent = False
        parent.open_children -= 1
        if parent.open_children == 0 and parent.seat is not None:
            # It goes on now, whether or not the machine has room for it.
            parent.seat.take()
            self._executor.set_waiting(parent.run.name, parent.name, is_waiting=False)

    def hold_back(self, parent: OpenAction) -> None:
        """What an attempt of an action that waits holds is free for others."""
        if parent.seat is not None:
            parent.seat.lend()
            self._executor.set_waiting(parent.run.name, parent.name, is_waiting=True)
