"""Runs and actions of a control plane, as the store of this machine would have them: the same views show both."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from flyteidl2.workflow import run_definition_pb2 as messages

from flyte._store.conditions import StoredCondition
from flyte._store.records import ActionKind, CacheStatus, ErrorRecord, Owner, StoredAction, StoredAttempt, StoredRun
from flyte.errors import ActionNotFoundError, ConditionNotFoundError, RunNotFoundError
from flyte.models import ActionPhase

if TYPE_CHECKING:
    from flyteidl2.task.task_definition_pb2 import TaskDetails
    from google.protobuf.timestamp_pb2 import Timestamp

    from flyte.cli._run_views import RunQuery

_NOBODY = Owner("", "", 0, 0)
_KINDS = {
    messages.ACTION_TYPE_TRACE: ActionKind.TRACE,
    messages.ACTION_TYPE_CONDITION: ActionKind.CONDITION,
}
_TYPES = {1: "int", 2: "float", 3: "str", 4: "bool"}
"""Of `core.SimpleType`, those that a condition can have."""

_NEAR_NAMES_OF = 200


class PlaneRecords:
    """What `StoreReader` reads, asked of the control plane that this process is set up for."""

    def __init__(self) -> None:
        self._details: dict[str, messages.ActionDetails] = {}
        self._data: dict[str, Any] = {}
        self._names: list[str] = [""]

    def select_runs(self, query: RunQuery) -> Iterator[StoredRun]:
        """The runs that match, newest first."""
        from flyte.remote import Run, TimeFilter

        found = Run.listall(
            in_phase=tuple(query.phases) or None,
            task_name=query.task_name,
            task_version=query.task_version,
            created_by_subject=_who() if query.only_mine else None,
            limit=query.limit + 1,
            created_at=TimeFilter(query.created_after, query.created_before),
            updated_at=TimeFilter(query.updated_after, query.updated_before),
            with_labels=query.labels,
            with_label_keys=list(query.label_keys),
            paused_actions_only=query.paused_only,
        )
        return (stored_run(run.pb2.action, dict(run.pb2.labels)) for run in found)

    def check_place(self) -> None:
        """Nothing, where the project and the domain are there.

        Raises:
            CommandError: one is not.
        """
        from flyte.cli._project_views import check_place

        check_place()

    def load_run(self, name: str) -> StoredRun:
        """The run of that name.

        Raises:
            RunNotFoundError: there is none; near names are offered.
        """
        from flyte.remote import RunDetails

        try:
            details = RunDetails.get(name)
        except RunNotFoundError:
            near = near_names(name, _run_names) or " `flyte get run` lists those there are."
            raise RunNotFoundError(f"the control plane has no run {name!r} there.{near}") from None
        self._details["a0"] = details.pb2.action
        action = details.pb2.action
        listed = messages.Action(id=action.id, metadata=action.metadata, status=action.status)
        return stored_run(listed, dict(details.pb2.run_spec.labels.values), details.pb2.run_spec)

    def load_action(self, run: StoredRun, name: str) -> StoredAction:
        """The action of that name in a run.

        Raises:
            RunNotFoundError: the run has no such action.
        """
        from flyte.remote import ActionDetails

        if name not in self._details:
            try:
                self._details[name] = ActionDetails.get(run_name=run.name, name=name).pb2
            except ActionNotFoundError:
                raise RunNotFoundError(
                    f"run {run.name!r} has no action {name!r}: `flyte get action {run.name}` lists those it has."
                ) from None
        details = self._details[name]
        action = messages.Action(id=details.id, metadata=details.metadata, status=details.status)
        stored = self._stored(action, _kind_of(details))
        return replace(stored, error=_error_of(details), started_at=_started(details) or stored.started_at)

    def list_actions(
        self, run: StoredRun, phases: Sequence[ActionPhase] = (), after_action_id: int | None = None, limit: int = -1
    ) -> list[StoredAction]:
        """Actions of a run in the order they were made, after one that was read before."""
        from flyte.remote import Action

        found = iter(Action.listall(run.name, tuple(phases) or None if after_action_id is None else None))
        if after_action_id is not None:
            # A page of the protocol starts behind a token, not behind an action.
            for each in found:
                if each.name == self._names[after_action_id]:
                    break
        wanted = (each for each in found if not phases or each.phase in phases)
        page = wanted if limit < 0 else islice(wanted, limit)
        return [self._stored(each.pb2) for each in page]

    def list_attempts(self, action: StoredAction) -> list[StoredAttempt]:
        """The attempts at an action."""
        details = self._details[action.name]
        attempts = [
            StoredAttempt(
                each.attempt,
                ActionPhase.from_protobuf(each.phase),
                _time(each.start_time) if each.HasField("start_time") else None,
                _time(each.end_time) if each.HasField("end_time") else None,
                _error(each.error_info) if each.HasField("error_info") else None,
            )
            for each in details.attempts
        ]
        last = StoredAttempt(action.attempt_no, action.phase, action.started_at, action.ended_at, action.error)
        return sorted(attempts, key=lambda each: each.attempt_no) or [last]

    def load_inputs(self, action: StoredAction) -> bytes | None:
        """The action's serialized `flyteidl2.task.Inputs`."""
        payload: bytes = self._load_data(action).inputs.SerializeToString()
        return payload

    def load_outputs(self, action: StoredAction) -> bytes | None:
        """The action's serialized `flyteidl2.task.Outputs`; None until it succeeded."""
        if action.phase not in (ActionPhase.SUCCEEDED, ActionPhase.RECOVERED):
            return None
        payload: bytes = self._load_data(action).outputs.SerializeToString()
        return payload

    def count_actions(self, run: StoredRun) -> dict[str, dict[ActionPhase, int]]:
        """How many actions of each task are in each phase, tasks in the order of their first action."""
        counts: dict[str, dict[ActionPhase, int]] = {}
        for each in self._all(run):
            of_task = counts.setdefault(each.task_name, {})
            of_task[each.phase] = of_task.get(each.phase, 0) + 1
        return counts

    def count_cache_statuses(self, run: StoredRun) -> dict[CacheStatus, int]:
        """How many actions of cached tasks were told what by the cache."""
        counts: dict[CacheStatus, int] = {}
        for each in self._all(run):
            if each.cache_status:
                counts[each.cache_status] = counts.get(each.cache_status, 0) + 1
        return counts

    def list_conditions(self, run: StoredRun) -> list[StoredCondition]:
        """The conditions of a run in the order they were asked."""
        from flyte.remote import ActionDetails, Condition

        found = Condition.listall(run.name, limit=-1)
        return [_condition(ActionDetails.get_details(each.pb2.id).pb2) for each in found]

    def load_condition(self, run: StoredRun, action_name: str) -> StoredCondition:
        """The condition that is the action of that name.

        Raises:
            ConditionNotFoundError: there is none; those that are there are named.
        """
        conditions = {each.action_name: each for each in self.list_conditions(run)}
        if action_name not in conditions:
            there = f"it has {', '.join(conditions)}" if conditions else "it has none"
            raise ConditionNotFoundError(f"run {run.name!r} has no condition {action_name!r}: {there}.")
        return conditions[action_name]

    def task_of(self, action: StoredAction) -> TaskDetails:
        """The task of an action, with what it takes and gives.

        Raises:
            RuntimeUserError: code `NotATask`; the action is a trace or a condition.
        """
        from flyteidl2.task.task_definition_pb2 import TaskDetails

        from flyte.errors import RuntimeUserError

        details = self._details[action.name]
        if not details.HasField("task"):
            raise RuntimeUserError(
                "NotATask",
                f"action {action.name!r} is no task but a {action.kind.name.lower()}, which cannot run alone.",
            )
        named = details.task.task_template.id
        found = TaskDetails(spec=details.task)
        for field in ("org", "project", "domain", "name", "version"):
            setattr(found.task_id, field, getattr(named, field))
        return found

    def url(self, run: StoredRun) -> str:
        """The address of the run's page."""
        from flyte.remote._places import page_of

        return page_of("runs", run.project or "", run.domain or "", run.name)

    def _all(self, run: StoredRun) -> list[StoredAction]:
        if run.name not in self._data:
            self._data[run.name] = self.list_actions(run)
        found: list[StoredAction] = self._data[run.name]
        return found

    def _load_data(self, action: StoredAction) -> Any:
        from flyte.remote import ActionDetails
        from flyte.syncify import syncify

        if action.name not in self._data:
            details = ActionDetails(self._details[action.name])
            self._data[action.name] = syncify.run_blocking(details._data())
        return self._data[action.name]

    def _stored(self, action: messages.Action, kind: ActionKind | None = None) -> StoredAction:
        self._names.append(action.id.name)
        status, metadata = action.status, action.metadata
        created_at = _time(status.start_time)
        return StoredAction(
            action_id=len(self._names) - 1,
            name=action.id.name,
            parent_name=metadata.parent or None,
            kind=_KINDS.get(metadata.action_type, ActionKind.TASK) if kind is None else kind,
            task_name=_what(metadata),
            group_name=metadata.group or None,
            phase=ActionPhase.from_protobuf(status.phase),
            attempt_no=status.attempts,
            created_at=created_at,
            started_at=created_at,
            ended_at=_time(status.end_time) if status.HasField("end_time") else None,
            inputs=None,
            inputs_file=None,
            outputs=None,
            outputs_file=None,
            error=None,
            cache_status=CacheStatus(status.cache_status)
            if status.cache_status in list(CacheStatus)
            else CacheStatus(0),
        )


