"""`ActionsService`: the second of the two families that running tasks speak, whole."""

from __future__ import annotations

from collections.abc import AsyncIterator

from flyteidl2.actions import actions_service_pb2 as messages
from flyteidl2.workflow.state_service_pb2 import ControlMessage

from flyte._server.callers import current_caller
from flyte._server.codes import Context, answering
from flyte._server.refusals import InvalidRequestError, NotOfferedError
from flyte._server.scheduling import Scheduling
from flyte._server.services.identifiers import action_names_of
from flyte._server.services.in_task import InTask, subject_of


@answering
class ActionsService:
    """Actions, their updates, their end and their answers."""

    def __init__(self, scheduling: Scheduling) -> None:
        self._scheduling = scheduling
        self._in_task = InTask(scheduling)

    async def enqueue(self, request: messages.EnqueueRequest, ctx: Context) -> messages.EnqueueResponse:
        """The action is there."""
        await self._in_task.enqueue(request.action, request.run_spec if request.HasField("run_spec") else None)
        return messages.EnqueueResponse()

    async def watch_for_updates(
        self, request: messages.WatchForUpdatesRequest, ctx: Context
    ) -> AsyncIterator[messages.WatchForUpdatesResponse]:
        """The children of an action, a sentinel, and then each change."""
        async for update in self._in_task.watch(request.parent_action_id):
            if update is None:
                yield messages.WatchForUpdatesResponse(control_message=ControlMessage(sentinel=True))
            else:
                yield messages.WatchForUpdatesResponse(action_update=update)

    async def update(self, request: messages.UpdateRequest, ctx: Context) -> messages.UpdateResponse:
        """Refused: no executor of this server reports by a request."""
        action_names_of(request.action_id)
        raise NotOfferedError(
            "this server runs the attempts itself, so nobody else tells it their state: ActionsService.Update is for "
            "executors. TrackedRunService reports runs that go on elsewhere."
        )

    async def abort(self, request: messages.AbortRequest, ctx: Context) -> messages.AbortResponse:
        """The action is aborted."""
        await self._in_task.abort(request.action_id, request.reason, subject_of(request.aborted_by))
        return messages.AbortResponse()

    async def signal(self, request: messages.SignalRequest, ctx: Context) -> messages.SignalResponse:
        """The condition has its answer."""
        run_name, action_name = action_names_of(request.action_id)
        if not request.HasField("value"):
            raise InvalidRequestError("value is missing: expected a literal of the type that the condition asks for.")
        by = subject_of(request.signalled_by) or current_caller().subject
        await self._scheduling.signal(run_name, action_name, request.value, by)
        return messages.SignalResponse()
