"""What services ask of the scheduler."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.task.run_pb2 import RunSpec
from flyteidl2.task.task_definition_pb2 import TaskIdentifier, TaskSpec
from flyteidl2.workflow.run_definition_pb2 import ActionSpec
from flyteidl2.workflow.state_service_pb2 import ActionUpdate

from flyte.models import ActionID


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A run that is asked for.

    Attributes:
        project: Where it belongs, with `domain` and `org`; checked to be there by whoever asks.
        name: Its name; None for a fresh one.
        task_id: The task that it runs, with its version.
        spec: Of that task.
        inputs_uri: Address of its `Inputs`.
        inputs_hash: Their hash; empty where nobody computed one.
        run_spec: How it is run.
        source: `workflow.RunSource`.
        created_by: Subject of who asks.
        trigger_name: The trigger that asks.
        started_at: What the run is told as its start; None for now.
        is_external: The root action runs in the process of whoever asks, who reports what comes of it; only its
            children run here.
    """

    org: str
    project: str
    domain: str
    name: str | None
    task_id: TaskIdentifier
    spec: TaskSpec
    inputs_uri: str
    inputs_hash: str = ""
    run_spec: RunSpec
    source: int = 0
    created_by: str = ""
    trigger_name: str | None = None
    started_at: datetime | None = None
    is_external: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildReport:
    """What is told of an action below the root of an external run that ran where the root does.

    Attributes:
        target: The action; what it is counts when it is told of for the first time.
        phase: `common.ActionPhase`.
        attempt_no: Of which attempt; from 1.
        at_us: When that was so, in microseconds since 1970.
        outputs_uri: Address of its outputs; empty for none.
        error: Why it failed.
        code: Of that failure.
    """

    target: ActionSpec
    phase: int
    attempt_no: int
    at_us: int
    outputs_uri: str = ""
    error: str = ""
    code: str = ""


class Scheduling(Protocol):
    """The scheduler. Lives on the event loop of the server; what it has done is in the store when it says so.

    Run names are unique in a store, so `run_name` and `action_name` say which action is meant.
    """

    async def create_run(self, request: RunRequest) -> str:
        """The name of the run that is there now, with its root action.

        Raises:
            AlreadyThereError: there is a run of that name.
            InvalidRequestError: it cannot be run.
        """
        ...

    async def enqueue(self, target: ActionSpec) -> None:
        """The action is there: one that was waits or goes on, or has ended.

        Traces that have ended are recorded, conditions are asked, tasks are queued.

        Raises:
            UnknownError: there is no such run, or no such parent in it.
            RunAbortedError: the run is over.
            InvalidRequestError: it is no action that could run.
            TooBusyError: too many wait.
        """
        ...

    def watch_children(self, run_name: str, parent_name: str) -> AsyncIterator[ActionUpdate | None]:
        """The state of each child of an action, then None, then each change, until the parent has ended.

        Raises:
            UnknownError: there is no such run or action.
        """
        ...

    async def abort_run(self, run_name: str, reason: str, aborted_by: str = "") -> None:
        """The run and all its actions are recorded as aborted, and their processes killed; no-op when it is over.

        Raises:
            UnknownError: there is no such run.
        """
        ...

    async def abort_action(self, run_name: str, action_name: str, reason: str, aborted_by: str = "") -> None:
        """The same for an action and those below it; that of the root is that of the run.

        Raises:
            UnknownError: there is no such action.
        """
        ...

    async def signal(self, run_name: str, action_name: str, value: Literal, signalled_by: str = "") -> None:
        """The condition has its answer.

        Raises:
            UnknownError: there is no such condition.
            InvalidRequestError: it asks for another type.
            NotNowError: it has an answer, or has ended.
        """
        ...

    async def report_root(
        self, run_name: str, phase: int, outputs_uri: str = "", error: str = "", code: str = ""
    ) -> None:
        """The root action of an external run is in that phase.

        Raises:
            UnknownError: there is no such run.
            NotNowError: its root runs here.
        """
        ...

    async def report_child(self, run_name: str, report: ChildReport) -> None:
        """An action that runs elsewhere, below the root of an external run, is in that phase; it is there from then on.

        No-op when the run is over, or more is known of the action.

        Raises:
            UnknownError: there is no such run, or no such parent in it.
            NotNowError: the action runs here.
            InvalidRequestError: it is no action.
        """
        ...

    def changes(self, run_name: str, action_name: str | None = None) -> AsyncIterator[None]:
        """An item at once, and one after each commit that changed the action, or anything of the run.

        Changes that come while nobody asks for the next item are one item. It never ends by itself.
        """
        ...

    def run_changes(self) -> AsyncIterator[None]:
        """The same for any change of any run's own state: made, started, ended."""
        ...

    def action_of(self, run_name: str, action_name: str) -> ActionID:
        """Its full name.

        Raises:
            UnknownError: it is not one that this server knows as open.
        """
        ...
