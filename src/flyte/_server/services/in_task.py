"""What running tasks ask, in either of the two families: more actions, what becomes of them, and ending them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from flyteidl2.common.identifier_pb2 import ActionIdentifier
from flyteidl2.common.identity_pb2 import EnrichedIdentity
from flyteidl2.task.run_pb2 import RunSpec
from flyteidl2.workflow.run_definition_pb2 import ActionSpec, ConditionAction, TaskAction, TraceAction
from flyteidl2.workflow.state_service_pb2 import ActionUpdate

from flyte._engine.names import ROOT_ACTION
from flyte._server.callers import current_caller
from flyte._server.refusals import InvalidRequestError
from flyte._server.scheduling import Scheduling
from flyte._server.services.identifiers import (
    TASK_NAME_LENGTH,
    action_name_of,
    action_names_of,
    address_of,
    moment_of,
    run_name_of,
    text_of,
)
from flyte._server.services.streams import closing

REASON_LENGTH = 4096


class EnqueuedAction(Protocol):
    """The fields that an action has in both families."""

    action_id: ActionIdentifier
    parent_action_name: str
    input_uri: str
    run_output_base: str
    group: str
    task: TaskAction
    trace: TraceAction
    condition: ConditionAction

    def WhichOneof(self, oneof_group: str) -> str | None: ...


class InTask:
    """Requests of running tasks, checked and put to the scheduler."""

    def __init__(self, scheduling: Scheduling) -> None:
        self._scheduling = scheduling

    async def enqueue(self, action: EnqueuedAction, run_spec: RunSpec | None) -> None:
        """The action is there.

        Raises:
            RefusedError: as of `Scheduling.enqueue`.
        """
        await self._scheduling.enqueue(action_spec(action, run_spec))

    async def watch(self, parent: ActionIdentifier) -> AsyncIterator[ActionUpdate | None]:
        """As of `Scheduling.watch_children`."""
        run_name, parent_name = action_names_of(parent, "parent_action_id")
        async with closing(self._scheduling.watch_children(run_name, parent_name)) as updates:
            async for update in updates:
                yield update

    async def abort(self, action: ActionIdentifier, reason: str, aborted_by: str = "") -> None:
        """As of `Scheduling.abort_action`."""
        run_name, action_name = action_names_of(action)
        reason = text_of(reason, "reason", REASON_LENGTH, may_be_empty=True)
        await self._scheduling.abort_action(run_name, action_name, reason, aborted_by or current_caller().subject)


def subject_of(identity: EnrichedIdentity) -> str:
    """The stable name of a user or an application; empty for nobody."""
    return str(identity.application.id.subject or identity.user.id.subject)


def action_spec(action: EnqueuedAction, run_spec: RunSpec | None) -> ActionSpec:
    """The action as the scheduler is asked for it.

    Raises:
        InvalidRequestError: it has no name, no parent, or nothing to do.
    """
    run_name_of(action.action_id.run, "action_id.run")
    name = action_name_of(action.action_id.name, "action_id.name")
    if name == ROOT_ACTION:
        raise InvalidRequestError(f"action_id.name is {name!r}, the root of its run, which CreateRun makes.")
    parent_name = action_name_of(action.parent_action_name, "parent_action_name")
    if parent_name == name:
        raise InvalidRequestError(f"parent_action_name is {name!r}, the action itself.")
    spec = ActionSpec(
        action_id=action.action_id,
        parent_action_name=parent_name,
        input_uri=address_of(action.input_uri, "input_uri", may_be_empty=True),
        run_output_base=address_of(action.run_output_base, "run_output_base", may_be_empty=True),
        group=text_of(action.group, "group", TASK_NAME_LENGTH, may_be_empty=True),
    )
    if run_spec is not None:
        spec.run_spec.CopyFrom(run_spec)
    kind = action.WhichOneof("spec")
    if kind == "task":
        address_of(action.input_uri, "input_uri")
        if not action.task.HasField("spec"):
            raise InvalidRequestError("task.spec is missing: an action of a task carries the spec of that task.")
        text_of(action.task.id.name, "task.id.name", TASK_NAME_LENGTH)
        spec.task.CopyFrom(action.task)
    elif kind == "trace":
        text_of(action.trace.name, "trace.name", TASK_NAME_LENGTH)
        address_of(action.trace.outputs.output_uri, "trace.outputs.output_uri", may_be_empty=True)
        for name in ("start_time", "end_time"):
            if action.trace.HasField(name):
                moment_of(getattr(action.trace, name), f"trace.{name}")
        spec.trace.CopyFrom(action.trace)
    elif kind == "condition":
        text_of(action.condition.name, "condition.name", TASK_NAME_LENGTH)
        spec.condition.CopyFrom(action.condition)
    else:
        raise InvalidRequestError(
            f"action {name!r} has neither task, trace nor condition. Clients of the Queue family cannot ask "
            "conditions: set _U_USE_ACTIONS=1 where the task runs."
        )
    return spec