def stored_run(action: messages.Action, labels: dict[str, str], run_spec: Any = None) -> StoredRun:
    """The run whose root action this is."""
    where, status = action.id.run, action.status
    return StoredRun(
        run_id=0,
        name=where.name,
        project=where.project or None,
        domain=where.domain or None,
        org=where.org or None,
        task_name=_what(action.metadata),
        version=action.metadata.task.id.version,
        mode="remote",
        phase=ActionPhase.from_protobuf(status.phase),
        created_at=_time(status.start_time),
        ended_at=_time(status.end_time) if status.HasField("end_time") else None,
        labels=labels,
        owner=_NOBODY,
        lease_until_us=0,
        source_file="",
        settings={} if run_spec is None else {"run_base_dir": run_spec.run_base_dir or None},
        is_interrupted=False,
    )


def near_names(name: str, load: Callable[[], list[str]]) -> str:
    """Names close to one that is not there, as the end of a message; nothing where there are none."""
    from difflib import get_close_matches

    near = get_close_matches(name, load(), n=3)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def _run_names() -> list[str]:
    from flyte.remote import Run

    return [run.name for run in Run.listall(limit=_NEAR_NAMES_OF)]


def _who() -> str:
    from flyte.remote import User

    return User.get().subject()


def _what(metadata: messages.ActionMetadata) -> str:
    """The name of what an action does."""
    match metadata.WhichOneof("spec"):
        case "trace":
            return str(metadata.trace.name)
        case "condition":
            return str(metadata.condition.name)
    return str(metadata.task.id.name)


