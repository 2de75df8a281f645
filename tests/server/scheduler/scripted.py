"""A scheduler over a real store, with an executor whose attempts end as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from flyteidl2.common.identifier_pb2 import ActionIdentifier, RunIdentifier
from flyteidl2.core.literals_pb2 import Literal, Primitive, Scalar
from flyteidl2.core.tasks_pb2 import ReusePolicy, TaskMetadata
from flyteidl2.task.common_pb2 import Inputs, NamedLiteral, Outputs
from flyteidl2.task.run_pb2 import RunSpec
from flyteidl2.task.task_definition_pb2 import TaskIdentifier, TaskSpec
from flyteidl2.workflow.run_definition_pb2 import ActionSpec
from flyteidl2.workflow.state_service_pb2 import ActionUpdate
from google.protobuf.wrappers_pb2 import StringValue

from flyte._engine.attempts import Failure
from flyte._server.executors.orders import AttemptEnd, AttemptKey, AttemptLostError, AttemptOrder, Capacity
from flyte._server.scheduler import Scheduler
from flyte._server.scheduling import RunRequest
from flyte._store.reader import StoreReader
from flyte._store.records import StoredAction, StoredRun
from flyte._store.writer import Writer
from flyte.models import ActionPhase

T = TypeVar("T")


def outputs_of(value: int) -> bytes:
    """The serialized outputs of a task that returned a number."""
    literal = Literal(scalar=Scalar(primitive=Primitive(integer=value)))
    data: bytes = Outputs(literals=[NamedLiteral(name="o0", value=literal)]).SerializeToString(deterministic=True)
    return data


def fails(code: str = "ValueError", *, recoverable: bool = True) -> AttemptEnd:
    """An attempt that failed."""
    return AttemptEnd(failure=Failure(code, "user", f"{code} happened", recoverable=recoverable))


SUCCESS = AttemptEnd(outputs=outputs_of(1))


class Attempt:
    """A running attempt."""

    def __init__(self, order: AttemptOrder, started: Callable[[], None]) -> None:
        self.order = order
        self.start = started
        self.was_killed = False
        self.outcome: asyncio.Future[AttemptEnd] = asyncio.get_running_loop().create_future()

    @property
    def name(self) -> str:
        return self.order.action.name

    def end(self, end: AttemptEnd = SUCCESS) -> None:
        """It ends like that."""
        self.outcome.set_result(end)

    def lose(self) -> None:
        """The executor loses it."""
        self.outcome.set_exception(AttemptLostError("its process is gone"))

    async def wait(self) -> AttemptEnd:
        try:
            return await self.outcome
        except asyncio.CancelledError:
            self.was_killed = True
            raise


@dataclass
class ScriptedExecutor:
    """Attempts start at once and go on until the test ends them."""

    capacity: Capacity = field(default_factory=lambda: Capacity(cpu_millis=100_000, memory_bytes=1 << 40))
    attempts: list[Attempt] = field(default_factory=list)
    starts_by_itself: bool = True
    running: int = 0
    most: int = 0

    async def run_attempt(self, order: AttemptOrder, started: Callable[[], None]) -> AttemptEnd:
        attempt = Attempt(order, started)
        self.attempts.append(attempt)
        self.running += 1
        self.most = max(self.most, self.running)
        if self.starts_by_itself:
            started()
        try:
            return await attempt.wait()
        finally:
            self.running -= 1

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

    async def attempt(self, name: str, number: int = 1) -> Attempt:
        """The attempt of that action with that number, once it is there."""
        return await eventually(
            lambda: next(
                (each for each in self.attempts if each.name == name and each.order.attempt_no == number), None
            )
        )


async def eventually(look: Callable[[], T | None], within_s: float = 5.0) -> T:
    """What `look` finds, once it finds something."""
    async with asyncio.timeout(within_s):
        while (found := look()) is None:
            await asyncio.sleep(0.005)
        return found


def spec(name: str = "env.task", **settings: object) -> TaskSpec:
    """The spec of a task in a container; `settings` are fields of its metadata."""
    made = TaskSpec(short_name=name)
    made.task_template.id.name = name
    made.task_template.type = "python"
    made.task_template.container.image = "any"
    made.task_template.metadata.MergeFrom(TaskMetadata(**settings))
    return made


def reused(name: str, replicas: int, concurrency: int) -> TaskSpec:
    """The spec of a task that runs in workers that are kept."""
    made = spec(name)
    made.task_template.type = "actor"
    made.task_template.reuse_policy.CopyFrom(ReusePolicy(max_replicas=replicas, concurrency=concurrency))
    return made


@dataclass
class Plane:
    """A control plane without services."""

    home: Path
    executor: ScriptedExecutor
    scheduler: Scheduler

    async def run(self, task: TaskSpec | None = None, name: str | None = "r", run_spec: RunSpec | None = None) -> str:
        """A run is made of a task."""
        return await self.scheduler.create_run(self.request(task, name, run_spec))

    def request(
        self,
        task: TaskSpec | None = None,
        name: str | None = "r",
        run_spec: RunSpec | None = None,
        external: bool = False,
    ) -> RunRequest:
        """The request for a run."""
        folder = self.home / "uploads" / "inputs"
        folder.mkdir(parents=True, exist_ok=True)
        inputs = folder / "inputs.pb"
        inputs.write_bytes(Inputs().SerializeToString())
        task = task or spec("env.root")
        return RunRequest(
            org="local",
            project="flytesnacks",
            domain="development",
            name=name,
            task_id=TaskIdentifier(name=task.task_template.id.name, version="v1"),
            spec=task,
            inputs_uri=str(inputs),
            run_spec=run_spec or RunSpec(),
            is_external=external,
        )

    async def call(
        self, name: str, task: TaskSpec | None = None, parent: str = "a0", run: str = "r", key: str = ""
    ) -> None:
        """An action of that name is called by another one."""
        target = self.target(name, parent, run)
        target.task.spec.CopyFrom(task or spec("env.child"))
        if key:
            target.task.cache_key.CopyFrom(StringValue(value=key))
        await self.scheduler.enqueue(target)

    def target(self, name: str, parent: str = "a0", run: str = "r") -> ActionSpec:
        """The target of a call, without what is called."""
        folder = self.home / "runs" / run / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "inputs.pb").write_bytes(Inputs().SerializeToString())
        identifier = ActionIdentifier(run=RunIdentifier(name=run), name=name)
        return ActionSpec(action_id=identifier, parent_action_name=parent, input_uri=str(folder / "inputs.pb"))

    def stored(self, run: str = "r") -> tuple[StoredRun, dict[str, StoredAction]]:
        """The run and its actions as the store has them."""
        with StoreReader(self.home) as reader:
            found = reader.load_run(run)
            return found, {action.name: action for action in reader.list_actions(found)}

    def phase(self, name: str, run: str = "r") -> ActionPhase:
        """Of an action, as the store has it."""
        return self.stored(run)[1][name].phase

    async def until(self, name: str, phase: ActionPhase, run: str = "r") -> StoredAction:
        """The action, once it is in that phase."""

        def look() -> StoredAction | None:
            action = self.stored(run)[1].get(name)
            return action if action is not None and action.phase is phase else None

        return await eventually(look)

    async def replay(self, parent: str = "a0", run: str = "r") -> dict[str, ActionUpdate]:
        """What a new stream tells of the children, before it goes live."""
        told: dict[str, ActionUpdate] = {}
        stream = self.scheduler.watch_children(run, parent)
        async for update in stream:
            if update is None:
                break
            told[update.action_id.name] = update
        await stream.aclose()  # type: ignore[attr-defined]
        return told


@asynccontextmanager
async def plane(home: Path, executor: ScriptedExecutor | None = None) -> AsyncIterator[Plane]:
    """A control plane over the store of a home folder, until the block ends; what is open then stays so."""
    writer = Writer(home)
    executor = executor or ScriptedExecutor()
    scheduler = Scheduler(writer, executor)
    try:
        await scheduler.start()
        yield Plane(home, executor, scheduler)
    finally:
        await scheduler.close()
        writer.close()
