"""Tasks of a project folder, and orders for attempts at them, as a control plane gives them."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import itertools
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flyteidl2.task.common_pb2 import Outputs
from flyteidl2.task.task_definition_pb2 import TaskSpec

from flyte._bundle.building import build_bundle
from flyte._bundle.selection import plan_bundle
from flyte._controller.log_files import LogReader
from flyte._engine.attempts import Failure
from flyte._serialization.spec import task_spec
from flyte._server.executors.local import ExecutorSettings, LocalExecutor
from flyte._server.executors.orders import AttemptEnd, AttemptOrder
from flyte.models import ActionID, CodeBundle, SerializationContext
from tests.worker.attempts import inputs_of, value_of

HEADING = "import asyncio, ctypes, os, signal, subprocess, sys, threading, time\nimport flyte\n"
STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

_modules = itertools.count()


class Served:
    """An executor, and what it is asked to run.

    Args:
        folder: Everything is below it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "server"
        self.project = folder / "project"
        self.project.mkdir()
        self.names = itertools.count(1)
        self.executors: list[LocalExecutor] = []
        self._modules: list[str] = []

    def executor(self, **settings: Any) -> LocalExecutor:
        """A new executor, closed when the test ends."""
        chosen: dict[str, Any] = {"home": self.home, "endpoint": "localhost:30080"} | settings
        made = LocalExecutor(ExecutorSettings(**chosen))
        self.executors.append(made)
        return made

    def specs(self, code: str, environment: str = "flyte.TaskEnvironment('e')") -> Any:
        """Specs of the tasks of a module with an environment `env` and this code: a function of their names."""
        name = f"served_tasks_{next(_modules)}"
        path = self.project / f"{name}.py"
        path.write_text(f"{HEADING}env = {environment}\n{code}")
        sys.path.insert(0, str(self.project))
        try:
            importlib.invalidate_caches()
            module = importlib.import_module(name)
        finally:
            sys.path.remove(str(self.project))
        self._modules.append(name)
        bundle: CodeBundle | None = build_bundle(
            plan_bundle(self.project, modules={name: module}), to=str(self.home / "uploads")
        )
        assert bundle is not None
        context = SerializationContext("v1", "p", "d", "o", bundle, root_dir=self.project)

        def spec(task: str) -> TaskSpec:
            return task_spec(getattr(module, task), context)

        return spec

    def order(self, spec: TaskSpec, *, number: int = 1, name: str | None = None, **more: Any) -> AttemptOrder:
        """An attempt at an action of run `r`; keywords that the order has no field for are its inputs."""
        fields = {key: more.pop(key) for key in list(more) if key in AttemptOrder.__slots__}
        action = name or f"action{next(self.names)}"
        base = self.home / "runs" / "r"
        (base / action).mkdir(parents=True, exist_ok=True)
        inputs = base / action / "inputs.pb"
        inputs.write_bytes(inputs_of(more).SerializeToString())
        outputs = base / action / str(number)
        order = AttemptOrder(
            action=ActionID(name=action, run_name="r", project="p", domain="d", org="o"),
            attempt_no=number,
            spec=spec,
            spec_digest=hashlib.sha256(spec.SerializeToString(deterministic=True)).digest(),
            inputs_uri=str(inputs),
            outputs_path=str(outputs),
            run_base_dir=str(base),
            raw_data_path=str(base / "raw_data"),
            checkpoint_path=f"{outputs}/_flytecheckpoints",
            prev_checkpoint=f"{base}/{action}/{number - 1}/_flytecheckpoints" if number > 1 else None,
            run_started_at=STARTED,
        )
        return replace(order, **fields)

    def lines(self, order: AttemptOrder) -> list[str]:
        """What is in the log of an attempt."""
        reader = LogReader(self.home, str(order.action.run_name), order.action.name, order.attempt_no)
        return [line.text for line in reader.new_lines()]

    async def close(self) -> None:
        """Nothing runs, and the modules are forgotten."""
        for executor in self.executors:
            await executor.close()
        for name in self._modules:
            sys.modules.pop(name, None)


async def run(executor: LocalExecutor, order: AttemptOrder) -> AttemptEnd:
    """How an attempt ends."""
    return await executor.run_attempt(order, lambda: None)


async def value(executor: LocalExecutor, order: AttemptOrder) -> Any:
    """What an attempt that succeeds returns."""
    end = await run(executor, order)
    assert end.failure is None, end.failure
    assert end.outputs is not None
    return value_of(Outputs.FromString(end.outputs))


async def failure(executor: LocalExecutor, order: AttemptOrder) -> Failure:
    """Why an attempt fails."""
    end = await run(executor, order)
    assert end.failure is not None, end.outputs
    assert end.outputs is None
    return end.failure


async def eventually(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    """The condition holds, now or a little later."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not condition():
        assert loop.time() < deadline, "it does not hold"
        await asyncio.sleep(0.005)
