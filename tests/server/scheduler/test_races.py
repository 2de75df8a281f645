"""What comes at one moment, twice, or while the store takes nothing; what a server that was killed has left."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from flyteidl2.common.phase_pb2 import ACTION_PHASE_FAILED
from flyteidl2.common.run_pb2 import RELATION_TYPE_RECOVER
from flyteidl2.core.literals_pb2 import RetryStrategy
from flyteidl2.core.tasks_pb2 import ReusePolicy
from flyteidl2.task.run_pb2 import RunSpec
from google.protobuf.duration_pb2 import Duration

from flyte._controller.error_documents import error_document
from flyte._engine.attempts import Failure
from flyte._server.executors.orders import AttemptEnd, AttemptOrder
from flyte._server.refusals import InvalidRequestError, RunAbortedError
from flyte._store.cache import reserve
from flyte._store.database import DATABASE_FILE, connect
from flyte._store.writer import Change, end_run, in_order
from flyte.models import ActionPhase
from tests.server.scheduler.scripted import (
    Plane,
    ScriptedExecutor,
    eventually,
    fails,
    plane,
    reused,
    spec,
)
from tests.server.scheduler.test_scheduler import SurvivingExecutor, condition, number, retried

CACHED = spec("env.cached", discoverable=True, discovery_version="1", cache_serializable=True)


class Blocked:
    """The store takes nothing until it is let."""

    def __init__(self, p: Plane) -> None:
        self.is_full = True
        self.was_asked = False
        p.scheduler._commits.beside(self._change)

    def _change(self, connection: sqlite3.Connection) -> None:
        self.was_asked = True
        if self.is_full:
            raise sqlite3.OperationalError("database or disk is full")

    async def holds(self) -> None:
        await eventually(lambda: self.was_asked or None)


def in_store(home: Path, sql: str) -> None:
    connection = connect(home / DATABASE_FILE)
    connection.execute(sql)
    connection.close()


async def still_waits(asked: asyncio.Task[None]) -> bool:
    return not (await asyncio.wait((asked,), timeout=0.05))[0]


async def test_call_that_is_asked_for_again_is_answered_when_it_is_recorded(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        full = Blocked(p)
        await full.holds()
        asked = [asyncio.create_task(p.call("c1")) for _ in range(2)]
        assert await still_waits(asked[1])
        full.is_full = False
        await asyncio.gather(*asked)
        assert not p.phase("c1").is_terminal


async def test_abort_that_is_asked_for_again_is_answered_when_it_is_recorded(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        await p.call("c1")
        full = Blocked(p)
        await full.holds()
        first = [asyncio.create_task(p.scheduler.abort_action("r", "c1", "")) for _ in range(2)]
        assert await still_waits(first[1])
        both = [asyncio.create_task(p.scheduler.abort_run("r", "")) for _ in range(2)]
        assert await still_waits(both[1])
        full.is_full = False
        await asyncio.gather(*first, *both)
        assert p.stored()[0].phase is ActionPhase.ABORTED


async def test_nobody_is_told_that_a_run_is_over_before_it_is_recorded(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        root = await p.executor.attempt("a0")
        full = Blocked(p)
        await full.holds()
        root.end()
        await eventually(lambda: True if p.scheduler.open_runs == 0 else None)
        call = asyncio.create_task(p.call("c1"))
        assert await still_waits(call)
        full.is_full = False
        with pytest.raises(RunAbortedError):
            await call
        assert p.stored()[0].phase is ActionPhase.SUCCEEDED


async def test_run_that_is_aborted_while_it_is_made_is_aborted(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        made = p.scheduler._commits.change

        async def slow(change: Change) -> object:
            result = await made(change)
            if isinstance(result, int):
                # The run is in the store, and its maker has not heard of that.
                aborts.append(asyncio.create_task(p.scheduler.abort_run("r", "at once")))
                await asyncio.sleep(0.05)
            return result

        aborts: list[asyncio.Task[None]] = []
        p.scheduler._commits.change = slow  # type: ignore[method-assign]
        await p.run()
        await asyncio.gather(*aborts)
        assert p.phase("a0") is ActionPhase.ABORTED


async def test_run_whose_root_has_ended_ends_with_the_next_server(tmp_path: Path) -> None:
    async with plane(tmp_path) as first:
        await first.run()
        root = await first.executor.attempt("a0")
        for each in ("c1", "c2"):
            await first.call(each)
        root.end()
        await first.until("a0", ActionPhase.SUCCEEDED)
    # As where the server is killed between two of the commits that a large run ends with.
    in_store(tmp_path, "UPDATE run SET phase = 4, ended_us = NULL")
    in_store(tmp_path, "UPDATE action SET phase = 4, ended_us = NULL WHERE name = 'c2'")
    async with plane(tmp_path) as second:
        await second.until("c2", ActionPhase.ABORTED)
        await eventually(lambda: True if second.stored()[0].phase is ActionPhase.SUCCEEDED else None)
        assert second.scheduler.open_runs == 0
        assert second.executor.attempts == []


async def test_abort_of_a_large_run_is_answered_when_all_of_it_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*asked: int) -> Change:
        time.sleep(0.1)  # The store takes what was recorded before.
        return in_order(lambda _: time.sleep(0.2), end_run(*asked))

    monkeypatch.setattr("flyte._server.scheduler.ending.end_run", slow)
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        # With the root as many as go into one commit.
        await asyncio.gather(*(p.call(f"c{each}") for each in range(511)))
        await p.scheduler.abort_run("r", "enough")
        run, actions = p.stored()
        assert run.phase is ActionPhase.ABORTED
        assert {action.phase for action in actions.values()} == {ActionPhase.ABORTED}


async def test_run_takes_over_from_another_also_after_the_server_was_started_again(tmp_path: Path) -> None:
    run_spec = RunSpec()
    run_spec.relation.relation_type = RELATION_TYPE_RECOVER
    run_spec.relation.related_to.name = "old"
    async with plane(tmp_path) as first:
        await first.run(name="old")
        root = await first.executor.attempt("a0")
        await first.call("c1", run="old")
        (await first.executor.attempt("c1")).end()
        await first.until("c1", ActionPhase.SUCCEEDED, "old")
        root.end(fails())
        await first.until("a0", ActionPhase.FAILED, "old")
        await first.run(name="new", run_spec=run_spec)
    async with plane(tmp_path) as second:
        await second.call("c1", run="new")
        await second.until("c1", ActionPhase.RECOVERED, "new")


async def test_clock_that_was_set_back_holds_no_retry_up(tmp_path: Path) -> None:
    task = spec("env.child", retries=RetryStrategy(retries=2))
    async with plane(tmp_path) as first:
        await first.run()
        await first.executor.attempt("a0")
        await first.call("c1", task)
        (await first.executor.attempt("c1")).end(fails())
        await eventually(lambda: True if first.stored()[1]["c1"].attempt_no == 2 else None)
    in_store(tmp_path, "UPDATE served_action SET due_us = due_us + 3600000000 WHERE due_us IS NOT NULL")
    async with plane(tmp_path) as second:
        await second.executor.attempt("c1", 2)


@pytest.mark.parametrize("factor", [1.0, 1e300])
async def test_retry_that_waits_for_ever_keeps_nothing_else_back(tmp_path: Path, factor: float) -> None:
    task = spec("env.child", retries=RetryStrategy(retries=5))
    task.task_template.metadata.retries.backoff.base.seconds = 10**13
    task.task_template.metadata.retries.backoff.factor = factor
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        await p.call("c1", task)
        (await p.executor.attempt("c1")).end(fails())
        await eventually(lambda: True if p.stored()[1]["c1"].attempt_no == 2 else None)
        await p.scheduler.abort_run("r", "it waits")
        assert p.phase("c1") is ActionPhase.ABORTED


async def test_condition_that_waits_for_no_time_that_there_is_is_refused(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        with pytest.raises(InvalidRequestError, match="timeout"):
            await condition(p, timeout=Duration(seconds=10**13))
        assert p.scheduler._open_actions == 1


class SlowToDie(ScriptedExecutor):
    """Its attempts take until `may_die` to be gone."""

    def __init__(self) -> None:
        super().__init__()
        self.may_die = asyncio.Event()
        self.told: list[tuple[str, bool]] = []

    async def run_attempt(self, order: AttemptOrder, started: Callable[[], None]) -> AttemptEnd:
        try:
            return await super().run_attempt(order, started)
        except asyncio.CancelledError:
            await self.may_die.wait()
            raise

    def set_waiting(self, run_name: str, action_name: str, *, is_waiting: bool) -> None:
        self.told.append((action_name, is_waiting))


async def test_next_attempt_of_an_aborted_action_waits_until_the_last_is_gone(tmp_path: Path) -> None:
    executor = SlowToDie()
    async with plane(tmp_path, executor) as p:
        await p.run(retried("env.root"))
        root = await executor.attempt("a0")
        await p.call("c1")
        await executor.attempt("c1")
        await p.scheduler.abort_action("r", "c1", "")
        root.end(fails())
        await executor.attempt("a0", 2)
        await p.call("c1")
        await asyncio.sleep(0.05)
        assert [each.name for each in executor.attempts].count("c1") == 1
        executor.may_die.set()
        again = await executor.attempt("c1", 2)
        # It has its seat still: what it calls lets others have it.
        executor.told.clear()
        await p.call("below", parent="c1")
        assert ("c1", True) in executor.told
        (await executor.attempt("below")).end()
        again.end()
        await p.until("c1", ActionPhase.SUCCEEDED)
        await eventually(lambda: True if p.scheduler.running_attempts == 1 else None)


async def test_open_actions_are_counted_once_whatever_server_there_is(tmp_path: Path) -> None:
    async with plane(tmp_path) as first:
        await first.run()
        await first.executor.attempt("a0")
        for each in ("c1", "c2", "c3"):
            await first.call(each)
        for each in ("c1", "c2"):
            (await first.executor.attempt(each)).end()
            await first.until(each, ActionPhase.SUCCEEDED)
        await asyncio.sleep(0)
        assert first.scheduler._open_actions == 2
    async with plane(tmp_path) as second:
        assert second.scheduler._open_actions == 2
        (await second.executor.attempt("c3", 2)).end()
        (await second.executor.attempt("a0", 2)).end()
        await second.until("a0", ActionPhase.SUCCEEDED)
        await eventually(lambda: True if second.scheduler._open_actions == 0 else None)


async def test_condition_waits_for_a_store_that_takes_nothing(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        full = Blocked(p)
        await full.holds()
        asked = asyncio.create_task(condition(p, timeout=Duration(nanos=20_000_000)))
        assert await still_waits(asked)
        full.is_full = False
        await asked
        full = Blocked(p)
        await full.holds()
        await asyncio.sleep(0.05)
        full.is_full = False
        await p.until("ask", ActionPhase.TIMED_OUT)


async def test_call_of_a_result_that_is_computed_once_waits_for_a_store_that_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = iter((True, True))

    def reserved(*asked: object) -> Change:
        def change(connection: sqlite3.Connection) -> object:
            if next(tries, False):
                raise sqlite3.OperationalError("database or disk is full")
            return reserve(*asked)(connection)  # type: ignore[arg-type]

        return change

    monkeypatch.setattr("flyte._server.scheduler.caching.reserve", reserved)
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        await p.call("c1", CACHED, key="k")
        (await p.executor.attempt("c1")).end()
        await p.until("c1", ActionPhase.SUCCEEDED)


async def test_answer_that_is_heard_of_through_the_store_first_is_acknowledged(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        await condition(p)
        conditions = p.scheduler._conditions
        change = conditions._commits.change

        async def heard_first(wanted: Change) -> object:
            given = await change(wanted)
            await p.until("ask", ActionPhase.SUCCEEDED)  # The watch has told of it.
            return given

        conditions._commits.change = heard_first  # type: ignore[method-assign,assignment]
        await p.scheduler.signal("r", "ask", number(3), "me")


async def test_result_of_an_attempt_that_has_outlived_its_server_is_kept_for_those_who_wait(tmp_path: Path) -> None:
    executor = SurvivingExecutor()
    async with plane(tmp_path, executor) as first:
        await first.run()
        await executor.attempt("a0")
        await first.call("c1", CACHED, key="k")
        one = await executor.attempt("c1")
        await first.call("c2", CACHED, key="k")
        await first.until("c1", ActionPhase.RUNNING)
    async with plane(tmp_path, executor) as second:
        await second.call("c3", CACHED, key="k")
        await asyncio.sleep(0.05)
        assert [each.name for each in executor.attempts] == ["a0", "c1"]
        one.end()
        for each in ("c1", "c2", "c3"):
            await second.until(each, ActionPhase.SUCCEEDED)
        assert [each.name for each in executor.attempts] == ["a0", "c1"]


class Telling(SurvivingExecutor):
    """Notes who waits."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, bool]] = []

    def set_waiting(self, run_name: str, action_name: str, *, is_waiting: bool) -> None:
        self.told.append((action_name, is_waiting))


