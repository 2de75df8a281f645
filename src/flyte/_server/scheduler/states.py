"""The open runs as the scheduler holds them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from flyteidl2.task.run_pb2 import RunSpec
from flyteidl2.workflow.run_definition_pb2 import ActionSpec
from flyteidl2.workflow.state_service_pb2 import ActionUpdate

from flyte._server.scheduler.admission import Seat
from flyte._server.scheduler.recovery import Recovered
from flyte._server.scheduler.rules import KnownSpec
from flyte._store.records import ActionKind, ActionRecord
from flyte.models import ActionID, ActionPhase

TERMINAL = frozenset(phase.to_protobuf_value() for phase in ActionPhase if phase.is_terminal)
DONE = frozenset(phase.to_protobuf_value() for phase in (ActionPhase.SUCCEEDED, ActionPhase.RECOVERED))


@dataclass(slots=True, eq=False)
class OpenRun:
    """A run that is not over.

    Attributes:
        is_external: Its root action runs elsewhere.
        started_us: What its tasks are told as its start.
        actions: All of them, by name; those that have ended too.
        recovered: What it takes over from an earlier run, by action name.
        last_sequence_no: Of its actions.
    """

    run_id: int
    name: str
    org: str
    project: str
    domain: str
    run_spec: RunSpec
    base_dir: str
    raw_data_prefix: str
    started_us: int
    is_external: bool
    created_by: str = ""
    actions: dict[str, OpenAction] = field(default_factory=dict)
    recovered: Mapping[str, Recovered] = field(default_factory=dict)
    last_sequence_no: int = 0

    @property
    def root(self) -> OpenAction:
        """Its root action."""
        return next(iter(self.actions.values()))


@dataclass(slots=True, eq=False)
class OpenAction:
    """An action of an open run; it may have ended.

    Attributes:
        target: What was enqueued, without the spec of its task.
        output_uri: Where its last attempt leaves its outputs; of a trace, the file.
        tries: Attempts that count against its retries.
        due_us: The next attempt starts no earlier.
        called_in: The attempt of its parent that called it last; 0 for none that the control plane knows of.
        called_us: When it was.
        open_children: How many of its children are open.
        counts_for_parent: Whether its parent waits for it.
        is_counted: Whether it is one of the open actions, of which there are only so many.
        published: What its parent's watchers were told of it last; None until it is in the store.
        seat: What its running attempt takes of the executor.
        drive: What takes it through its attempts.
        cache_key: Under which its result is kept; None where none is.
    """

    run: OpenRun
    record: ActionRecord
    target: ActionSpec
    known: KnownSpec | None
    parent: OpenAction | None
    output_uri: str = ""
    tries: int = 0
    due_us: int | None = None
    recovered_from: str | None = None
    abort_reason: str | None = None
    aborted_by: str | None = None
    signalled_by: str | None = None
    called_in: int = 0
    called_us: int = 0
    open_children: int = 0
    counts_for_parent: bool = False
    is_counted: bool = False
    is_stored: bool = False
    published: ActionUpdate | None = None
    seat: Seat | None = None
    drive: asyncio.Task[None] | None = None
    cache_key: str | None = None
    children: dict[str, OpenAction] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name in the run."""
        return self.record.name

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.record.phase not in TERMINAL

    @property
    def is_task(self) -> bool:
        """Whether it is the call of a task."""
        return self.record.kind == ActionKind.TASK

    @property
    def is_elsewhere(self) -> bool:
        """Whether it runs where the root of an external run does, and is only told of."""
        return self.run.is_external and self.called_in == 0

    @property
    def folder(self) -> str:
        """Where the run keeps what belongs to it."""
        return f"{self.run.base_dir.rstrip('/')}/{self.name}"

    @property
    def full_name(self) -> ActionID:
        """Its name in the whole of the control plane."""
        run = self.run
        return ActionID(name=self.name, run_name=run.name, project=run.project, domain=run.domain, org=run.org)

    def below(self) -> list[OpenAction]:
        """The actions below it, parents first."""
        found: list[OpenAction] = []
        waiting = list(self.children.values())
        while waiting:
            action = waiting.pop()
            found.append(action)
            waiting.extend(action.children.values())
        return found
