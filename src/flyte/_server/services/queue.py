"""`QueueService`: running tasks ask for more actions, and end them."""

from __future__ import annotations

from flyteidl2.workflow import queue_service_pb2 as messages

from flyte._server.callers import current_caller
from flyte._server.codes import Context, answering
from flyte._server.scheduling import Scheduling
from flyte._server.services.identifiers import run_name_of, text_of
from flyte._server.services.in_task import REASON_LENGTH, InTask


@answering
class QueueService:
    """Half of the first of the two families; `StateService` is the other."""

    def __init__(self, scheduling: Scheduling) -> None:
        self._scheduling = scheduling
        self._in_task = InTask(scheduling)

    async def enqueue_action(
        self, request: messages.EnqueueActionRequest, ctx: Context
    ) -> messages.EnqueueActionResponse:
        """The action is there."""
        await self._in_task.enqueue(request, request.run_spec if request.HasField("run_spec") else None)
        return messages.EnqueueActionResponse()

    async def abort_queued_action(
        self, request: messages.AbortQueuedActionRequest, ctx: Context
    ) -> messages.AbortQueuedActionResponse:
        """The action, whether it waits or runs, is aborted."""
        await self._in_task.abort(request.action_id, request.reason)
        return messages.AbortQueuedActionResponse()

    async def abort_queued_run(
        self, request: messages.AbortQueuedRunRequest, ctx: Context
    ) -> messages.AbortQueuedRunResponse:
        """The run is aborted."""
        reason = text_of(request.reason, "reason", REASON_LENGTH, may_be_empty=True)
        await self._scheduling.abort_run(run_name_of(request.run_id), reason, current_caller().subject)
        return messages.AbortQueuedRunResponse()
