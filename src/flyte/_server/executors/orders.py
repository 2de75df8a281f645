"""What the scheduler asks an executor for, and what it gets back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from flyteidl2.task.task_definition_pb2 import TaskSpec

from flyte._engine.attempts import Failure
from flyte.models import ActionID


class AttemptKey(NamedTuple):
    """An attempt among all of a control plane."""

    run_name: str
    action_name: str
    attempt_no: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOrder:
    """One attempt that is to run.

    Attributes:
        action: Of which it is an attempt, with project, domain and organisation, none of them empty.
        attempt_no: From 1.
        spec: What its task is: template, environment.
        spec_digest: SHA-256 of the spec; equal specs have equal ones.
        inputs_uri: Address of its `Inputs`.
        outputs_path: Prefix of what it leaves, its own alone.
        run_base_dir: Where the run keeps the folders of its actions.
        raw_data_path: Prefix for its data.
        checkpoint_path: Where it leaves a checkpoint.
        prev_checkpoint: Where the attempt before left one.
        run_started_at: When the run was made.
        env_vars: Of the run; they win over those of the task.
    """

    action: ActionID
    attempt_no: int
    spec: TaskSpec
    spec_digest: bytes
    inputs_uri: str
    outputs_path: str
    run_base_dir: str
    raw_data_path: str
    checkpoint_path: str
    prev_checkpoint: str | None
    run_started_at: datetime
    env_vars: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> AttemptKey:
        """Which attempt it is."""
        return AttemptKey(self.action.run_name or "", self.action.name, self.attempt_no)


@dataclass(frozen=True, slots=True)
class AttemptEnd:
    """How an attempt ended.

    Attributes:
        outputs: The serialized `Outputs` that it left below `outputs_path`; None where it failed.
        failure: Why it failed; None where it succeeded.
    """

    outputs: bytes | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the attempts of an executor may use together, and what one of them asks for.

    Attributes:
        cpu_millis: Thousandths of a processor.
        memory_bytes: Main memory.
        gpus: Graphics processors.
    """

    cpu_millis: int
    memory_bytes: int
    gpus: int = 0


class AttemptLostError(Exception):
    """The executor lost an attempt: it does not count against the retries of its action. The text says why."""


class Executor(Protocol):
    """Runs attempts. Lives on one event loop."""

    @property
    def capacity(self) -> Capacity:
        """What all of its attempts may use together."""
        ...

    async def start(self) -> None:
        """It can run attempts, and knows those that an earlier server has ordered.

        Raises:
            AttemptLostError: it cannot run any.
        """
        ...

    def knows(self, attempt: AttemptKey) -> bool:
        """Whether an attempt that an earlier server has ordered is still there, or its end: `run_attempt` goes on."""
        ...

    def keep_known(self, wanted: set[AttemptKey]) -> None:
        """Of the attempts that an earlier server has ordered only these are wanted; the others are killed."""
        ...

    def forget(self, attempt: AttemptKey) -> None:
        """What came of the attempt is recorded, so nobody asks for it again."""
        ...

    async def run_attempt(self, order: AttemptOrder, started: Callable[[], None]) -> AttemptEnd:
        """How the attempt ended, once nothing is left of it; `started` is called when its process is there.

        Cancelling it kills the attempt with all its processes, and it returns when they are gone.

        Raises:
            AttemptLostError: it could not be run, or was lost, for a reason that lies not in it.
        """
        ...

    def set_waiting(self, run_name: str, action_name: str, *, is_waiting: bool) -> None:
        """A running attempt of that action waits for others, or no longer does: what it holds is free meanwhile."""
        ...

    def release(self, spec_digest: bytes) -> None:
        """No attempt of that spec is wanted for now; what is kept for the next one may be let go of."""
        ...

    async def close(self) -> None:
        """No attempt is left, and nothing that was kept for one."""
        ...
