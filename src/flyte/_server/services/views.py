"""Runs and actions of the store as messages of the protocol."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from flyteidl2.common.identifier_pb2 import (
    ActionAttemptIdentifier,
    TriggerIdentifier,
    TriggerName,
    UserIdentifier,
)
from flyteidl2.common.identity_pb2 import EnrichedIdentity, User
from flyteidl2.core.literals_pb2 import Literal, Primitive, Scalar
from flyteidl2.core.types_pb2 import LiteralType
from flyteidl2.task.task_definition_pb2 import TaskSpec
from flyteidl2.workflow import run_definition_pb2 as messages
from google.protobuf.timestamp_pb2 import Timestamp

from flyte._server.services.attempts import error_info
from flyte._server.services.places import Places
from flyte._store.listing import ListedAction, ListedRun
from flyte._store.records import ActionKind
from flyte.models import ActionPhase

INTERRUPTED = "the process that executed this run is gone: `flyte resume` goes on with it, where the run was started."

_TYPES = {"bool": "BOOLEAN", "int": "INTEGER", "float": "FLOAT", "str": "STRING"}
_PRIMITIVES = {"bool": "boolean", "int": "integer", "float": "float_value", "str": "string_value"}
_PROMPT_TYPES = {
    "text": messages.CONDITION_PROMPT_TYPE_TEXT,
    "markdown": messages.CONDITION_PROMPT_TYPE_MARKDOWN,
}


def timestamp(microseconds: int | None) -> Timestamp | None:
    """A stored time."""
    if microseconds is None:
        return None
    seconds, rest = divmod(microseconds, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1000)


def identity(subject: str | None) -> EnrichedIdentity | None:
    """Who that is; None for nobody."""
    return EnrichedIdentity(user=User(id=UserIdentifier(subject=subject))) if subject else None


@dataclass(frozen=True, slots=True)
class Viewed:
    """An action of a run, with the spec of its task where that is kept."""

    run: ListedRun
    action: ListedAction
    spec: TaskSpec | None

    @property
    def phase(self) -> ActionPhase:
        """That of the action; of a run whose process is gone, what is open has ended as far as anybody can tell."""
        if self.action.phase.is_terminal or not self.is_interrupted:
            return self.action.phase
        return ActionPhase.ABORTED

    @property
    def is_interrupted(self) -> bool:
        """Whether the action is open in a local run whose process is gone."""
        is_open = not self.action.phase.is_terminal
        return is_open and self.run.is_local and self.run.run.is_interrupted


def run_message(places: Places, run: ListedRun) -> messages.Run:
    """A run as it is listed."""
    if run.root is None:
        # Its rows are being deleted: what is left is its own.
        action = messages.Action(id=places.action_identifier(run.run, "a0"))
        action.status.phase = run.run.phase.to_protobuf_value()
    else:
        action = action_message(places, Viewed(run, run.root, run.spec))
    return messages.Run(action=action, labels=run.run.labels)


def action_message(places: Places, viewed: Viewed) -> messages.Action:
    """An action as it is listed."""
    return messages.Action(
        id=places.action_identifier(viewed.run.run, viewed.action.name),
        metadata=metadata(places, viewed),
        status=status(viewed),
    )


def status(viewed: Viewed) -> messages.ActionStatus:
    """Where an action is in its life. It starts when it is made, and waiting is a part of it."""
    action = viewed.action
    shown = messages.ActionStatus(
        phase=viewed.phase.to_protobuf_value(),
        start_time=timestamp(action.created_us),
        end_time=timestamp(action.ended_us),
        attempts=action.attempt_no,
        cache_status=action.cache_status,
    )
    if action.ended_us is not None:
        shown.duration_ms = max(0, action.ended_us - action.created_us) // 1000
    return shown


def metadata(places: Places, viewed: Viewed) -> messages.ActionMetadata:
    """What an action is, and where it comes from."""
    run, action = viewed.run, viewed.action
    shown = messages.ActionMetadata(
        parent=action.parent_name or "",
        group=action.group_name or "",
        executed_by=identity(run.created_by),
        action_type=int(action.kind) + 1,
        source=run.source,
    )
    if viewed.spec is not None:
        shown.environment_name = viewed.spec.environment.name
        shown.funtion_name = viewed.spec.short_name
    elif action.kind is ActionKind.TASK:
        shown.environment_name, _, shown.funtion_name = action.task_name.rpartition(".")
    if run.run_spec.HasField("relation"):
        shown.relation.CopyFrom(run.run_spec.relation)
    if run.trigger_name is not None:
        shown.trigger_name = run.trigger_name
        shown.trigger_id.CopyFrom(_trigger_of(places, run, run.trigger_name))
    if action.recovered_from:
        source = places.action_identifier(run.run, action.name)
        source.run.name = action.recovered_from
        shown.recovered_from.CopyFrom(source)
    _describe(places, viewed, shown)
    return shown


def _trigger_of(places: Places, run: ListedRun, name: str) -> TriggerIdentifier:
    place = places.run_identifier(run.run)
    return TriggerIdentifier(
        name=TriggerName(
            org=place.org, project=place.project, domain=place.domain, name=name, task_name=run.run.task_name
        )
    )


def _describe(places: Places, viewed: Viewed, shown: messages.ActionMetadata) -> None:
    action, target = viewed.action, viewed.action.target
    if action.kind is ActionKind.TRACE:
        shown.trace.name = target.trace.name if target is not None else action.task_name
    elif action.kind is ActionKind.CONDITION:
        shown.condition.CopyFrom(
            messages.ConditionActionMetadata(name=_condition_name(action), type=_condition_type(action))
        )
    else:
        template = viewed.spec.task_template if viewed.spec is not None else None
        described = messages.TaskActionMetadata(
            task_type=template.type if template is not None else "",
            short_name=(viewed.spec.short_name if viewed.spec else "") or action.task_name.rpartition(".")[2],
        )
        if target is not None and target.task.HasField("id"):
            described.id.CopyFrom(target.task.id)
        else:
            described.id.CopyFrom(places.task_identifier(viewed.run.run, action.task_name, viewed.run.run.version))
        if not described.id.org:
            described.id.org = places.org
        queue = (target.task.queue if target is not None else "") or viewed.run.run_spec.queue
        if queue:
            described.queue = queue
        shown.task.CopyFrom(described)


def _condition_name(action: ListedAction) -> str:
    if action.target is not None and action.target.condition.name:
        return str(action.target.condition.name)
    return action.condition.name if action.condition is not None else action.task_name


def _condition_type(action: ListedAction) -> LiteralType:
    if action.target is not None and action.target.condition.HasField("type"):
        return action.target.condition.type
    kind = action.condition.data_type if action.condition is not None else "str"
    return LiteralType(simple=_TYPES.get(kind, "STRING"))


def details_without_attempts(places: Places, viewed: Viewed) -> messages.ActionDetails:
    """All of an action but its attempts."""
    action = viewed.action
    shown = messages.ActionDetails(
        id=places.action_identifier(viewed.run.run, action.name),
        metadata=metadata(places, viewed),
        status=status(viewed),
    )
    _show_result(viewed, shown)
    if action.kind is ActionKind.TASK:
        if viewed.spec is not None:
            shown.task.CopyFrom(viewed.spec)
    elif action.kind is ActionKind.TRACE:
        if action.target is not None:
            shown.trace.CopyFrom(action.target.trace.spec)
    else:
        shown.condition.CopyFrom(_condition(action))
    return shown


def _show_result(viewed: Viewed, shown: messages.ActionDetails) -> None:
    action, run = viewed.action, viewed.run
    if viewed.is_interrupted:
        shown.abort_info.reason = INTERRUPTED
    elif action.phase is ActionPhase.ABORTED:
        is_root = action.parent_id is None
        reason = action.abort_reason or (run.abort_reason if is_root else None)
        by = action.aborted_by or (run.aborted_by if is_root else None)
        shown.abort_info.CopyFrom(
            messages.AbortInfo(reason=reason or (action.error.message if action.error else ""), aborted_by=identity(by))
        )
    elif action.error is not None:
        shown.error_info.CopyFrom(error_info(action.error))
    elif action.kind is ActionKind.CONDITION and action.phase is ActionPhase.SUCCEEDED:
        shown.signal_info.CopyFrom(
            messages.SignalInfo(signalled_by=identity(action.signalled_by), output=answer_of(action))
        )


def answer_of(action: ListedAction) -> Literal | None:
    """What a condition was answered."""
    condition = action.condition
    if condition is None or condition.answer is None:
        return None
    value: Any = json.loads(condition.answer)
    name = _PRIMITIVES[condition.data_type]
    return Literal(scalar=Scalar(primitive=Primitive(**{name: float(value) if name == "float_value" else value})))


def _condition(action: ListedAction) -> messages.ConditionAction:
    if action.target is not None and action.target.HasField("condition"):
        return action.target.condition
    shown = messages.ConditionAction(name=_condition_name(action), type=_condition_type(action))
    row = action.condition
    if row is not None:
        shown.prompt, shown.description = row.prompt, row.description
        shown.prompt_type = _PROMPT_TYPES.get(row.prompt_type, messages.CONDITION_PROMPT_TYPE_UNSPECIFIED)
        if row.expires_us is not None:
            shown.timeout.FromMicroseconds(max(0, row.expires_us - action.created_us))
    return shown


def attempt_identifier(places: Places, run: ListedRun, run_name: str, action_name: str) -> ActionAttemptIdentifier:
    """The attempt that an outcome of the cache comes from, as far as the cache knows it."""
    source = places.action_identifier(run.run, action_name)
    source.run.name = run_name
    return ActionAttemptIdentifier(action_id=source)
