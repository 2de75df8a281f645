"""What the scheduler makes of runs and calls, with attempts that end as the test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from flyteidl2.common.phase_pb2 import ACTION_PHASE_SUCCEEDED
from flyteidl2.common.run_pb2 import RELATION_TYPE_RECOVER
from flyteidl2.core.literals_pb2 import Literal, Primitive, RetryStrategy, Scalar, TimeoutStrategy
from flyteidl2.core.types_pb2 import SimpleType
from flyteidl2.task.run_pb2 import RunSpec
from google.protobuf.duration_pb2 import Duration

from flyte._server.executors.orders import AttemptEnd, AttemptKey, AttemptOrder, Capacity
from flyte._server.refusals import (
    AlreadyThereError,
    InvalidRequestError,
    NotNowError,
    RunAbortedError,
    UnknownError,
)
from flyte._store.aborts import AbortRequest, ask_to_abort
from flyte._store.conditions import answer_condition
from flyte._store.database import DATABASE_FILE, connect
from flyte._store.writer import Writer
from flyte.models import ActionPhase
from tests.server.scheduler.scripted import (
    SUCCESS,
    Attempt,
    Plane,
    ScriptedExecutor,
    eventually,
    fails,
    outputs_of,
    plane,
    reused,
    spec,
)

QUICK = RetryStrategy(retries=2)
QUICK.backoff.base.CopyFrom(Duration(nanos=1_000_000))
QUICK.backoff.factor = 1.0


def retried(name: str = "env.child", **settings: object) -> object:
    return spec(name, retries=QUICK, **settings)


async def test_run_ends_as_its_root_does(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        name = await p.run(name=None)
        root = await p.executor.attempt("a0")
        assert p.phase("a0", name) is ActionPhase.RUNNING
        root.end()
        await p.until("a0", ActionPhase.SUCCEEDED, name)
        run, actions = p.stored(name)
        assert run.phase is ActionPhase.SUCCEEDED
        assert run.ended_at is not None
        assert actions["a0"].outputs == SUCCESS.outputs


async def test_two_runs_cannot_have_one_name(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run(name="same")
        with pytest.raises(AlreadyThereError, match="'same'"):
            await p.run(name="same")


@pytest.mark.parametrize("name", ["", "Upper", "a/b", ".."])
async def test_name_that_no_run_can_have_is_refused(tmp_path: Path, name: str) -> None:
    async with plane(tmp_path) as p:
        with pytest.raises(InvalidRequestError):
            await p.run(name=name)


async def test_parent_is_told_of_its_children_after_their_commit(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        await p.call("c1")
        told = []
        async for update in p.scheduler.watch_children("r", "a0"):
            if update is None:
                (await p.executor.attempt("c1")).end()
                continue
            told.append(update)
            if update.phase == ACTION_PHASE_SUCCEEDED:
                assert p.phase("c1") is ActionPhase.SUCCEEDED
                break
        assert told[-1].output_uri == str(tmp_path / "runs" / "r" / "c1" / "1")


async def test_stream_ends_with_the_parent(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        root = await p.executor.attempt("a0")
        seen = []
        async for update in p.scheduler.watch_children("r", "a0"):
            seen.append(update)
            root.end()
        assert seen == [None]


async def test_failed_attempt_is_followed_by_another_until_the_retries_are_used_up(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        await p.call("c1", retried())
        for number in (1, 2, 3):
            attempt = await p.executor.attempt("c1", number)
            assert attempt.order.prev_checkpoint == (
                None if number == 1 else str(tmp_path / "runs" / "r" / "c1" / str(number - 1) / "_flytecheckpoints")
            )
            attempt.end(fails())
        action = await p.until("c1", ActionPhase.FAILED)
        assert action.attempt_no == 3
        assert action.error is not None
        assert action.error.code == "ValueError"


async def test_failure_that_cannot_be_recovered_from_is_the_last(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run(retried("env.root"))
        (await p.executor.attempt("a0")).end(fails(recoverable=False))
        await p.until("a0", ActionPhase.FAILED)
        assert len(p.executor.attempts) == 1


async def test_lost_attempt_does_not_count_against_the_retries(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        (await p.executor.attempt("a0")).lose()
        (await p.executor.attempt("a0", 2)).end()
        await p.until("a0", ActionPhase.SUCCEEDED)


async def test_child_that_failed_runs_again_for_the_next_attempt_of_its_parent(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run(retried("env.root"))
        root = await p.executor.attempt("a0")
        await p.call("good")
        await p.call("bad")
        (await p.executor.attempt("good")).end()
        (await p.executor.attempt("bad")).end(fails())
        await p.until("good", ActionPhase.SUCCEEDED)
        await p.until("bad", ActionPhase.FAILED)
        assert set(await p.replay()) == {"good", "bad"}
        root.end(fails())
        await p.executor.attempt("a0", 2)
        assert set(await p.replay()) == {"good"}
        await p.call("good")
        await p.call("bad")
        (await p.executor.attempt("bad", 2)).end()
        await p.until("bad", ActionPhase.SUCCEEDED)
        assert [each.name for each in p.executor.attempts].count("good") == 1


async def test_abort_of_a_run_kills_all_its_attempts_and_stays(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        await p.call("c1")
        await p.call("c2", parent="c1")
        await p.executor.attempt("c2")
        await p.scheduler.abort_run("r", "enough", "me")
        run, actions = p.stored()
        assert run.phase is ActionPhase.ABORTED
        assert {action.phase for action in actions.values()} == {ActionPhase.ABORTED}
        await eventually(lambda: True if all(each.was_killed for each in p.executor.attempts) else None)
        with pytest.raises(RunAbortedError):
            await p.call("c3")
        await p.scheduler.abort_run("r", "again")


async def test_abort_of_an_action_leaves_its_siblings(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        await p.call("c1")
        await p.call("c2")
        await p.call("below", parent="c1")
        await p.scheduler.abort_action("r", "c1", "no need")
        assert p.phase("c1") is ActionPhase.ABORTED
        assert p.phase("below") is ActionPhase.ABORTED
        assert not p.phase("c2").is_terminal


async def test_run_is_aborted_by_what_another_process_writes_into_the_store(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        other = Writer(tmp_path)
        assert await asyncio.to_thread(other.write, ask_to_abort(AbortRequest(p.stored()[0].run_id, "a0", "by hand")))
        await p.until("a0", ActionPhase.ABORTED)
        await asyncio.to_thread(other.close)


async def test_children_left_open_are_aborted_with_their_parent(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        root = await p.executor.attempt("a0")
        await p.call("c1")
        child = await p.executor.attempt("c1")
        root.end()
        await p.until("a0", ActionPhase.SUCCEEDED)
        await p.until("c1", ActionPhase.ABORTED)
        await eventually(lambda: child.was_killed or None)


@pytest.mark.parametrize(
    ("parent", "run", "error"),
    [("nobody", "r", UnknownError), ("a0", "nowhere", UnknownError)],
)
async def test_call_from_nowhere_is_refused(tmp_path: Path, parent: str, run: str, error: type[Exception]) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        with pytest.raises(error):
            await p.call("c1", parent=parent, run=run)


@pytest.mark.parametrize("name", ["", "..", "a/b"])
async def test_name_that_no_folder_can_have_is_refused(tmp_path: Path, name: str) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        target = p.target("c1")
        target.action_id.name = name
        target.task.spec.CopyFrom(spec())
        with pytest.raises(InvalidRequestError):
            await p.scheduler.enqueue(target)


async def test_waiting_parents_hold_no_seat_so_that_deep_runs_finish(tmp_path: Path) -> None:
    executor = ScriptedExecutor(Capacity(cpu_millis=500, memory_bytes=1 << 30))
    async with plane(tmp_path, executor) as p:
        await p.run()
        await p.executor.attempt("a0")
        parent = "a0"
        for depth in range(6):
            await p.call(f"c{depth}", parent=parent)
            parent = f"c{depth}"
            await p.executor.attempt(parent)
        for depth in reversed(range(6)):
            (await p.executor.attempt(f"c{depth}")).end()
            await p.until(f"c{depth}", ActionPhase.SUCCEEDED)
        (await p.executor.attempt("a0")).end()
        await p.until("a0", ActionPhase.SUCCEEDED)


async def test_no_more_attempts_run_than_the_machine_has_room_for(tmp_path: Path) -> None:
    executor = ScriptedExecutor(Capacity(cpu_millis=1000, memory_bytes=1 << 30))
    async with plane(tmp_path, executor) as p:
        await p.run()
        await p.executor.attempt("a0")
        for number in range(8):
            await p.call(f"c{number}")
        ended: set[str] = set()
        while len(ended) < 8:
            running = await eventually(
                lambda: [each for each in executor.attempts if each.name not in {"a0", *ended}] or None
            )
            assert len(running) <= 2
            for each in running:
                each.end()
                ended.add(each.name)


async def test_run_has_no_more_attempts_at_once_than_it_allows(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run(run_spec=RunSpec(max_action_concurrency=2))
        await p.executor.attempt("a0")
        for number in range(6):
            await p.call(f"c{number}")
        for number in range(6):
            await p.executor.attempt(f"c{number}")
            assert p.executor.running <= 3  # With the root, which waits.
            (await p.executor.attempt(f"c{number}")).end()
            await p.until(f"c{number}", ActionPhase.SUCCEEDED)


async def test_reused_workers_hold_no_more_attempts_than_they_have_seats(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        task = reused("env.kept", replicas=1, concurrency=2)
        for number in range(5):
            await p.call(f"c{number}", task)
        for number in range(5):
            (await p.executor.attempt(f"c{number}")).end()
            await p.until(f"c{number}", ActionPhase.SUCCEEDED)
        assert p.executor.most <= 3


async def test_queue_with_priority_goes_first(tmp_path: Path) -> None:
    from flyte._server.scheduler import Scheduler

    executor = ScriptedExecutor(Capacity(cpu_millis=500, memory_bytes=1 << 30))
    writer = Writer(tmp_path)
    scheduler = Scheduler(writer, executor, {"urgent": 10})
    p = Plane(tmp_path, executor, scheduler)
    await p.run(name="blocker")
    blocker = await executor.attempt("a0")
    await p.run(name="slow")
    await p.run(name="quick", run_spec=RunSpec(queue="urgent"))
    blocker.end()
    second = await eventually(lambda: executor.attempts[1] if len(executor.attempts) > 1 else None)
    assert second.order.action.run_name == "quick"
    await scheduler.close()
    writer.close()


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"timeout": Duration(nanos=30_000_000)}, "MAX_RUNTIME_EXCEEDED"),
        ({"timeouts": TimeoutStrategy(deadline=Duration(nanos=30_000_000))}, "DEADLINE_EXCEEDED"),
    ],
)
async def test_attempt_is_killed_at_its_bound(tmp_path: Path, settings: dict[str, object], code: str) -> None:
    async with plane(tmp_path) as p:
        await p.run(spec("env.root", **settings))
        attempt = await p.executor.attempt("a0")
        action = await p.until("a0", ActionPhase.TIMED_OUT)
        assert action.error is not None
        assert action.error.code == code
        assert attempt.was_killed


async def test_attempt_that_waits_too_long_is_not_run(tmp_path: Path) -> None:
    executor = ScriptedExecutor(Capacity(cpu_millis=500, memory_bytes=1 << 30))
    async with plane(tmp_path, executor) as p:
        await p.run(name="first")
        await executor.attempt("a0")
        await p.run(spec("env.root", timeouts=TimeoutStrategy(queued_timeout=Duration(nanos=30_000_000))))
        action = await p.until("a0", ActionPhase.TIMED_OUT)
        assert action.error is not None
        assert action.error.code == "QUEUED_TIMEOUT_EXCEEDED"
        assert len(executor.attempts) == 1


async def test_equal_call_is_answered_by_the_cache(tmp_path: Path) -> None:
    cached = spec("env.cached", discoverable=True, discovery_version="1")
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        await p.call("c1", cached, key="k")
        (await p.executor.attempt("c1")).end(SUCCESS)
        await p.until("c1", ActionPhase.SUCCEEDED)
        await p.call("c2", cached, key="k")
        action = await p.until("c2", ActionPhase.SUCCEEDED)
        assert action.outputs == SUCCESS.outputs
        assert action.cache_status.name == "HIT"
        assert (tmp_path / "runs" / "r" / "c2" / "1" / "outputs.pb").read_bytes() == SUCCESS.outputs
        assert len(p.executor.attempts) == 2


async def test_equal_calls_at_one_time_are_made_one(tmp_path: Path) -> None:
    cached = spec("env.cached", discoverable=True, discovery_version="1", cache_serializable=True)
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        for number in range(4):
            await p.call(f"c{number}", cached, key="k")
        first = await eventually(lambda: p.executor.attempts[1] if len(p.executor.attempts) > 1 else None)
        first.end()
        for number in range(4):
            await p.until(f"c{number}", ActionPhase.SUCCEEDED)
        assert len(p.executor.attempts) == 2


async def test_root_is_answered_by_the_cache_too(tmp_path: Path) -> None:
    cached = spec("env.cached", discoverable=True, discovery_version="1")
    async with plane(tmp_path) as p:
        await p.run(cached, name="first")
        (await p.executor.attempt("a0")).end()
        await p.until("a0", ActionPhase.SUCCEEDED, "first")
        await p.run(cached, name="second")
        await p.until("a0", ActionPhase.SUCCEEDED, "second")
        await p.run(cached, name="third", run_spec=RunSpec(overwrite_cache=True))
        await eventually(lambda: True if len(p.executor.attempts) == 2 else None)


async def condition(p: Plane, name: str = "ask", timeout: Duration | None = None) -> None:
    target = p.target(name)
    target.ClearField("input_uri")
    target.condition.name = "go on?"
    target.condition.type.simple = SimpleType.INTEGER
    if timeout is not None:
        target.condition.timeout.CopyFrom(timeout)
    await p.scheduler.enqueue(target)


def number(value: int) -> Literal:
    return Literal(scalar=Scalar(primitive=Primitive(integer=value)))


async def test_condition_with_a_webhook_is_refused(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        target = p.target("ask")
        target.condition.name = "go on?"
        target.condition.type.simple = SimpleType.INTEGER
        target.condition.webhook.url = "http://localhost/"
        with pytest.raises(InvalidRequestError, match="webhook"):
            await p.scheduler.enqueue(target)
        assert "ask" not in p.stored()[1]


async def test_condition_waits_for_its_answer(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        await condition(p)
        assert p.phase("ask") is ActionPhase.PAUSED
        with pytest.raises(InvalidRequestError, match="int"):
            await p.scheduler.signal("r", "ask", Literal(scalar=Scalar(primitive=Primitive(string_value="x"))))
        await p.scheduler.signal("r", "ask", number(7), "me")
        assert p.phase("ask") is ActionPhase.SUCCEEDED
        assert (await p.replay())["ask"].value == number(7)
        with pytest.raises(NotNowError):
            await p.scheduler.signal("r", "ask", number(8))
        with pytest.raises(UnknownError):
            await p.scheduler.signal("r", "a0", number(8))


async def test_condition_is_answered_through_the_store(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        await condition(p)
        other = Writer(tmp_path)
        given = answer_condition(p.stored()[1]["ask"].action_id, json.dumps(3))
        assert await asyncio.to_thread(other.write, given)
        action = await p.until("ask", ActionPhase.SUCCEEDED)
        assert action.outputs == outputs_of(3)
        await asyncio.to_thread(other.close)


async def test_condition_times_out(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        await condition(p, timeout=Duration(nanos=20_000_000))
        action = await p.until("ask", ActionPhase.TIMED_OUT)
        assert action.error is not None
        assert action.error.code == "ConditionTimedoutError"


async def test_recorded_trace_is_told_at_once(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        target = p.target("t1")
        target.trace.name = "traced"
        target.trace.phase = ACTION_PHASE_SUCCEEDED
        target.trace.outputs.output_uri = str(tmp_path / "runs" / "r" / "t1" / "outputs.pb")
        await p.scheduler.enqueue(target)
        told = (await p.replay())["t1"]
        assert told.phase == ACTION_PHASE_SUCCEEDED
        assert told.output_uri.endswith("/t1/outputs.pb")


async def test_server_that_starts_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    async with plane(tmp_path) as first:
        await first.run(retried("env.root"))
        await first.executor.attempt("a0")
        await first.call("done")
        await first.call("open")
        (await first.executor.attempt("done")).end()
        await first.executor.attempt("open")
        await first.until("done", ActionPhase.SUCCEEDED)
        await condition(first)
        await first.call("later", retried("env.slow"))
    assert first.stored()[0].is_interrupted
    async with plane(tmp_path) as second:
        assert not second.stored()[0].is_interrupted
        root = await second.executor.attempt("a0", 2)
        assert second.stored()[1]["done"].phase is ActionPhase.SUCCEEDED
        (await second.executor.attempt("open", 2)).end()
        await second.until("open", ActionPhase.SUCCEEDED)
        assert second.phase("ask") is ActionPhase.PAUSED
        await second.scheduler.signal("r", "ask", number(1))
        assert {name for name in await second.replay() if name != "later"} == {"done", "open", "ask"}
        root.end(fails())
        # The attempt that was lost has not counted.
        (await second.executor.attempt("a0", 3)).end(fails())
        (await second.executor.attempt("a0", 4)).end()
        await second.until("a0", ActionPhase.SUCCEEDED)
        assert [each.name for each in second.executor.attempts].count("done") == 0


async def test_run_takes_over_what_has_succeeded_in_another(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run(name="old")
        root = await p.executor.attempt("a0")
        for name in ("c1", "c2"):
            await p.call(name, run="old")
        (await p.executor.attempt("c1")).end()
        (await p.executor.attempt("c2")).end(fails())
        trace = p.target("t1", run="old")
        trace.trace.name, trace.trace.phase = "traced", ACTION_PHASE_SUCCEEDED
        trace.trace.outputs.output_uri = str(tmp_path / "t1.pb")
        await p.scheduler.enqueue(trace)
        await p.until("c1", ActionPhase.SUCCEEDED, "old")
        await p.until("c2", ActionPhase.FAILED, "old")
        root.end(fails())
        await p.until("a0", ActionPhase.FAILED, "old")
        run_spec = RunSpec()
        run_spec.relation.relation_type = RELATION_TYPE_RECOVER
        run_spec.relation.related_to.name = "old"
        await p.run(name="new", run_spec=run_spec)
        before = len(p.executor.attempts)
        assert set(await p.replay(run="new")) == {"t1"}
        await p.call("c1", run="new")
        await p.call("c2", run="new")
        action = await p.until("c1", ActionPhase.RECOVERED, "new")
        assert action.outputs == SUCCESS.outputs
        assert (await p.replay(run="new"))["c1"].output_uri == str(tmp_path / "runs" / "old" / "c1" / "1")
        await eventually(lambda: [each for each in p.executor.attempts[before - 1 :] if each.name == "c2"] or None)


async def test_root_of_an_external_run_ends_as_is_reported(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        name = await p.scheduler.create_run(p.request(external=True))
        await p.call("c1")
        (await p.executor.attempt("c1")).end(fails())
        await p.until("c1", ActionPhase.FAILED)
        assert set(await p.replay()) == {"c1"}
        await p.scheduler.report_root(name, ACTION_PHASE_SUCCEEDED)
        assert p.stored()[0].phase is ActionPhase.SUCCEEDED


async def test_watcher_hears_of_changes_that_came_while_it_was_busy(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        changes = p.scheduler.changes("r", "a0")
        await anext(changes)
        root = await p.executor.attempt("a0")
        root.end()
        await p.until("a0", ActionPhase.SUCCEEDED)
        async with asyncio.timeout(5):
            await anext(changes)
        await changes.aclose()  # type: ignore[attr-defined]


class SurvivingExecutor(ScriptedExecutor):
    """Its attempts go on when their server ends, as those below a host do."""

    def __init__(self) -> None:
        super().__init__()
        self.surviving: dict[AttemptKey, Attempt] = {}
        self.forgotten: set[AttemptKey] = set()

    def knows(self, attempt: AttemptKey) -> bool:
        return attempt in self.surviving

    def keep_known(self, wanted: set[AttemptKey]) -> None:
        self.surviving = {key: each for key, each in self.surviving.items() if key in wanted}

    def forget(self, attempt: AttemptKey) -> None:
        self.forgotten.add(attempt)
        self.surviving.pop(attempt, None)

    async def run_attempt(self, order: AttemptOrder, started: Callable[[], None]) -> AttemptEnd:
        attempt = self.surviving.get(order.key)
        if attempt is None:
            attempt = self.surviving[order.key] = Attempt(order, started)
            self.attempts.append(attempt)
        started()
        return await asyncio.shield(attempt.outcome)


async def test_attempt_that_has_outlived_its_server_is_met_by_the_next(tmp_path: Path) -> None:
    executor = SurvivingExecutor()
    async with plane(tmp_path, executor) as first:
        await first.run()
        root = await executor.attempt("a0")
        await first.call("good")
        await first.call("bad")
        await first.call("over")
        good, bad = await executor.attempt("good"), await executor.attempt("bad")
        (await executor.attempt("over")).end()
        await first.until("over", ActionPhase.SUCCEEDED)
        started_at = first.stored()[1]["good"].started_at
    async with plane(tmp_path, executor) as second:
        good.end()
        bad.end(fails())
        assert (await second.until("good", ActionPhase.SUCCEEDED)).started_at == started_at
        await second.until("bad", ActionPhase.FAILED)
        # Its parent has not ended, so it has to hear of that.
        assert set(await second.replay()) == {"good", "bad", "over"}
        root.end()
        await second.until("a0", ActionPhase.SUCCEEDED)
    assert [each.order.attempt_no for each in executor.attempts] == [1, 1, 1, 1]
    assert {key.action_name for key in executor.forgotten} == {"a0", "good", "bad", "over"}


async def test_runtime_of_an_attempt_counts_from_its_start_whatever_server_there_is(tmp_path: Path) -> None:
    executor = SurvivingExecutor()
    async with plane(tmp_path, executor) as first:
        await first.run(spec("env.root", timeout=Duration(seconds=60)))
        await executor.attempt("a0")
    connection = connect(tmp_path / DATABASE_FILE)
    connection.execute("UPDATE action SET started_us = started_us - 61000000")
    connection.close()
    async with plane(tmp_path, executor) as second:
        action = await second.until("a0", ActionPhase.TIMED_OUT)
    assert action.attempt_no == 1
