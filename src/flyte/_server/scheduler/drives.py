"""Takes one action from its call through its attempts."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

from flyteidl2.task.common_pb2 import Outputs

from flyte._engine.attempts import Failure, Finish, Retry, after_failure
from flyte._logging import system_logger
from flyte._server.executors.orders import AttemptEnd, AttemptKey, AttemptLostError, AttemptOrder, Executor
from flyte._server.scheduler.admission import Admission, Seat
from flyte._server.scheduler.caching import ResultCache
from flyte._server.scheduler.commits import Commits
from flyte._server.scheduler.ending import Endings, error_column
from flyte._server.scheduler.rules import KnownSpec
from flyte._server.scheduler.states import OpenAction
from flyte._server.scheduler.waiting import Waiting
from flyte._worker.files import write_outputs
from flyte.models import ActionPhase

MOST_LOST = 10
"""So many attempts in a row may be lost by the executor before the action fails."""

QUEUED = ActionPhase.QUEUED.to_protobuf_value()
RUNNING = ActionPhase.RUNNING.to_protobuf_value()
FAILED = ActionPhase.FAILED.to_protobuf_value()
_LOST_WAIT_S = 0.2
_LONGEST_WAIT_S = 100 * 365 * 86_400.0
"""Which is for ever; the store has no room for much more."""
_CHECKPOINT = "_flytecheckpoints"


class Drives:
    """Starts what takes actions through their attempts. Lives on the server's loop."""

    def __init__(
        self,
        executor: Executor,
        admission: Admission,
        commits: Commits,
        cache: ResultCache,
        endings: Endings,
        waiting: Waiting,
    ) -> None:
        self._executor = executor
        self._admission = admission
        self._commits = commits
        self._cache = cache
        self._endings = endings
        self._waiting = waiting
        self._running: set[asyncio.Task[None]] = set()

    def start(self, action: OpenAction, *, is_adopted: bool = False) -> None:
        """It is on its way; `is_adopted` where its attempt runs already, and is to be met."""
        if is_adopted:
            self._cache.go_on(action)
        before = action.drive
        drive = action.drive = asyncio.get_running_loop().create_task(self._drive(action, is_adopted, before))
        self._running.add(drive)
        drive.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """None goes on; their attempts are ended."""
        running = list(self._running)
        for drive in running:
            drive.cancel()
        if running:
            await asyncio.wait(running)

    async def _drive(self, action: OpenAction, is_adopted: bool, before: asyncio.Task[None] | None) -> None:
        try:
            if before is not None:
                # One that was aborted, and is called again: its last attempt is not quite gone.
                await _ended(before)
            await self._attempts(action, is_adopted)
        except asyncio.CancelledError:
            # Whoever cancels it has recorded why.
            raise
        except Exception as error:
            system_logger.exception("action %s of run %s could not be driven", action.name, action.run.name)
            if action.is_open:
                message = f"the control plane failed to run it: {type(error).__name__}: {error}"
                self._endings.fail(action, ActionPhase.FAILED, Failure("SchedulerError", "system", message))
        finally:
            if action.seat is not None:
                action.seat.give_back()
                action.seat = None
            if action.drive is asyncio.current_task():
                action.drive = None

    async def _attempts(self, action: OpenAction, is_adopted: bool) -> None:
        known = action.known
        assert known is not None
        bounds = Bounds(known, action.called_us)
        outputs = None if is_adopted else await self._ask_cache(action, bounds)
        if isinstance(outputs, Failure):
            self._endings.fail(action, ActionPhase.TIMED_OUT, outputs)
            return
        if outputs is not None:
            # The run that made it may be deleted, so this one has a copy of its own.
            await asyncio.to_thread(write_outputs, action.output_uri, Outputs.FromString(outputs))
            self._endings.succeed(action, outputs)
            return
        lost = 0
        while True:
            try:
                end = await self._attempt(action, bounds, is_adopted=is_adopted)
            except AttemptLostError as error:
                lost += 1
                failure = Failure("AttemptLost", "system", str(error))
                if lost >= MOST_LOST:
                    self._endings.fail(action, ActionPhase.FAILED, failure)
                    return
                delay_s = _LOST_WAIT_S * 2 ** (lost - 1)
                self._try_again(action, failure, Retry(action.record.attempt_no + 1, delay_s))
                continue
            finally:
                is_adopted = False
            lost = 0
            if end.failure is None:
                self._recorded(action, self._endings.succeed(action, end.outputs))
                return
            action.tries += 1
            number = action.record.attempt_no
            decision = after_failure(number, end.failure, known.attempts, number - action.tries + 1)
            if isinstance(decision, Finish):
                self._recorded(action, self._endings.fail(action, decision.phase, decision.failure))
                return
            self._try_again(action, end.failure, decision)

    async def _ask_cache(self, action: OpenAction, bounds: Bounds) -> bytes | Failure | None:
        if action.cache_key is None:
            return None
        at_s, code = bounds.of_wait()
        try:
            async with asyncio.timeout_at(at_s) as timeout:
                return await self._cache.ask(action)
        except TimeoutError:
            if not timeout.expired():
                raise
            return bounds.failure(code)

    async def _attempt(self, action: OpenAction, bounds: Bounds, *, is_adopted: bool) -> AttemptEnd:
        """How the next attempt ends, also where that is before it runs.

        Raises:
            AttemptLostError: the executor has lost it.
        """
        at_s, code = bounds.of_wait()
        try:
            async with asyncio.timeout_at(at_s) as timeout:
                if not is_adopted:
                    await _until(action.due_us)
                seat = self._taken_seat(action) if is_adopted else await self._seat(action)
        except TimeoutError:
            if not timeout.expired():
                raise
            return AttemptEnd(failure=bounds.failure(code))
        action.seat = seat
        if action.open_children:
            # Left by the attempt before; this one meets them, and takes its seat back when they have ended.
            seat.lend()
        code = ""
        try:
            async with asyncio.timeout(None) as timeout:

                def started() -> None:
                    nonlocal code
                    self._started(action)
                    at_s, code = bounds.of_run(action.record.started_us)
                    timeout.reschedule(at_s)
                    if action.open_children:
                        self._waiting.hold_back(action)
                    elif is_adopted:
                        # The last of them may have ended without the executor being told.
                        self._executor.set_waiting(action.run.name, action.name, is_waiting=False)

                return await self._executor.run_attempt(self._order(action), started)
        except TimeoutError:
            if not timeout.expired():
                raise
            return AttemptEnd(failure=bounds.failure(code))
        finally:
            seat.give_back()
            action.seat = None
            bounds.wait()

    async def _seat(self, action: OpenAction) -> Seat:
        known, run_spec = action.known, action.run.run_spec
        assert known is not None
        queue = action.target.task.queue or run_spec.queue
        limit = run_spec.max_action_concurrency
        return await self._admission.seat(
            known.request, known.lane_in(action.run.name), action.run.run_id, limit, queue
        )

    def _taken_seat(self, action: OpenAction) -> Seat:
        """A seat for an attempt that runs already, whether or not it fits."""
        known = action.known
        assert known is not None
        seat = Seat(self._admission, known.request, known.lane_in(action.run.name), action.run.run_id)
        seat.take()
        return seat

    def _recorded(self, action: OpenAction, committed: asyncio.Future[None], attempt_no: int | None = None) -> None:
        """Once that is committed, the executor need not know of the attempt any more."""
        key = AttemptKey(action.run.name, action.name, attempt_no or action.record.attempt_no)

        def recorded(committed: asyncio.Future[None]) -> None:
            if not committed.cancelled():
                self._executor.forget(key)

        committed.add_done_callback(recorded)

    def _started(self, action: OpenAction) -> None:
        record = action.record
        if action.is_open and record.phase != RUNNING:
            record.phase = RUNNING
            record.started_us = time.time_ns() // 1000
            self._commits.record(action)

    def _try_again(self, action: OpenAction, failure: Failure, retry: Retry) -> None:
        now_us = time.time_ns() // 1000
        next_attempt(action, error_column(failure), now_us, self._commits)
        action.due_us = now_us + round(min(retry.delay_s, _LONGEST_WAIT_S) * 1_000_000)
        self._recorded(action, self._commits.record(action, served=True), retry.attempt_no - 1)

    def _order(self, action: OpenAction) -> AttemptOrder:
        run, known, number = action.run, action.known, action.record.attempt_no
        assert known is not None
        folder = action.folder
        return AttemptOrder(
            action=action.full_name,
            attempt_no=number,
            spec=known.spec,
            spec_digest=known.digest,
            inputs_uri=action.target.input_uri,
            outputs_path=action.output_uri,
            run_base_dir=run.base_dir,
            raw_data_path=f"{run.raw_data_prefix.rstrip('/')}/{action.name}/{number}",
            checkpoint_path=f"{folder}/{number}/{_CHECKPOINT}",
            prev_checkpoint=f"{folder}/{number - 1}/{_CHECKPOINT}" if number > 1 else None,
            run_started_at=datetime.fromtimestamp(run.started_us / 1_000_000, UTC),
            env_vars={pair.key: pair.value for pair in run.run_spec.envs.values},
        )