async def test_executor_is_told_anew_who_waits(tmp_path: Path) -> None:
    executor = Telling()
    async with plane(tmp_path, executor) as first:
        await first.run()
        await executor.attempt("a0")
        await first.call("c1")
        (await executor.attempt("c1")).end()
        await first.until("c1", ActionPhase.SUCCEEDED)
    executor.told.clear()
    async with plane(tmp_path, executor):
        await eventually(lambda: executor.told or None)
        assert executor.told == [("a0", False)]


async def test_runs_with_workers_of_their_own_do_not_wait_for_one_another(tmp_path: Path) -> None:
    task = reused("env.own", 1, 1)
    task.task_template.reuse_policy.scope = ReusePolicy.RUN
    async with plane(tmp_path) as p:
        for name in ("r1", "r2"):
            await p.run(task, name=name)
        await eventually(lambda: True if len(p.executor.attempts) == 2 else None)


async def test_trace_fails_as_its_file_says(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        target = p.target("t1")
        target.trace.name, target.trace.phase = "traced", ACTION_PHASE_FAILED
        failure = Failure("KeyError", "user", "no such key")
        (tmp_path / "runs" / "r" / "t1" / "error.pb").write_bytes(error_document(failure).SerializeToString())
        await p.scheduler.enqueue(target)
        error = p.stored()[1]["t1"].error
        assert error is not None
        assert (error.code, error.message) == ("KeyError", "no such key")


async def test_trace_that_cannot_be_is_refused_and_leaves_nothing_open(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        target = p.target("t1")
        target.trace.name, target.trace.phase = "traced", ACTION_PHASE_FAILED
        target.trace.start_time.seconds = 10**15
        with pytest.raises(InvalidRequestError, match="t1"):
            await p.scheduler.enqueue(target)
        assert p.scheduler._open_actions == 1