def _kind_of(details: messages.ActionDetails) -> ActionKind:
    return _KINDS.get(details.metadata.action_type, ActionKind.TASK)


def _error_of(details: messages.ActionDetails) -> ErrorRecord | None:
    if details.HasField("error_info"):
        return _error(details.error_info)
    if details.HasField("abort_info"):
        return ErrorRecord("Aborted", "user", details.abort_info.reason)
    return None


def _error(info: messages.ErrorInfo) -> ErrorRecord:
    message, _, traceback = info.message.partition("\n\nTraceback (most recent call last):\n")
    kind: Any = {messages.ErrorInfo.KIND_USER: "user", messages.ErrorInfo.KIND_SYSTEM: "system"}.get(
        info.kind, "unknown"
    )
    shown = f"Traceback (most recent call last):\n{traceback}" if traceback else None
    return ErrorRecord(info.code, kind, message, traceback=shown)


def _started(details: messages.ActionDetails) -> datetime | None:
    times = [_time(each.start_time) for each in details.attempts if each.HasField("start_time")]
    return max(times, default=None)


def _condition(details: messages.ActionDetails) -> StoredCondition:
    asked, status = details.condition, details.status
    created_at = _time(status.start_time)
    ended_at = _time(status.end_time) if status.HasField("end_time") else None
    answer = None
    if details.HasField("signal_info"):
        primitive = details.signal_info.output.scalar.primitive
        answer = json.dumps(getattr(primitive, primitive.WhichOneof("value") or "string_value"))
    is_markdown = asked.prompt_type == messages.CONDITION_PROMPT_TYPE_MARKDOWN
    return StoredCondition(
        action_id=0,
        action_name=details.id.name,
        name=asked.name,
        prompt=asked.prompt,
        prompt_type="markdown" if is_markdown else "text",
        data_type=_TYPES.get(asked.type.simple, "str"),
        description=asked.description,
        phase=ActionPhase.from_protobuf(status.phase),
        created_at=created_at,
        expires_at=created_at + asked.timeout.ToTimedelta() if asked.HasField("timeout") else None,
        answer=answer,
        answered_at=ended_at if answer is not None else None,
    )


def _time(stamp: Timestamp) -> datetime:
    moment: datetime = stamp.ToDatetime(tzinfo=UTC)
    return moment