class Bounds:
    """How long the attempts of an action may wait and run. Times are those of the loop."""

    def __init__(self, known: KnownSpec, created_us: int) -> None:
        self._known = known
        self._loop = asyncio.get_running_loop()
        self._waits_since_s = self._loop.time()
        since_call_s = time.time() - created_us / 1_000_000
        deadline_s = known.deadline_s
        self._deadline_at_s = None if deadline_s is None else self._loop.time() + deadline_s - since_call_s

    def wait(self) -> None:
        """The next attempt waits from now on."""
        self._waits_since_s = self._loop.time()

    def of_wait(self) -> tuple[float | None, str]:
        """When waiting is over without an attempt, and the code of that."""
        return self._first(self._known.max_queued_s, self._waits_since_s, "QUEUED_TIMEOUT_EXCEEDED")

    def of_run(self, started_us: int | None) -> tuple[float | None, str]:
        """When an attempt that started then is over, and the code of that."""
        ago_s = 0.0 if started_us is None else time.time() - started_us / 1_000_000
        return self._first(self._known.max_runtime_s, self._loop.time() - ago_s, "MAX_RUNTIME_EXCEEDED")

    def failure(self, code: str) -> Failure:
        """What an attempt that reached a bound failed of; nothing but the bound of one attempt allows another."""
        name, known = self._known.name, self._known
        if code == "QUEUED_TIMEOUT_EXCEEDED":
            message = (
                f"task {name!r} was not run: it waited longer than its max_queued_time of {known.max_queued_s:g} s for "
                "room on the machine, or for a result that another call computes."
            )
        else:
            is_deadline = code == "DEADLINE_EXCEEDED"
            bound, bound_s = ("deadline", known.deadline_s) if is_deadline else ("max_runtime", known.max_runtime_s)
            message = f"task {name!r} was stopped: it reached its {bound} of {bound_s:g} s."
        recoverable = code == "MAX_RUNTIME_EXCEEDED"
        return Failure(code, "user", message, recoverable=recoverable, timed_out=True, worker="user")

    def _first(self, bound_s: float | None, since_s: float, code: str) -> tuple[float | None, str]:
        at_s = None if bound_s is None else since_s + bound_s
        deadline_at_s = self._deadline_at_s
        if deadline_at_s is not None and (at_s is None or deadline_at_s < at_s):
            return deadline_at_s, "DEADLINE_EXCEEDED"
        return at_s, code


def next_attempt(action: OpenAction, error: str, now_us: int, commits: Commits) -> None:
    """The attempt is recorded as failed, and the action waits for the next one, which is not recorded yet."""
    record = action.record
    record.phase, record.error, record.ended_us = FAILED, error, now_us
    commits.record_quietly(action)
    record.attempt_no += 1
    record.phase, record.error, record.started_us, record.ended_us = QUEUED, None, None, None
    action.output_uri = f"{action.folder}/{record.attempt_no}"


async def _ended(drive: asyncio.Task[None]) -> None:
    """It has, however often this is cancelled meanwhile."""
    cancelled: asyncio.CancelledError | None = None
    while not drive.done():
        try:
            await asyncio.wait((drive,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def _until(due_us: int | None) -> None:
    if due_us is not None:
        await asyncio.sleep(due_us / 1_000_000 - time.time())
