"""What a control plane of this machine takes: to start, for one task, for many calls, to tell of changes."""

from __future__ import annotations

import json
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
from _harness import Bench, Figure, bench

MANY = 10_000


class Plane:
    """A running control plane."""

    def __init__(self, session: Bench) -> None:
        self.session = session
        with socket.socket() as free:
            free.bind(("localhost", 0))
            self.endpoint = f"localhost:{free.getsockname()[1]}"
        began = time.perf_counter()
        session.output_of(session.ours.flyte, "start", "--detach", "--port", self.endpoint.partition(":")[2])
        self.started_s = time.perf_counter() - began
        instance = json.loads((session.folder / "flyte-home" / "server.json").read_text())
        self.process = psutil.Process(instance["pid"])

    def run(self, task: str, count: int, *more: str) -> dict[str, Any]:
        """The figures of one run."""
        python = self.session.ours.python
        figures: dict[str, Any] = json.loads(
            self.session.output_of(python, "plane_run.py", self.endpoint, task, str(count), *more)
        )
        return figures


@contextmanager
def plane(session: Bench) -> Iterator[Plane]:
    """A control plane, until the block ends."""
    running = Plane(session)
    try:
        yield running
    finally:
        session.output_of(session.ours.flyte, "stop")


def command_s(session: Bench, running: Plane) -> float:
    """Seconds of `flyte run` of a one-line task, with its process."""
    began = time.perf_counter()
    session.output_of(
        *(session.ours.flyte, "--endpoint", running.endpoint, "--insecure", "run", "-p", "flytesnacks"),
        *("-d", "development", "--follow", "plane_tasks.py", "one", "--x", "1"),
    )
    return time.perf_counter() - began


def main() -> None:
    with bench("plane", __doc__ or "", runs=5) as session:
        starts, commands, served, one_by_one, kept = [], [], [], [], []
        for round_no in range(session.runs + 1):
            with plane(session) as running:
                running.run("one", 1)
                figures = {
                    "start": running.started_s,
                    "served": running.run("one", 1)["served_s"],
                    "command": command_s(session, running),
                    "own": running.run("fan_out", 100)["served_s"],
                }
                running.run("kept_fan_out", 4)
                figures["kept"] = running.run("kept_fan_out", 100)["served_s"]
            if round_no:
                starts.append(figures["start"])
                commands.append(figures["command"])
                served.append(figures["served"] * 1e3)
                one_by_one.append(figures["own"])
                kept.append(figures["kept"])
        with plane(session) as running:
            running.run("kept_fan_out", 4)
            many = running.run("kept_fan_out", MANY, "--watch")
            memory_mib = running.process.memory_info().rss / 2**20
        late = statistics.quantiles(many["late_ms"], n=100)[98]
        session.figures += [
            Figure("flyte start --detach, until it is ready and the command has ended", "s", starts, at_most=1.5),
            Figure("flyte run of a one-line task, warm server, with its process", "s", commands, at_most=1.2),
            Figure("the server's part of that: creation to end of the run", "ms", served, at_most=60),
            Figure("parent and 100 children, a process for each attempt", "s", one_by_one, at_most=3),
            Figure("the same with ReusePolicy", "s", kept, at_most=0.6),
            Figure(f"{MANY:,} children in reused workers, seconds", "s", [many["served_s"]], at_most=MANY / 400),
            Figure("memory of the server after that", "MiB", [memory_mib], at_most=500),
            Figure("end of an action to who watches, 99th percentile meanwhile", "ms", [late], at_most=50),
        ]


if __name__ == "__main__":
    main()
