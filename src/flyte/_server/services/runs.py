"""`RunService`: runs are made, ended, answered, read, listed and watched."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from flyteidl2.core.literals_pb2 import Literal, Primitive, Scalar
from flyteidl2.workflow import run_definition_pb2 as definitions
from flyteidl2.workflow import run_service_pb2 as messages

from flyte._server.callers import current_caller
from flyte._server.codes import Context, answering
from flyte._server.refusals import InvalidRequestError, NotNowError, UnknownError
from flyte._server.scheduling import Scheduling
from flyte._server.services.action_data import load_action_data
from flyte._server.services.attempts import CLUSTER, AttemptView
from flyte._server.services.identifiers import action_names_of, run_name_of, text_of
from flyte._server.services.in_task import REASON_LENGTH
from flyte._server.services.places import Places
from flyte._server.services.run_creation import RunCreation
from flyte._server.services.run_listings import ACTIONS, RUNS, runs_asked_for, runs_watched
from flyte._server.services.run_reads import (
    action_details,
    attempt_views,
    inputs_address,
    outputs_address,
    run_details,
    run_of,
    viewed_action,
)
from flyte._server.services.store import ServedStore
from flyte._server.services.streams import Pace, closing, snapshots, ticks, with_ticks
from flyte._server.services.task_groups import task_groups
from flyte._server.services.views import Viewed, action_message, run_message
from flyte._server.services.watching import ActionsSeen, RunsSeen, in_parts
from flyte._store.aborts import AbortRequest, ask_to_abort
from flyte._store.conditions import answer_condition
from flyte._store.listing import ListedRun, list_actions, list_runs, load_spec
from flyte._store.reader import StoreReader
from flyte.models import ActionPhase

_AT_MOST_EVERY_S = 0.02
"""Watches of many things send no more often: what changes meanwhile is sent together."""

_GROUPS_EVERY_S = 1.0
"""The same for groups of runs, which are counted anew each time."""

_LOCAL_RUNS_EVERY_S = 2.0
"""How often it is looked for runs that other processes made."""


class RunReads:
    """What both services of runs answer from the store."""

    def __init__(self, scheduling: Scheduling, store: ServedStore, places: Places) -> None:
        self._scheduling = scheduling
        self._store = store
        self._places = places

    async def abort_run(self, request: messages.AbortRunRequest, ctx: Context) -> messages.AbortRunResponse:
        """The run is aborted; one of another process on this machine is asked to."""
        name = run_name_of(request.run_id)
        reason = text_of(request.reason, "reason", REASON_LENGTH, may_be_empty=True)
        run = await self._run(name)
        if run.is_local:
            await self._ask_to_abort(run, "a0", reason)
        else:
            await self._scheduling.abort_run(name, reason, current_caller().subject)
        return messages.AbortRunResponse()

    async def get_run_details(
        self, request: messages.GetRunDetailsRequest, ctx: Context
    ) -> messages.GetRunDetailsResponse:
        """All there is to say about a run."""
        name = run_name_of(request.run_id)
        details = await self._store.read(lambda reader: run_details(reader, self._places, name))
        return messages.GetRunDetailsResponse(details=details)

    async def watch_run_details(
        self, request: messages.WatchRunDetailsRequest, ctx: Context
    ) -> AsyncIterator[messages.WatchRunDetailsResponse]:
        """The same, at once and whenever it has changed, until the run is over."""
        name = run_name_of(request.run_id)

        async def load() -> definitions.RunDetails:
            return await self._store.read(lambda reader: run_details(reader, self._places, name))

        changes = self._changes_of(await self._run(name), None)
        async for details in snapshots(changes, load, lambda shown: _is_over(shown.action.status)):
            yield messages.WatchRunDetailsResponse(details=details)

    async def get_action_details(
        self, request: messages.GetActionDetailsRequest, ctx: Context
    ) -> messages.GetActionDetailsResponse:
        """All there is to say about an action."""
        names = action_names_of(request.action_id)
        return messages.GetActionDetailsResponse(details=await self._details(*names))

    async def watch_action_details(
        self, request: messages.WatchActionDetailsRequest, ctx: Context
    ) -> AsyncIterator[messages.WatchActionDetailsResponse]:
        """The same, at once and whenever it has changed, until the action is over."""
        run_name, action_name = action_names_of(request.action_id)
        changes = self._changes_of(await self._run(run_name), action_name)
        loaded = snapshots(changes, lambda: self._details(run_name, action_name), lambda shown: _is_over(shown.status))
        async for details in loaded:
            yield messages.WatchActionDetailsResponse(details=details)

    async def list_runs(self, request: messages.ListRunsRequest, ctx: Context) -> messages.ListRunsResponse:
        """One page of runs, newest first where nothing else is asked for."""
        query = RUNS.query(request.request, *runs_asked_for(request, self._places))

        def load(reader: StoreReader) -> messages.ListRunsResponse:
            runs, page = list_runs(reader, query)
            shown = [run_message(self._places, run) for run in runs]
            return messages.ListRunsResponse(runs=shown, token=RUNS.token(request.request, page))

        return await self._store.read(load)

    async def watch_runs(
        self, request: messages.WatchRunsRequest, ctx: Context
    ) -> AsyncIterator[messages.WatchRunsResponse]:
        """The newest runs, then each that is made or changes. It ends when whoever watches goes away."""
        seen = RunsSeen(self._places, *runs_watched(request, self._places))
        is_first, pace = True, Pace(_AT_MOST_EVERY_S)
        async with closing(self._run_changes()) as changes:
            async for _ in changes:
                pace.begin()
                changed = await self._store.read(seen.changed)
                if changed or is_first:
                    yield messages.WatchRunsResponse(runs=changed)
                is_first = False
                await pace.rest()

    async def list_actions(self, request: messages.ListActionsRequest, ctx: Context) -> messages.ListActionsResponse:
        """One page of the actions of a run, in the order they were made where nothing else is asked for."""
        name = run_name_of(request.run_id)
        query = ACTIONS.query(request.request)

        def load(reader: StoreReader) -> messages.ListActionsResponse:
            run = run_of(reader, name)
            actions, page = list_actions(reader, run.run.run_id, query)
            shown = [
                action_message(self._places, Viewed(run, each, load_spec(reader, each.spec_digest))) for each in actions
            ]
            return messages.ListActionsResponse(actions=shown, token=ACTIONS.token(request.request, page))

        return await self._store.read(load)

    async def watch_actions(
        self, request: messages.WatchActionsRequest, ctx: Context
    ) -> AsyncIterator[messages.WatchActionsResponse]:
        """All actions of a run, then those that change, until the run is over."""
        name = run_name_of(request.run_id)
        ACTIONS.conditions_of(request.filter)
        run = await self._run(name)
        seen = ActionsSeen(self._places, name, list(request.filter))
        is_first, pace = True, Pace(_AT_MOST_EVERY_S)
        async with closing(self._changes_of(run, None)) as changes:
            async for _ in changes:
                pace.begin()
                changed = await self._store.read(seen.changed)
                if changed or is_first:
                    for part in in_parts(changed):
                        yield messages.WatchActionsResponse(enriched_actions=part)
                is_first = False
                if seen.is_over:
                    return
                await pace.rest()

    async def _run(self, name: str) -> ListedRun:
        return await self._store.read(lambda reader: run_of(reader, name))

    async def _details(self, run_name: str, action_name: str) -> definitions.ActionDetails:
        def load(reader: StoreReader) -> definitions.ActionDetails:
            with reader.snapshot():
                return action_details(reader, self._places, viewed_action(reader, run_name, action_name))

        return await self._store.read(load)

    def _changes_of(self, run: ListedRun, action_name: str | None) -> AsyncIterator[None]:
        if run.is_local:
            return ticks()
        return self._scheduling.changes(run.run.name, action_name)

    def _run_changes(self) -> AsyncIterator[None]:
        # Of runs that other processes make here, nobody tells.
        return with_ticks(self._scheduling.run_changes(), _LOCAL_RUNS_EVERY_S)

    async def _ask_to_abort(self, run: ListedRun, action_name: str, reason: str) -> None:
        if run.run.phase.is_terminal:
            return
        if run.run.is_interrupted:
            raise NotNowError(
                f"run {run.run.name!r} is interrupted: the process that executed it is gone. `flyte abort run` on its "
                "machine records it as aborted."
            )
        await self._store.write(ask_to_abort(AbortRequest(run.run.run_id, action_name, reason)))


@answering
class RunService(RunReads):
    """Runs."""

    def __init__(self, scheduling: Scheduling, store: ServedStore, places: Places) -> None:
        super().__init__(scheduling, store, places)
        self._creation = RunCreation(scheduling, store, places)

    async def create_run(self, request: messages.CreateRunRequest, ctx: Context) -> messages.CreateRunResponse:
        """There is a run of what is asked for."""
        name = await self._creation.create(request)
        run = await self._run(name)
        return messages.CreateRunResponse(run=run_message(self._places, run))

    async def abort_action(self, request: messages.AbortActionRequest, ctx: Context) -> messages.AbortActionResponse:
        """The action is aborted with those below it."""
        run_name, action_name = action_names_of(request.action_id)
        reason = text_of(request.reason, "reason", REASON_LENGTH, may_be_empty=True)
        viewed = await self._store.read(lambda reader: viewed_action(reader, run_name, action_name))
        if viewed.run.is_local:
            if not viewed.action.phase.is_terminal:
                await self._ask_to_abort(viewed.run, action_name, reason)
        else:
            await self._scheduling.abort_action(run_name, action_name, reason, current_caller().subject)
        return messages.AbortActionResponse()

    async def signal_event(self, request: messages.SignalEventRequest, ctx: Context) -> messages.SignalEventResponse:
        """The condition has its answer."""
        run_name, action_name = action_names_of(request.action_id)
        kind = request.payload.WhichOneof("value")
        if kind is None:
            raise InvalidRequestError(
                "payload is empty: expected one of bool_value, int_value, float_value and string_value."
            )
        viewed = await self._store.read(lambda reader: viewed_action(reader, run_name, action_name))
        if viewed.run.is_local:
            await self._answer_local(viewed, kind, getattr(request.payload, kind))
        else:
            literal = _literal(kind, getattr(request.payload, kind))
            await self._scheduling.signal(run_name, action_name, literal, current_caller().subject)
        return messages.SignalEventResponse()

    async def get_action_data(
        self, request: messages.GetActionDataRequest, ctx: Context
    ) -> messages.GetActionDataResponse:
        """Inputs and outputs; no outputs until the action has succeeded."""
        inputs, outputs = await load_action_data(self._store, *action_names_of(request.action_id))
        return messages.GetActionDataResponse(inputs=inputs, outputs=outputs)

    async def get_action_data_u_r_is(
        self, request: messages.GetActionDataURIsRequest, ctx: Context
    ) -> messages.GetActionDataURIsResponse:
        """Where they are."""
        run_name, action_name = action_names_of(request.action_id)
        viewed = await self._store.read(lambda reader: viewed_action(reader, run_name, action_name))
        if viewed.run.is_local:
            raise NotNowError(
                f"run {run_name!r} went on in a process of its own, which keeps inputs and outputs in the store, at no "
                "address: GetActionData gives them."
            )
        return messages.GetActionDataURIsResponse(
            inputs_uri=inputs_address(viewed), outputs_uri=outputs_address(viewed)
        )

    async def get_action_log_context(
        self, request: messages.GetActionLogContextRequest, ctx: Context
    ) -> messages.GetActionLogContextResponse:
        """Where the log of an attempt comes from."""
        view = await self._attempt(*action_names_of(request.action_id), request.attempt)
        shown = view.message()
        response = messages.GetActionLogContextResponse(log_context=view.log_context(), cluster=CLUSTER)
        response.start_time.CopyFrom(shown.start_time)
        if shown.HasField("end_time"):
            response.end_time.CopyFrom(shown.end_time)
        return response

    async def watch_cluster_events(
        self, request: messages.WatchClusterEventsRequest, ctx: Context
    ) -> AsyncIterator[messages.WatchClusterEventsResponse]:
        """What happens to an attempt, until it is over."""
        run_name, action_name = action_names_of(request.id)
        await self._attempt(run_name, action_name, request.attempt)
        changes = self._changes_of(await self._run(run_name), action_name)
        sent = 0
        views = snapshots(
            changes,
            lambda: self._attempt(run_name, action_name, request.attempt),
            lambda view: view.phase.is_terminal,
        )
        async for view in views:
            events = view.events()
            if len(events) > sent:
                yield messages.WatchClusterEventsResponse(cluster_events=events[sent:])
            sent = len(events)

    async def watch_groups(
        self, request: messages.WatchGroupsRequest, ctx: Context
    ) -> AsyncIterator[messages.WatchGroupsResponse]:
        """The tasks that runs are of, a sentinel, then those of which something changes."""
        sent: dict[str, definitions.TaskGroup] = {}
        is_first, pace = True, Pace(_GROUPS_EVERY_S)
        async with closing(self._run_changes()) as changes:
            async for _ in changes:
                pace.begin()
                groups = await self._store.read(lambda reader: task_groups(reader, self._places, request))
                changed = [group for group in groups if sent.get(group.task_name) != group]
                names = {group.task_name for group in groups}
                changed += [
                    definitions.TaskGroup(task_name=name, should_delete=True) for name in sent if name not in names
                ]
                if changed:
                    yield messages.WatchGroupsResponse(task_groups=changed)
                if is_first:
                    yield messages.WatchGroupsResponse(sentinel=True)
                is_first = False
                sent = {group.task_name: group for group in groups}
                await pace.rest()

    async def _attempt(self, run_name: str, action_name: str, attempt_no: int) -> AttemptView:
        def load(reader: StoreReader) -> list[AttemptView]:
            with reader.snapshot():
                return attempt_views(reader, self._places, viewed_action(reader, run_name, action_name))

        views = {view.attempt.attempt_no: view for view in await self._store.read(load)}
        if attempt_no == 0:
            raise InvalidRequestError("attempt is 0: expected the number of an attempt, from 1.")
        if attempt_no not in views:
            there = f"there are {', '.join(map(str, views))}" if views else "there is none"
            raise UnknownError(f"action {action_name!r} of run {run_name!r} has no attempt {attempt_no}: {there}.")
        return views[attempt_no]

    async def _answer_local(self, viewed: Viewed, kind: str, value: bool | int | float | str) -> None:
        condition, action = viewed.action.condition, viewed.action
        name = f"{viewed.run.run.name}/{action.name}"
        if condition is None:
            raise UnknownError(f"{name} is no condition.")
        expected = {"bool": "bool_value", "int": "int_value", "float": "float_value", "str": "string_value"}
        if expected[condition.data_type] != kind:
            raise InvalidRequestError(
                f"payload has {kind}: condition {condition.name!r} expects {expected[condition.data_type]}."
            )
        if action.phase is not ActionPhase.PAUSED:
            raise NotNowError(f"condition {name} is {action.phase.value}: it can be answered while it is paused.")
        if not await self._store.write(answer_condition(action.action_id, json.dumps(value))):
            raise NotNowError(f"condition {name} has an answer, or its time is over.")


def _is_over(status: definitions.ActionStatus) -> bool:
    return status.phase != 0 and ActionPhase.from_protobuf(status.phase).is_terminal


_PRIMITIVES = {
    "bool_value": "boolean",
    "int_value": "integer",
    "float_value": "float_value",
    "string_value": "string_value",
}


def _literal(kind: str, value: bool | int | float | str) -> Literal:
    return Literal(scalar=Scalar(primitive=Primitive(**{_PRIMITIVES[kind]: value})))
