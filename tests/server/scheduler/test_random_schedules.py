"""Trees of calls that fail, are lost and outlive their server at random end as if nothing had happened."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from flyteidl2.common.identifier_pb2 import ActionIdentifier, RunIdentifier
from flyteidl2.core.literals_pb2 import RetryStrategy
from flyteidl2.workflow.run_definition_pb2 import ActionSpec

from flyte._server.executors.orders import AttemptEnd, AttemptKey, AttemptLostError, AttemptOrder, Capacity
from flyte._server.refusals import RunAbortedError
from flyte._server.scheduler import Scheduler
from flyte._server.scheduler.states import DONE, TERMINAL
from flyte._store.reader import StoreReader
from flyte._store.writer import Writer
from flyte.models import ActionPhase
from tests.server.scheduler.scripted import SUCCESS, Plane, eventually, fails, spec

RETRIES = RetryStrategy(retries=3)
RETRIES.backoff.base.nanos = 100_000
RETRIES.backoff.factor = 1.0


@dataclass
class Tree:
    """What each action calls, and how often it fails before it succeeds; drawn from a seed."""

    seed: int
    children: dict[str, list[str]] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        draw = random.Random(self.seed)
        waiting = ["a0"]
        while waiting:
            name = waiting.pop()
            many = draw.randint(0 if self.children else 3, 4) if len(self.children) < 25 else 0
            self.children[name] = [f"{name}-{number}" for number in range(many)]
            self.failures[name] = draw.choice([0, 0, 0, 1, 2])
            waiting += self.children[name]


class Programs:
    """Runs each attempt as the code of a tree would: it calls its children, waits for them, and ends."""

    def __init__(self, tree: Tree, draw: random.Random) -> None:
        self.capacity = Capacity(cpu_millis=300, memory_bytes=1 << 30)
        self.scheduler: Scheduler | None = None
        self.tree = tree
        self.draw = draw
        self.failed: Counter[str] = Counter()
        self.begun: Counter[str] = Counter()
        self.succeeded_before: set[str] = set()

    async def run_attempt(self, order: AttemptOrder, started: Callable[[], None]) -> AttemptEnd:
        name = order.action.name
        assert name not in self.succeeded_before, f"{name} had succeeded and runs again"
        self.begun[name] += 1
        await asyncio.sleep(self.draw.random() * 0.003)
        started()
        if self.draw.random() < 0.1:
            raise AttemptLostError("as the test wants it")
        try:
            failed_children = await self._call(order, self.tree.children[name])
        except RunAbortedError as error:
            raise AttemptLostError(str(error)) from error
        if failed_children:
            return fails("ChildFailed")
        if self.failed[name] < self.tree.failures[name]:
            self.failed[name] += 1
            return fails()
        return SUCCESS

    async def _call(self, order: AttemptOrder, names: list[str]) -> int:
        """How many of the children failed."""
        scheduler, action = self.scheduler, order.action
        assert scheduler is not None
        open_names = set(names)
        failed = 0
        async for update in scheduler.watch_children(action.run_name or "", action.name):
            if update is None:
                for name in self.draw.sample(sorted(open_names), len(open_names)):
                    await scheduler.enqueue(_target(action.run_name or "", action.name, name))
            elif update.action_id.name in open_names and update.phase in TERMINAL:
                open_names.discard(update.action_id.name)
                failed += update.phase not in DONE
            if update is not None and not open_names or not names:
                break
        return failed

    async def start(self) -> None:
        """It has started."""

    def knows(self, attempt: AttemptKey) -> bool:
        """Those of an earlier server have ended with it."""
        return False

    def keep_known(self, wanted: set[AttemptKey]) -> None:
        """There are none."""

    def forget(self, attempt: AttemptKey) -> None:
        """Nothing is kept of it."""

    def set_waiting(self, run_name: str, action_name: str, *, is_waiting: bool) -> None:
        """Nothing is held."""

    def release(self, spec_digest: bytes) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """Nothing is left."""


def _target(run: str, parent: str, name: str) -> ActionSpec:
    identifier = ActionIdentifier(run=RunIdentifier(name=run), name=name)
    target = ActionSpec(action_id=identifier, parent_action_name=parent, input_uri="/nowhere/inputs.pb")
    target.task.spec.CopyFrom(spec("env.child", retries=RETRIES))
    return target


def succeeded(home: Path) -> set[str]:
    """The actions of the run that are recorded as succeeded."""
    with StoreReader(home) as reader:
        actions = reader.list_actions(reader.load_run("r"))
    return {action.name for action in actions if action.phase is ActionPhase.SUCCEEDED}


@pytest.mark.parametrize("seed", range(25))
async def test_run_ends_as_if_nothing_had_happened(tmp_path: Path, seed: int) -> None:
    tree, draw = Tree(seed), random.Random(seed)
    programs = Programs(tree, draw)
    for life in range(4):
        writer = Writer(tmp_path)
        scheduler = programs.scheduler = Scheduler(writer, programs)
        programs.succeeded_before = succeeded(tmp_path) if life else set()
        await scheduler.start()
        if life == 0:
            plane = Plane(tmp_path, None, scheduler)  # type: ignore[arg-type]
            await scheduler.create_run(plane.request(spec("env.root", retries=RETRIES)))
        if life < 3:
            await asyncio.sleep(draw.random() * 0.2)
        else:
            await eventually(lambda: True if scheduler.open_runs == 0 else None, within_s=30)
        assert programs.succeeded_before <= succeeded(tmp_path)
        await scheduler.close()
        await asyncio.to_thread(writer.close)
    with StoreReader(tmp_path) as reader:
        run = reader.load_run("r")
        actions = reader.list_actions(run)
        for action in actions:
            assert [each.attempt_no for each in reader.list_attempts(action)] == list(range(1, action.attempt_no + 1))
    assert run.phase is ActionPhase.SUCCEEDED
    assert {action.name: action.phase for action in actions} == dict.fromkeys(tree.children, ActionPhase.SUCCEEDED)
    assert {action.name: action.parent_name for action in actions if action.parent_name} == {
        child: name for name, children in tree.children.items() for child in children
    }
