"""The way into the store when it takes nothing for a while."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from flyteidl2.workflow.state_service_pb2 import ActionUpdate

from flyte._server.scheduler.states import OpenAction
from flyte._store.writer import Change
from flyte.models import ActionPhase
from tests.server.scheduler.scripted import Plane, eventually, plane
from tests.server.scheduler.test_scheduler import SurvivingExecutor


class Full:
    """A disk that is full for so many commits of what is `kept` back."""

    def __init__(self, times: int) -> None:
        self.times = times

    def change(self, connection: sqlite3.Connection) -> None:
        if self.times:
            self.times -= 1
            raise sqlite3.OperationalError("database or disk is full")


def action_of(p: Plane, name: str) -> OpenAction:
    return p.scheduler._runs["r"].actions[name]


async def test_what_was_recorded_later_is_not_written_before(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        await p.run()
        await p.executor.attempt("a0")
        p.executor.starts_by_itself = False
        await p.call("c1")
        attempt = await p.executor.attempt("c1")
        commits, action = p.scheduler._commits, action_of(p, "c1")
        told: list[ActionPhase] = []
        tell = commits._published

        def published(of: OpenAction, update: ActionUpdate) -> None:
            if of is action:
                told.append(ActionPhase.from_protobuf(update.phase))
            tell(of, update)

        commits._published = published
        commits.beside(Full(3).change)
        attempt.start()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert commits.error is None
        attempt.end()
        await p.until("c1", ActionPhase.SUCCEEDED)
        await asyncio.wait_for(asyncio.shield(commits.beside(lambda _: None)), 10)
        assert told == [ActionPhase.RUNNING, ActionPhase.SUCCEEDED]
        assert commits.error is None
        assert {name: each.phase for name, each in (await p.replay()).items()} == {
            "c1": ActionPhase.SUCCEEDED.to_protobuf_value()
        }


async def test_other_changes_wait_for_what_was_recorded_before(tmp_path: Path) -> None:
    async with plane(tmp_path) as p:
        commits = p.scheduler._commits
        order: list[str] = []

        def noted(what: str) -> Change:
            return lambda _: order.append(what)

        full = Full(2)

        def first(connection: sqlite3.Connection) -> None:
            full.change(connection)
            order.append("first")

        one = commits.beside(first)
        await asyncio.sleep(0)
        two = commits.insist(noted("second"))
        await asyncio.gather(one, two)
        # What was rolled back was tried again.
        assert list(dict.fromkeys(order)) == ["first", "second"]
        assert order[-1] == "second"


async def test_close_does_not_wait_for_a_store_that_takes_nothing(tmp_path: Path) -> None:
    full = Full(1_000_000)
    async with asyncio.timeout(10):
        async with plane(tmp_path) as p:
            p.scheduler._commits.beside(full.change)
            await eventually(lambda: p.scheduler.error)
    assert full.times


async def test_end_that_a_server_could_not_record_is_left_for_the_next(tmp_path: Path) -> None:
    executor = SurvivingExecutor()
    full = Full(1_000_000)
    async with plane(tmp_path, executor) as first:
        await first.run()
        root = await executor.attempt("a0")
        first.scheduler._commits.beside(full.change)
        root.end()
        await eventually(lambda: True if first.scheduler.open_runs == 0 else None)
    assert executor.forgotten == set()
    async with plane(tmp_path, executor) as second:
        assert (await second.until("a0", ActionPhase.SUCCEEDED)).attempt_no == 1
