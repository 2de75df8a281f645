"""Attempts under the executor of a control plane. Arguments: `own`, `reused` or `official`, a count, a folder."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import served_tasks
from flyteidl2.core.literals_pb2 import Literal, Primitive, Scalar
from flyteidl2.task.common_pb2 import Inputs, NamedLiteral, Outputs

from flyte._bundle.building import build_bundle
from flyte._bundle.selection import plan_bundle
from flyte._serialization.spec import task_spec
from flyte._server.executors.images import ImageMapping
from flyte._server.executors.local import ExecutorSettings, LocalExecutor
from flyte._server.executors.orders import AttemptOrder
from flyte.models import ActionID, SerializationContext


class Orders:
    """Orders for attempts at one task."""

    def __init__(self, home: Path, task: Any) -> None:
        folder = Path(__file__).resolve().parent
        bundle = build_bundle(plan_bundle(folder, modules={"served_tasks": served_tasks}), to=str(home / "uploads"))
        self.spec = task_spec(task, SerializationContext("v1", "p", "d", "o", bundle, root_dir=folder))
        self.digest = hashlib.sha256(self.spec.SerializeToString(deterministic=True)).digest()
        self.base = home / "runs" / "r"
        self.number = 0

    def next(self) -> AttemptOrder:
        """One more."""
        self.number += 1
        name = f"{self.digest.hex()[:8]}{self.number}"
        folder = self.base / name
        folder.mkdir(parents=True)
        one = Literal(scalar=Scalar(primitive=Primitive(integer=1)))
        inputs = Inputs(literals=[NamedLiteral(name="x", value=one)])
        (folder / "inputs.pb").write_bytes(inputs.SerializeToString())
        return AttemptOrder(
            action=ActionID(name=name, run_name="r", project="p", domain="d", org="o"),
            attempt_no=1,
            spec=self.spec,
            spec_digest=self.digest,
            inputs_uri=str(folder / "inputs.pb"),
            outputs_path=str(folder / "1"),
            run_base_dir=str(self.base),
            raw_data_path=str(self.base / "raw_data"),
            checkpoint_path=str(folder / "1" / "_flytecheckpoints"),
            prev_checkpoint=None,
            run_started_at=datetime.now(UTC),
        )


async def attempt(executor: LocalExecutor, order: AttemptOrder) -> float:
    """Milliseconds until its first line."""
    asked_at = time.time()
    end = await executor.run_attempt(order, lambda: None)
    if end.outputs is None:
        raise SystemExit(f"an attempt failed: {end.failure}")
    first_line_at: float = Outputs.FromString(end.outputs).literals[0].value.scalar.primitive.float_value
    return (first_line_at - asked_at) * 1e3


async def together(executor: LocalExecutor, orders: Sequence[AttemptOrder], at_once: int) -> dict[str, float]:
    """Milliseconds of wall time and of the processors for each of them."""
    limit = asyncio.Semaphore(at_once)

    async def one(order: AttemptOrder) -> None:
        async with limit:
            await attempt(executor, order)

    began = time.perf_counter(), _of_others_s(), time.process_time()
    await asyncio.gather(*(one(order) for order in orders))
    ended = time.perf_counter(), _of_others_s(), time.process_time()
    wall, others, server = ((after - before) / len(orders) * 1e3 for before, after in zip(began, ended, strict=True))
    return {"wall": wall, "others": others, "server": server}


def _of_others_s() -> float:
    """Seconds of the processors that the processes of attempts have taken, and the fork servers."""
    return sum(sum(each.cpu_times()[:4]) for each in psutil.Process().children(recursive=True))


async def measure_own(executor: LocalExecutor, home: Path, count: int) -> dict[str, float]:
    """Attempts in processes of their own."""
    orders = Orders(home, served_tasks.own)
    await executor.warm()
    cold = await attempt(executor, orders.next())
    for _ in range(4):
        await attempt(executor, orders.next())
    await asyncio.sleep(0.5)  # The server that has loaded the module is there by now.
    warm_ms = [await attempt(executor, orders.next()) for _ in range(40)]
    each = await together(executor, [orders.next() for _ in range(count)], 2)
    return {
        "cold_ms": cold,
        "first_line_ms": median(warm_ms),
        "cpu_ms": each["others"],
        "server_ms": each["server"],
    }


async def measure_reused(executor: LocalExecutor, home: Path, count: int) -> dict[str, float]:
    """Attempts in workers."""
    orders = Orders(home, served_tasks.reused)
    await together(executor, [orders.next() for _ in range(100)], 40)
    one = await together(executor, [orders.next() for _ in range(count)], 1)
    many = await together(executor, [orders.next() for _ in range(count)], 40)
    return {
        "many_ms": many["wall"],
        "many_cpu_ms": many["others"],
        "many_server_ms": many["server"],
        "one_cpu_ms": one["others"],
        "one_server_ms": one["server"],
    }


async def measure_official(executor: LocalExecutor, home: Path, count: int) -> dict[str, float]:
    """Attempts of the official release."""
    orders = Orders(home, served_tasks.own)
    began = time.perf_counter()
    await attempt(executor, orders.next())
    cold_s = time.perf_counter() - began
    each = await together(executor, [orders.next() for _ in range(count)], count)
    return {"cold_s": cold_s, "eleven_s": each["wall"] * count / 1e3}


async def measured() -> dict[str, float]:
    what, count = sys.argv[1], int(sys.argv[2])
    measure = {"own": measure_own, "reused": measure_reused, "official": measure_official}[what]
    images = ImageMapping([("*", Path(sys.argv[3]))] if what == "official" else ())
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ["FLYTE_HOME"] = folder
        executor = LocalExecutor(ExecutorSettings(home=home, endpoint="localhost:30080", images=images))
        try:
            return await measure(executor, home, count)
        finally:
            await executor.close()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measured())))
