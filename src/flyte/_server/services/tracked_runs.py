"""`TrackedRunService`: runs whose root goes on in the process of whoever asks, who reports what comes of it."""

from __future__ import annotations

from connectrpc.code import Code
from flyteidl2.common.identifier_pb2 import ActionIdentifier, RunIdentifier
from flyteidl2.task.run_pb2 import RunSpec
from flyteidl2.workflow import tracked_run_service_pb2 as messages
from flyteidl2.workflow.run_definition_pb2 import RUN_SOURCE_TRACKED, ActionSpec
from flyteidl2.workflow.run_service_pb2 import CreateRunRequest, CreateRunResponse
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from flyte._engine.names import ROOT_ACTION
from flyte._server.codes import Context, answering, connect_error
from flyte._server.home_paths import UPLOADS
from flyte._server.refusals import InvalidRequestError
from flyte._server.scheduling import ChildReport, Scheduling
from flyte._server.services.clock import now_us
from flyte._server.services.identifiers import (
    TASK_NAME_LENGTH,
    action_name_of,
    address_of,
    moment_of,
    run_name_of,
    text_of,
)
from flyte._server.services.in_task import REASON_LENGTH
from flyte._server.services.places import Places
from flyte._server.services.run_creation import RunCreation
from flyte._server.services.runs import RunReads
from flyte._server.services.store import ServedStore
from flyte._server.services.views import run_message
from flyte._store.listing import ListedRun
from flyte._store.records import StoredRun, to_microseconds
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
        run = await self._run(name)
        statuses = [await self._report(run, update) for update in request.updates]
        return messages.ReportTrackedActionsResponse(statuses=statuses)

    async def _report(self, run: ListedRun, update: messages.TrackedActionUpdate) -> Status:
        try:
            await self._record(run, update)
        except Exception as error:
            refused = connect_error(error)
            return Status(code=_NUMBERS.get(refused.code, 2), message=refused.message)
        return Status()

    async def _record(self, run: ListedRun, update: messages.TrackedActionUpdate) -> None:
        event, run_name = update.event, run.run.name
        try:
            phase = ActionPhase.from_protobuf(event.phase).to_protobuf_value()
        except ValueError as unknown:
            raise InvalidRequestError(f"event.phase: {unknown}") from unknown
        outputs_uri = address_of(event.outputs.output_uri, "event.outputs.output_uri", may_be_empty=True)
        error = text_of(
            event.error_info.message[:REASON_LENGTH], "the message of the error", REASON_LENGTH, may_be_empty=True
        )
        code = text_of(event.error_info.code, "event.error_info.code", REASON_LENGTH, may_be_empty=True)
        if event.id.name == ROOT_ACTION:
            await self._scheduling.report_root(run_name, phase, outputs_uri, error, code)
            return
        report = ChildReport(
            target=self._target(run.run, update),
            phase=phase,
            attempt_no=max(event.attempt, 1),
            at_us=_reported_us(event.updated_time),
            outputs_uri=outputs_uri,
            error=error,
            code=code,
        )
        await self._scheduling.report_child(run_name, report)

    def _target(self, run: StoredRun, update: messages.TrackedActionUpdate) -> ActionSpec:
        """The action as it would be asked for."""
        name = action_name_of(update.event.id.name, "event.id.name")
        identifier = RunIdentifier(org=self._places.org, project=run.project, domain=run.domain, name=run.name)
        target = ActionSpec(
            action_id=ActionIdentifier(run=identifier, name=name),
            parent_action_name=_parent_name(update),
            group=text_of(update.group, "group", TASK_NAME_LENGTH, may_be_empty=True),
        )
        if update.HasField("task"):
            target.task.CopyFrom(update.task)
            if update.task.spec.task_template.HasField("interface"):
                # They are uploaded to a place that goes without saying.
                folder = self._store.home.joinpath(UPLOADS, *(run.project or "", run.domain or ""), "tracked-runs")
                target.input_uri = str(folder / run.name / name / "inputs.pb")
        elif update.HasField("trace"):
            target.trace.CopyFrom(update.trace)
        return target


def _reported_us(time: Timestamp) -> int:
    reported = to_microseconds(moment_of(time, "event.updated_time"))
    return reported or now_us()


def _parent_name(update: messages.TrackedActionUpdate) -> str:
    return action_name_of(update.parent_name, "parent_name") if update.parent_name else ""


def _labelled(request: messages.CreateTrackedRunRequest) -> RunSpec:
    spec = RunSpec()
    spec.CopyFrom(request.run_spec)
    for key, value in request.labels.items():
        spec.labels.values[key] = value
    return spec
