"""The attempts at an action as the protocol shows them."""

from __future__ import annotations

from dataclasses import dataclass

from flyteidl2.core.execution_pb2 import ContainerContext, LogContext, PodLogContext, TaskLog
from flyteidl2.task.common_pb2 import OutputReferences
from flyteidl2.workflow import run_definition_pb2 as messages
from google.protobuf.timestamp_pb2 import Timestamp

from flyte._store.records import ErrorRecord, StoredAttempt
from flyte.models import ActionPhase

CLUSTER = "local"
"""What the machine of the server is called where a cluster has a name."""

CONTAINER = "main"

_ERROR_KINDS = {
    "user": messages.ErrorInfo.KIND_USER,
    "system": messages.ErrorInfo.KIND_SYSTEM,
    "unknown": messages.ErrorInfo.KIND_UNSPECIFIED,
}


def error_info(error: ErrorRecord) -> messages.ErrorInfo:
    """Why something failed."""
    kind = _ERROR_KINDS.get(error.kind, messages.ErrorInfo.KIND_UNSPECIFIED)
    return messages.ErrorInfo(message=error.message, kind=kind, code=error.code)


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One attempt, and what is said about it beside its row.

    Attributes:
        queued_us: When it could have started: the action was made, or the attempt before it ended.
        outputs: Where it leaves its outputs; empty where they are in the store alone.
        has_report: Whether its task makes one.
        links: Of its logs, filled in.
    """

    attempt: StoredAttempt
    phase: ActionPhase
    queued_us: int
    outputs: str
    has_report: bool
    links: list[TaskLog]
    cache_status: int
    pod_name: str

    def message(self) -> messages.ActionAttempt:
        """The attempt."""
        attempt = self.attempt
        shown = messages.ActionAttempt(
            phase=self.phase.to_protobuf_value(),
            start_time=_time(attempt.started_at.timestamp() if attempt.started_at else self.queued_us / 1e6),
            attempt=attempt.attempt_no,
            log_info=self.links,
            logs_available=attempt.started_at is not None,
            cache_status=self.cache_status,
            cluster_events=self.events(),
            phase_transitions=self._transitions(),
            cluster=CLUSTER,
        )
        if attempt.ended_at is not None:
            shown.end_time.FromDatetime(attempt.ended_at)
        if attempt.error is not None and self.phase is not ActionPhase.ABORTED:
            shown.error_info.CopyFrom(error_info(attempt.error))
        if self.outputs:
            report = f"{self.outputs}/report.html" if self.has_report else ""
            shown.outputs.CopyFrom(OutputReferences(output_uri=self.outputs, report_uri=report))
        if attempt.started_at is not None:
            shown.log_context.CopyFrom(self.log_context())
        return shown

    def log_context(self) -> LogContext:
        """Where its lines come from, in the words of a cluster: its process is the one container of the one pod."""
        process = ContainerContext.ProcessContext()
        if self.attempt.started_at is not None:
            process.container_start_time.FromDatetime(self.attempt.started_at)
        if self.attempt.ended_at is not None:
            process.container_end_time.FromDatetime(self.attempt.ended_at)
        container = ContainerContext(container_name=CONTAINER, process=process)
        pod = PodLogContext(
            pod_name=self.pod_name, containers=[container], primary_container_name=CONTAINER, namespace=CLUSTER
        )
        return LogContext(pods=[pod], primary_pod_name=self.pod_name)

    def events(self) -> list[messages.ClusterEvent]:
        """What happened to it, oldest first."""
        attempt, normal = self.attempt, messages.ClusterEvent.TYPE_NORMAL
        events = [self._event(_time(self.queued_us / 1e6), "Queued", "the attempt waits for its turn", normal)]
        if attempt.started_at is not None:
            at = _time(attempt.started_at.timestamp())
            events.append(self._event(at, "Started", "the process of the attempt has started", normal))
        if attempt.ended_at is not None:
            kind = normal if attempt.error is None else messages.ClusterEvent.TYPE_WARNING
            text = f"the attempt is {self.phase.value}" if attempt.error is None else attempt.error.message
            at = _time(attempt.ended_at.timestamp())
            events.append(self._event(at, self.phase.value.title().replace("_", ""), text, kind))
        return events

    def _event(self, at: Timestamp, reason: str, message: str, kind: int) -> messages.ClusterEvent:
        return messages.ClusterEvent(
            occurred_at=at, message=message, type=kind, reason=reason, source_component="flyte", count=1
        )

    def _transitions(self) -> list[messages.PhaseTransition]:
        attempt = self.attempt
        queued = messages.PhaseTransition(phase=ActionPhase.QUEUED.to_protobuf_value())
        queued.start_time.CopyFrom(_time(self.queued_us / 1e6))
        transitions = [queued]
        if attempt.started_at is not None:
            queued.end_time.FromDatetime(attempt.started_at)
            running = messages.PhaseTransition(phase=ActionPhase.RUNNING.to_protobuf_value())
            running.start_time.FromDatetime(attempt.started_at)
            transitions.append(running)
        if self.phase.is_terminal or self.phase is ActionPhase.PAUSED:
            last = messages.PhaseTransition(phase=self.phase.to_protobuf_value())
            if attempt.ended_at is not None:
                transitions[-1].end_time.FromDatetime(attempt.ended_at)
                last.start_time.FromDatetime(attempt.ended_at)
                last.end_time.FromDatetime(attempt.ended_at)
            else:
                last.start_time.CopyFrom(transitions[-1].start_time)
            transitions.append(last)
        return transitions


def _time(seconds: float) -> Timestamp:
    microseconds = round(seconds * 1_000_000)
    return Timestamp(seconds=microseconds // 1_000_000, nanos=microseconds % 1_000_000 * 1000)
