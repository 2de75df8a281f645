"""`StateService`: running tasks hear what becomes of the actions they asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator

from flyteidl2.workflow import state_service_pb2 as messages
from google.protobuf.json_format import MessageToJson
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from flyte._server.codes import Context, answering
from flyte._server.refusals import NotOfferedError
from flyte._server.scheduling import Scheduling
from flyte._server.services.identifiers import action_names_of
from flyte._server.services.in_task import InTask
from flyte._server.services.run_reads import viewed_action
from flyte._server.services.store import ServedStore
from flyte._server.services.views import status


@answering
class StateService:
    """Half of the first of the two families; `QueueService` is the other."""

    def __init__(self, scheduling: Scheduling, store: ServedStore) -> None:
        self._in_task = InTask(scheduling)
        self._store = store

    async def watch(self, request: messages.WatchRequest, ctx: Context) -> AsyncIterator[messages.WatchResponse]:
        """The children of an action, a sentinel, and then each change."""
        async for update in self._in_task.watch(request.parent_action_id):
            if update is None:
                yield messages.WatchResponse(control_message=messages.ControlMessage(sentinel=True))
            else:
                yield messages.WatchResponse(action_update=update)

    async def get(self, request: messages.GetRequest, ctx: Context) -> messages.GetResponse:
        """Where an action is in its life: an `ActionStatus` as JSON."""
        run_name, action_name = action_names_of(request.action_id)
        viewed = await self._store.read(lambda reader: viewed_action(reader, run_name, action_name))
        return messages.GetResponse(
            action_id=request.action_id, status=Status(), state=MessageToJson(status(viewed), indent=None)
        )

    async def put(self, request: messages.PutRequest, ctx: Context) -> messages.PutResponse:
        """Refused: no executor of this server reports by a request."""
        action_names_of(request.action_id)
        raise NotOfferedError(
            "this server runs the attempts itself, so nobody else tells it their state: StateService.Put is for "
            "executors."
        )
