"""A scheduler over a real store, with an executor whose attempts end as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from flyteidl2.common.identifier_pb2 import ActionIdentifier, RunIdentifier
from flyteidl2.core.literals_pb2 import Literal, Primitive, Scalar
from flyteidl2.core.tasks_pb2 import ReusePolicy
from flyteidl2.task.common_pb2 import Inputs, NamedLiteral, Outputs
from flyteidl2.task.run_pb2 import RunSpec
from flyteidl2.task.task_definition_pb2 import TaskIdentifier, TaskSpec
from flyteidl2.workflow.run_definition_pb2 import ActionSpec
from flyteidl2.workflow.state_service_pb2 import ActionUpdate
from google.protobuf.wrappers_pb2 import StringValue

from flyte._engine.attempts import Failure
from flyte._server.executors.orders import AttemptEnd, AttemptLostError, AttemptOrder, Capacity
from flyte._server.scheduler import Scheduler
from flyte._server.scheduling import RunRequest
from flyte._store.reader import StoreReader
from flyte._store.records import StoredAction, StoredRun
from flyte._store.writer import Writer
from flyte.models import ActionPhase


def outputs_of(value: int) -> bytes:
    """The serialized outputs of a task that returned a number."""
    literal = Literal(scalar=Scalar(primitive=Primitive(integer=value)))
    return Outputs(literals=[NamedLiteral(name="o0", value=literal)]).SerializeToString(deterministic=True)


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
        self._end: asyncio.Future[AttemptEnd] = asyncio.get_running_loop().create_future()

    @property
    def name(self) -> str:
        return self.order.action.name

    def end(self, end: AttemptEnd = SUCCESS) -> None:
        """It ends like that."""
        self._end.set_result(end)

    def lose(self) -> None:
        """The executor loses it."""
        self._end.set_exception(AttemptLostError("its process is gone"))

    async def wait(self) -> AttemptEnd:
        try:
            return await self._end
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


async def eventually[T](look: Callable[[], T | None]) -> T: ...
