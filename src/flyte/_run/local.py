"""A run that was executed in this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flyte._controller.local_run import run_folder
from flyte._run.immediate import immediate
from flyte._store.reader import StoreReader
from flyte._store.records import StoredAction
from flyte.models import ActionPhase
from flyte.remote._values import ActionInputs, ActionOutputs

if TYPE_CHECKING:
    from flyteidl2.task.common_pb2 import Inputs, Outputs

    from flyte.models import NativeInterface
    from flyte.remote import Run
    from flyte.types._codec import InterfaceCodec


@dataclass(frozen=True, slots=True)
class RunDetails:
    """What is recorded of a run.

    Attributes:
        actions: All of them, in the order they were made; the root action is the first.
    """

    name: str
    task_name: str
    phase: ActionPhase
    mode: str
    labels: Mapping[str, str]
    created_at: datetime
    ended_at: datetime | None
    actions: tuple[StoredAction, ...]

    @property
    def duration(self) -> timedelta | None:
        """How long it took; None until it ends."""
        return None if self.ended_at is None else self.ended_at - self.created_at


class LocalRun:
    """A local run that succeeded; one that failed raises from `flyte.run` instead.

    Every method also has an `.aio` form, so that a program reads the same for runs on a control plane.
    """

    def __init__(
        self, name: str, home: Path, interface: NativeInterface, codec: InterfaceCodec, inputs: Inputs, outputs: Outputs
    ) -> None:
        self._name = name
        self._home = home
        self._interface = interface
        self._codec = codec
        self._inputs = inputs
        self._outputs = outputs

    @property
    def name(self) -> str:
        """The run's name, by which `flyte get run` finds it."""
        return self._name

    @property
    def phase(self) -> ActionPhase:
        """Where the run is: `SUCCEEDED`."""
        return ActionPhase.SUCCEEDED

    @property
    def url(self) -> str:
        """The folder of the run's files."""
        return str(run_folder(self._home, self._name))

    def done(self) -> bool:
        """True: `flyte.run` returns when a local run is over."""
        return self.phase.is_terminal

    @immediate
    def wait(self, quiet: bool = False, wait_for: Literal["terminal", "running"] = "terminal") -> None:
        """Nothing is left to wait for: it is over. The arguments are those of runs on a control plane."""

    @immediate
    def outputs(self) -> ActionOutputs:
        """The outputs of the root task; None for a task without outputs."""
        names = list(self._interface.outputs)
        value = self._codec.decode_outputs(self._outputs)
        if not names:
            return ActionOutputs(self._outputs, (None,))
        return ActionOutputs(self._outputs, value if len(names) > 1 else (value,), names)

    @immediate
    def inputs(self) -> ActionInputs:
        """The inputs of the root task, defaults included."""
        return ActionInputs(self._inputs, self._codec.decode_inputs(self._inputs))

    @immediate
    def output_literals(self) -> dict[str, Any]:
        """The outputs as `flyteidl2` literals by name."""
        return {literal.name: literal.value for literal in self._outputs.literals}

    @immediate
    def input_literals(self) -> dict[str, Any]:
        """The inputs as `flyteidl2` literals by name."""
        return {literal.name: literal.value for literal in self._inputs.literals}

    @immediate
    def raise_for_status(self) -> None:
        """Nothing: a local run that failed has raised already."""

    @immediate
    def details(self) -> RunDetails:
        """What the store holds of the run and its actions."""
        with StoreReader(self._home) as reader:
            run = reader.load_run(self._name)
            return RunDetails(
                name=run.name,
                task_name=run.task_name,
                phase=run.phase,
                mode=run.mode,
                labels=run.labels,
                created_at=run.created_at,
                ended_at=run.ended_at,
                actions=tuple(reader.list_actions(run)),
            )

    def __repr__(self) -> str:
        return f"LocalRun(name={self._name!r}, phase={self.phase.value!r}, url={self.url!r})"


if TYPE_CHECKING:

    class StartedRun(LocalRun, Run):  # type: ignore[misc]  # their details differ
        """What starting a run gives: a `LocalRun`, or with a control plane a `Run`, which can do more."""
