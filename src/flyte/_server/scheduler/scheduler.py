"""What services ask of the scheduler, carried out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.workflow.run_definition_pb2 import ActionSpec
from flyteidl2.workflow.state_service_pb2 import ActionUpdate

from flyte._engine.attempts import Failure
from flyte._engine.names import ROOT_ACTION
from flyte._logging import system_logger
from flyte._server.executors.orders import AttemptKey, Executor
from flyte._server.refusals import InvalidRequestError, NotNowError, RunAbortedError, TooBusyError, UnknownError
from flyte._server.scheduler.admission import Admission
from flyte._server.scheduler.caching import ResultCache
from flyte._server.scheduler.calls import Calls, outcome_of
from flyte._server.scheduler.commits import Commits
from flyte._server.scheduler.conditions import Conditions
from flyte._server.scheduler.creation import create_run
from flyte._server.scheduler.drives import RUNNING, Drives, next_attempt
from flyte._server.scheduler.ending import Endings, error_column
from flyte._server.scheduler.hub import Hub
from flyte._server.scheduler.loading import load_open_runs
from flyte._server.scheduler.reports import Reports
from flyte._server.scheduler.rules import KnownSpecs
from flyte._server.scheduler.states import TERMINAL, OpenAction, OpenRun
from flyte._server.scheduler.updates import ChildWatchers
from flyte._server.scheduler.waiting import Waiting
from flyte._server.scheduling import ChildReport, RunRequest
from flyte._store.aborts import AbortRequest, AbortWatch
from flyte._store.leases import LeaseKeeper
from flyte._store.orphans import delete_specs
from flyte._store.reader import StoreReader
from flyte._store.records import ActionKind
from flyte._store.writer import Writer
from flyte.errors import RunNotFoundError
from flyte.models import ActionID, ActionPhase

MOST_OPEN_ACTIONS = 200_000
"""More than that are not taken in until some have ended."""


class Scheduler:
    """See `flyte._server.scheduling.Scheduling`, which it carries out. Make it on the server's loop.

    Args:
        writer: Of the store.
        executor: Runs attempts.
        priorities: Of queues, by name; the higher goes first, and a queue that is not there has 0.
    """

    def __init__(self, writer: Writer, executor: Executor, priorities: Mapping[str, int] | None = None) -> None:
        self._writer = writer
        self._home = writer.home
        self._executor = executor
        self._runs: dict[str, OpenRun] = {}
        self._specs = KnownSpecs()
        self._hub = Hub()
        self._watchers = ChildWatchers()
        self._commits = Commits(writer, self._published)
        self._cache = ResultCache(self._home, self._commits)
        self._waiting = Waiting(executor)
        self._endings = Endings(self._home, self._commits, self._cache, self._waiting, self._run_ended)
        self._admission = Admission(lambda: executor.capacity, priorities)
        self._drives = Drives(executor, self._admission, self._commits, self._cache, self._endings, self._waiting)
        self._conditions = Conditions(self._home, self._commits, self._endings)
        self._calls = Calls(
            self._home, self._specs, self._commits, self._endings, self._conditions, self._drives, self._count
        )
        self._reports = Reports(self._commits, self._endings, self._count)
        self._leases = LeaseKeeper(writer)
        self._aborts = AbortWatch(writer)
        self._loop = asyncio.get_running_loop()
        self._open_actions = 0
        self._making: set[asyncio.Future[None]] = set()
        self._asking: list[asyncio.Task[None]] = []

    @property
    def error(self) -> str | None:
        """Why nothing can be recorded at the moment; None while all is well."""
        return None if self._commits.error is None else str(self._commits.error)

    @property
    def open_runs(self) -> int:
        """How many runs are not over."""
        return len(self._runs)

    def counts(self) -> dict[str, int]:
        """How many open actions there are in each phase."""
        counts: dict[str, int] = {}
        for run in self._runs.values():
            for action in run.actions.values():
                if action.is_open:
                    phase = ActionPhase.from_protobuf(action.record.phase).value
                    counts[phase] = counts.get(phase, 0) + 1
        return counts

    @property
    def running_attempts(self) -> int:
        """How many attempts have a seat at the executor."""
        return self._admission.held

    @property
    def streams(self) -> int:
        """How many streams tell of changes."""
        return self._hub.watchers + self._watchers.streams

    async def start(self) -> None:
        """The runs that an earlier server left open go on.

        Attempts that still run are met; those that are lost are followed by others.
        """
        await self._executor.start()
        loaded = await asyncio.to_thread(load_open_runs, self._home, self._specs)
        ours: list[OpenRun] = []
        for run, claim in loaded:
            if await self._commits.change(claim):
                ours.append(run)
            else:
                system_logger.error("run %s belongs to another process now, and is left to it", run.name)
        # At one go: who computes a result is to reserve it before another looks for it.
        adopted: set[AttemptKey] = set()
        for run in ours:
            self._keep(run)
            for action in run.actions.values():
                if self._go_on(action):
                    adopted.add(_last_attempt(action))
            if not run.root.is_open:
                self._endings.finish(run)
        self._executor.keep_known(adopted)
        asking, self._asking = self._asking, []
        await asyncio.gather(*asking)

    async def delete_orphaned_specs(self, orphans: Callable[[], Awaitable[Sequence[bytes]]]) -> int:
        """Specs of tasks that nothing in the store has any more are gone from it; how many that were.

        Args:
            orphans: Finds them in the store. What is wanted again while it looks, stays.
        """
        with self._specs.noting() as wanted:
            digests = await orphans()
            unwanted = [each for each in digests if each not in wanted]
            count = await self._commits.change(delete_specs(unwanted)) if unwanted else 0
        return count if isinstance(count, int) else 0

    async def close(self) -> None:
        """Nothing goes on; what is open stays so in the store, for the next server."""
        await self._drives.close()
        self._conditions.close()
        await self._commits.close()
        self._cache.close()
        for run in self._runs.values():
            self._aborts.let_go(run.run_id)
            self._leases.give_up(run.run_id)
        await asyncio.to_thread(self._leases.record_given_up)

    async def create_run(self, request: RunRequest) -> str:
        """See `Scheduling`."""
        made = self._loop.create_future()
        self._making.add(made)
        try:
            run = await create_run(self._home, self._commits, self._specs, request)
            self._keep(run)
        finally:
            self._making.discard(made)
            made.set_result(None)
        root = run.root
        self._count(root)
        self._commits.tell(root)
        if not run.is_external:
            self._drives.start(root)
        return run.name

    async def enqueue(self, target: ActionSpec) -> None:
        """See `Scheduling`."""
        identifier = target.action_id
        run = await self._open_run(identifier.run.name)
        trace = await asyncio.to_thread(outcome_of, target, run.base_dir) if target.HasField("trace") else None
        parent = run.actions.get(target.parent_action_name or ROOT_ACTION)
        if parent is None:
            raise UnknownError(f"run {run.name!r} has no action {target.parent_action_name!r} that could call another.")
        if not parent.is_open:
            raise RunAbortedError(f"action {parent.name!r} of run {run.name!r} has ended, and calls nothing any more.")
        known_as = run.actions.get(identifier.name)
        if known_as is None:
            if self._open_actions >= MOST_OPEN_ACTIONS:
                raise TooBusyError(f"{self._open_actions:,} actions wait already; try again later.")
            await self._calls.add(run, parent, target, trace)
        elif known_as.parent is not parent:
            raise InvalidRequestError(
                f"run {run.name!r} has an action {identifier.name!r}, which {parent.name!r} did not call."
            )
        else:
            await self._calls.again(known_as, target, trace)

    def watch_children(self, run_name: str, parent_name: str) -> AsyncIterator[ActionUpdate | None]:
        """See `Scheduling`."""
        return self._watch_children(run_name, parent_name)

    async def abort_run(self, run_name: str, reason: str, aborted_by: str = "") -> None:
        """See `Scheduling`."""
        run = await self._find_open(run_name)
        if run is not None:
            await self._abort(run.root, reason, aborted_by)

    async def abort_action(self, run_name: str, action_name: str, reason: str, aborted_by: str = "") -> None:
        """See `Scheduling`."""
        run = await self._find_open(run_name)
        if run is None:
            await self._require_action(run_name, action_name)
            return
        action = run.actions.get(action_name)
        if action is None:
            raise UnknownError(f"run {run_name!r} has no action {action_name!r}.")
        await self._abort(action, reason, aborted_by)

    async def signal(self, run_name: str, action_name: str, value: Literal, signalled_by: str = "") -> None:
        """See `Scheduling`."""
        run = await self._find_open(run_name)
        if run is None:
            await self._require_action(run_name, action_name)
            raise NotNowError(f"run {run_name!r} is over: nothing waits for an answer.")
        action = run.actions.get(action_name)
        if action is None or action.record.kind != ActionKind.CONDITION:
            raise UnknownError(f"run {run_name!r} has no condition {action_name!r}.")
        await self._conditions.answer(action, value, signalled_by)

    async def report_root(
        self, run_name: str, phase: int, outputs_uri: str = "", error: str = "", code: str = ""
    ) -> None:
        """See `Scheduling`."""
        run = await self._find_open(run_name)
        if run is None:
            await self._require_action(run_name, ROOT_ACTION)
            return
        if not run.is_external:
            raise NotNowError(f"run {run_name!r} is run by the control plane, which knows itself what comes of it.")
        if phase in TERMINAL:
            report = ChildReport(
                target=run.root.target,
                phase=phase,
                attempt_no=1,
                at_us=0,
                outputs_uri=outputs_uri,
                error=error,
                code=code,
            )
            await self._reports.end(run.root, report)

    async def report_child(self, run_name: str, report: ChildReport) -> None:
        """See `Scheduling`."""
        run = await self._find_open(run_name)
        if run is None:
            await self._require_action(run_name, ROOT_ACTION)
            return
        target = report.target
        action = run.actions.get(target.action_id.name)
        if not run.is_external or (action is not None and not action.is_elsewhere):
            raise NotNowError(
                f"action {target.action_id.name!r} of run {run_name!r} is run by the control plane, which knows itself "
                "what comes of it."
            )
        if action is not None:
            await self._reports.go_on(action, report)
            return
        parent = run.actions.get(target.parent_action_name or ROOT_ACTION)
        if parent is None:
            raise UnknownError(f"run {run_name!r} has no action {target.parent_action_name!r} that could call another.")
        if parent.is_open:
            await self._reports.begin(self._calls.new_action(run, parent, target, runs_here=False), report)

    def changes(self, run_name: str, action_name: str | None = None) -> AsyncIterator[None]:
        """See `Scheduling`."""
        return self._hub.changes(run_name, action_name)

    def run_changes(self) -> AsyncIterator[None]:
        """See `Scheduling`."""
        return self._hub.run_changes()

    def action_of(self, run_name: str, action_name: str) -> ActionID:
        """See `Scheduling`."""
        run = self._runs.get(run_name)
        if run is None or action_name not in run.actions:
            raise UnknownError(f"no open run {run_name!r} has an action {action_name!r}.")
        return run.actions[action_name].full_name

    async def _abort(self, action: OpenAction, reason: str, aborted_by: str) -> None:
        if not action.is_open:
            # Who asked first may not have been told yet.
            await self._commits.caught_up()
        await asyncio.shield(self._endings.abort(action, reason, aborted_by))

    async def _watch_children(self, run_name: str, parent_name: str) -> AsyncIterator[ActionUpdate | None]:
        run = await self._find_open(run_name)
        if run is None:
            await self._require_action(run_name, parent_name)
            yield None
            return
        parent = run.actions.get(parent_name)
        if parent is None:
            raise UnknownError(f"run {run_name!r} has no action {parent_name!r}.")
        await self._calls.recover_traces(run, parent)
        async for update in self._watchers.watch(parent):
            yield update

    def _count(self, action: OpenAction) -> None:
        """It is open, and its parent waits for it, unless it has ended where it ran."""
        if not action.is_counted:
            action.is_counted = True
            self._open_actions += 1
        if action.record.kind != ActionKind.TRACE:
            self._waiting.called(action)

    def _keep(self, run: OpenRun) -> None:
        self._runs[run.name] = run
        self._leases.keep(run.run_id)

        def heard(request: AbortRequest) -> None:
            self._loop.call_soon_threadsafe(self._asked_to_abort, run, request)

        self._aborts.listen(run.run_id, heard)

    def _asked_to_abort(self, run: OpenRun, request: AbortRequest) -> None:
        action = run.actions.get(request.action_name)
        if action is not None:
            self._endings.abort(action, request.reason, "")

    def _go_on(self, action: OpenAction) -> bool:
        """An action as the store has it goes on; whether it does so with an attempt that still runs."""
        self._commits.tell(action)
        if not action.is_open:
            return False
        self._count(action)
        parent = action.parent
        if parent is not None and not parent.is_open:
            self._endings.abort(action, "the action that called it has ended", "")
        elif action.record.kind == ActionKind.CONDITION:
            self._asking.append(self._loop.create_task(self._ask_again(action)))
        elif action.is_task and not action.is_elsewhere:
            if self._executor.knows(_last_attempt(action)):
                self._drives.start(action, is_adopted=True)
                return True
            if action.record.phase == RUNNING:
                message = "the control plane was restarted while it ran."
                now_us = time.time_ns() // 1000
                next_attempt(action, error_column(Failure("AttemptLost", "system", message)), now_us, self._commits)
                self._commits.record(action, served=True)
            if action.due_us is not None and action.known is not None:
                # A clock that was set back must not make it wait for longer than it ever would.
                longest_s = action.known.attempts.backoff.delay_s(max(action.tries, 1))
                action.due_us = round(min(action.due_us, time.time_ns() / 1000 + longest_s * 1_000_000))
            self._drives.start(action)
        return False

    async def _ask_again(self, action: OpenAction) -> None:
        if action.is_open:
            await self._conditions.ask(action, goes_on=True)

    def _published(self, action: OpenAction, update: ActionUpdate) -> None:
        """That state of the action is in the store."""
        action.published = update
        # One that has ended may be called again by now.
        is_over = update.phase in TERMINAL and not action.is_open
        if action.parent is not None:
            self._watchers.tell(action)
        if is_over:
            if action.is_counted:
                action.is_counted = False
                self._open_actions -= 1
            if action.record.kind == ActionKind.CONDITION:
                self._conditions.let_go(action)
            self._watchers.ended(action)
        self._hub.action_changed(action.run.name, action.name)
        if action.parent is None:
            self._hub.run_changed()

    def _run_ended(self, run: OpenRun) -> None:
        self._runs.pop(run.name, None)
        for digest in {action.known.digest for action in run.actions.values() if action.known is not None}:
            self._executor.release(digest)
        self._leases.let_go(run.run_id)
        self._aborts.let_go(run.run_id)

    async def _open_run(self, name: str) -> OpenRun:
        """The run, which is open.

        Raises:
            UnknownError: there is none.
            RunAbortedError: it is over.
        """
        run = await self._find_open(name)
        if run is None:
            raise RunAbortedError(f"run {name!r} is over.")
        return run

    async def _find_open(self, name: str) -> OpenRun | None:
        """The run if it is open; None if it is over.

        Raises:
            UnknownError: there is none.
        """
        run = self._runs.get(name)
        if run is None:
            # It may be about to begin, or its end on its way into the store.
            await self._commits.caught_up()
            is_over = await asyncio.to_thread(partial(_is_over, self._home, name))
            if not is_over and self._making:
                await asyncio.wait(set(self._making))
            run = self._runs.get(name)
        return run

    async def _require_action(self, run_name: str, action_name: str) -> None:
        def look() -> None:
            with StoreReader(self._home) as reader:
                try:
                    reader.load_action(reader.load_run(run_name), action_name)
                except RunNotFoundError:
                    raise UnknownError(f"run {run_name!r} has no action {action_name!r}.") from None

        await asyncio.to_thread(look)


def _last_attempt(action: OpenAction) -> AttemptKey:
    return AttemptKey(action.run.name, action.name, action.record.attempt_no)


def _is_over(home: Path, name: str) -> bool:
    """Whether the run is, as the store has it.

    Raises:
        UnknownError: there is none.
    """
    with StoreReader(home) as reader:
        try:
            return reader.load_run(name).phase.is_terminal
        except RunNotFoundError:
            raise UnknownError(f"there is no run {name!r}.") from None
