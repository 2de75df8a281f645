"""`TrackedRunService`: runs whose root goes on in the process of whoever asks, who reports what comes of it."""

from __future__ import annotations

from connectrpc.code import Code
from flyteidl2.task.run_pb2 import RunSpec
from flyteidl2.workflow import tracked_run_service_pb2 as messages
from flyteidl2.workflow.run_definition_pb2 import RUN_SOURCE_TRACKED
from flyteidl2.workflow.run_service_pb2 import CreateRunRequest, CreateRunResponse
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from flyte._engine.names import ROOT_ACTION
from flyte._server.codes import Context, answering, connect_error
from flyte._server.refusals import InvalidRequestError, NotOfferedError
from flyte._server.scheduling import Scheduling
from flyte._server.services.identifiers import run_name_of, text_of
from flyte._server.services.in_task import ADDRESS_LENGTH, REASON_LENGTH
from flyte._server.services.places import Places
from flyte._server.services.run_creation import RunCreation
from flyte._server.services.runs import RunReads
from flyte._server.services.store import ServedStore
from flyte._server.services.views import run_message
from flyte.models import ActionPhase

_MOST_UPDATES = 1000

_NUMBERS = {
    Code.INVALID_ARGUMENT: 3,
    Code.NOT_FOUND: 5,
    Code.ALREADY_EXISTS: 6,
    Code.RESOURCE_EXHAUSTED: 8,
    Code.FAILED_PRECONDITION: 9,
    Code.ABORTED: 10,
    Code.UNIMPLEMENTED: 12,
    Code.INTERNAL: 13,
    Code.UNAVAILABLE: 14,
}
"""The numbers of `google.rpc.Code`."""


@answering
class TrackedRunService(RunReads):
    """Runs that go on elsewhere."""

    def __init__(self, scheduling: Scheduling, store: ServedStore, places: Places) -> None:
        super().__init__(scheduling, store, places)
        self._creation = RunCreation(scheduling, store, places)

    async def create_run(self, request: messages.CreateTrackedRunRequest, ctx: Context) -> CreateRunResponse:
        """The run is there; nothing of it runs here until its root asks for more actions."""
        # The fields that both requests have are the same ones.
        asked = CreateRunRequest(run_spec=_labelled(request), source=RUN_SOURCE_TRACKED)
        for field in ("run_id", "project_id", "task_id", "task_spec", "offloaded_input_data", "run_start_time"):
            if request.HasField(field):
                getattr(asked, field).CopyFrom(getattr(request, field))
        name = await self._creation.create(asked, is_external=True)
        return CreateRunResponse(run=run_message(self._places, await self._run(name)))

    async def report_actions(
        self, request: messages.ReportTrackedActionsRequest, ctx: Context
    ) -> messages.ReportTrackedActionsResponse:
        """What is reported of the root is recorded; each report is answered by itself."""
        name = run_name_of(request.run_id)
        if not 0 < len(request.updates) <= _MOST_UPDATES:
            raise InvalidRequestError(f"updates has {len(request.updates)} entries: expected 1 to {_MOST_UPDATES}.")
        await self._run(name)
        statuses = [await self._report(name, update) for update in request.updates]
        return messages.ReportTrackedActionsResponse(statuses=statuses)

    async def _report(self, run_name: str, update: messages.TrackedActionUpdate) -> Status:
        try:
            await self._record(run_name, update)
        except Exception as error:
            refused = connect_error(error)
            return Status(code=_NUMBERS.get(refused.code, 2), message=refused.message)
        return Status()

    async def _record(self, run_name: str, update: messages.TrackedActionUpdate) -> None:
        event = update.event
        if event.id.name != ROOT_ACTION:
            raise NotOfferedError(
                f"action {event.id.name[:60]!r}: of a run that goes on elsewhere this server records the root action, "
                f"{ROOT_ACTION!r}, and those that it runs itself."
            )
        try:
            phase = ActionPhase.from_protobuf(event.phase)
        except ValueError as error:
            raise InvalidRequestError(f"event.phase: {error}") from error
        await self._scheduling.report_root(
            run_name,
            phase.to_protobuf_value(),
            text_of(event.outputs.output_uri, "event.outputs.output_uri", ADDRESS_LENGTH, may_be_empty=True),
            text_of(
                event.error_info.message[:REASON_LENGTH], "the message of the error", REASON_LENGTH, may_be_empty=True
            ),
            text_of(event.error_info.code, "event.error_info.code", REASON_LENGTH, may_be_empty=True),
        )


def _labelled(request: messages.CreateTrackedRunRequest) -> RunSpec:
    spec = RunSpec()
    spec.CopyFrom(request.run_spec)
    for key, value in request.labels.items():
        spec.labels.values[key] = value
    return spec
