"""The actions of a run that go on, and ending one of them from outside.

An action often runs in the asyncio task of its caller. Ending it cancels that task, and the cancellation becomes
`ActionAbortedError` at the edge of the action, as `asyncio.timeout` makes its own a `TimeoutError`: the caller goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyte._engine.names import ROOT_ACTION
from flyte._store.records import ActionRecord
from flyte.errors import ActionAbortedError, RunAbortedError

if TYPE_CHECKING:
    from flyte._controller.calls import Call


@dataclass(frozen=True, slots=True)
class Abort:
    """Why an action is being ended, and how often its asyncio task had been asked to stop before."""

    reason: str
    cancelling_before: int


class OpenCalls(dict[int, "Call"]):
    """Calls by `action_id`. Lives on the engine's loop."""

    def abort(self, action_name: str, reason: str) -> None:
        """The action stops at its next `await`; nothing happens where it is over, or on its way there."""
        call = next((call for call in self.values() if call.record.name == action_name), None)
        if call is None or call.loop_task is None or call.abort is not None or call.record.ended_us is not None:
            return
        call.abort = Abort(reason, call.loop_task.cancelling())
        call.loop_task.cancel()

    def error_of(self, record: ActionRecord) -> ActionAbortedError | None:
        """What an action ends with that is being cancelled; None where nobody has asked for it or one above it."""
        call = self.get(record.action_id)
        while call is not None and call.abort is None:
            call = self.get(call.record.parent_id or 0)
        if call is None or call.abort is None:
            return None
        reason, aborted = call.abort.reason, call.record
        if aborted.name == ROOT_ACTION:
            return RunAbortedError(f"the run was aborted: {reason}")
        which = "was aborted" if aborted is record else f"was aborted with action {aborted.name}, which called it"
        return ActionAbortedError(f"action {record.name} (task {record.task_name!r}) {which}: {reason}")

    def is_taken(self, call: Call) -> bool:
        """Whether the cancellation that reached the edge of `call` was meant for it, and goes no further."""
        if call.abort is None or call.loop_task is None:
            return False
        return call.loop_task.uncancel() <= call.abort.cancelling_before
