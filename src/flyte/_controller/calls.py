"""One call of a task, and one attempt at it, while they go on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from flyteidl2.task.common_pb2 import Inputs

from flyte._context import ActionScope
from flyte._controller.open_calls import Abort
from flyte._controller.progress import TaskProgress
from flyte._store.records import ActionRecord
from flyte.models import GroupData
from flyte.report import Report

if TYPE_CHECKING:
    from flyte._authoring.function_task import AsyncFunctionTaskTemplate
    from flyte._controller.output import AttemptOutput
    from flyte._controller.queue_limits import QueueLimit

Task: TypeAlias = "AsyncFunctionTaskTemplate[Any, Any, Any]"


@dataclass(slots=True, eq=False)
class Call:
    """One action from its call to its outcome.

    Attributes:
        scope: The caller's; None for the root.
        may_replay: Its children may have been called before: by an earlier attempt of it or of one above it, or before
            the run was resumed.
        loop_task: The asyncio task it runs in, often its caller's.
        inputs_hash: Hash of all inputs, where it is known already.
        abort: Set when it is being ended from outside.
        queue_limit: How long its attempts may wait until they run; None where that has no bound.
    """

    task: Task
    inputs: Inputs
    record: ActionRecord
    progress: TaskProgress
    scope: ActionScope | None
    may_replay: bool
    loop_task: asyncio.Task[Any] | None
    inputs_hash: str | None = None
    abort: Abort | None = None
    queue_limit: QueueLimit | None = None


@dataclass(slots=True, eq=False)
class Attempt:
    """A running attempt, or a running trace, as `ActionScope.attempt` holds it.

    Attributes:
        task: The task whose code runs.
        group: The group the action was called in.
        loop_task: The asyncio task its body runs in.
        others: Further asyncio tasks that are inside a call made by this attempt.
        new_calls: Its calls that a resumed run has no record of.
        caller: The attempt that called the task; None for the root.
        trace_of: Name of the task's action, when this is a trace inside it.
        around: The attempt at that action.
        output: What it has printed; None until it prints.
    """

    task: Task
    record: ActionRecord
    progress: TaskProgress
    group: GroupData | None
    loop_task: asyncio.Task[Any] | None
    may_replay: bool
    caller: Attempt | None = None
    attempt_no: int = 0
    trace_of: str | None = None
    around: Attempt | None = None
    others: set[asyncio.Task[Any]] = field(default_factory=set)
    new_calls: list[ActionRecord] = field(default_factory=list)
    is_over: bool = False
    data: dict[str, Any] = field(default_factory=dict)
    output: AttemptOutput | None = None
    _report: Report | None = None

    @property
    def report(self) -> Report:
        """The one report of the attempt, whichever block of it writes."""
        if self._report is None:
            self._report = Report(self.record.name)
        return self._report

    def version(self) -> str:
        """The version of the task that the cache knows; empty without a cache."""
        return self.task.cache_version

    def inside_trace(self, record: ActionRecord, progress: TaskProgress) -> Attempt:
        """This attempt as the code of a trace sees it: the same task, data and report, another action."""
        return Attempt(
            task=self.task,
            record=record,
            progress=progress,
            group=self.group,
            loop_task=self.loop_task,
            may_replay=self.may_replay,
            trace_of=self.trace_of or self.record.name,
            around=self.around or self,
            data=self.data,
            _report=self.report,
        )
