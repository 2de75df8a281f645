"""Kills a control plane at random moments with `kill -9` while it serves a run, starts it again, looks at the store.

The run is that of `programs/storm.py`; its client (`programs/storm_served.py`) lives through all of it. Every other
kill takes the host of the attempts, and so the attempts, too: those are lost then, and follow anew. `chaos.py --server`
calls it.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil
from _harness import PROGRAMS
from chaos import PATIENCE_S, Patient, Tally

READY_S = 30.0


@dataclass
class ServerTally(Tally):
    """The same, of control planes."""

    hosts_killed: int = 0
    restart_ms: list[int] = field(default_factory=list)
    undisturbed_s: float = 0.0


@dataclass
class Plane:
    """A control plane that is killed and started again at one address."""

    home: Path
    log: IO[str]
    port: int = field(default_factory=lambda: _free_port())
    process: subprocess.Popen[str] | None = None

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"localhost:{self.port}"

    def start(self) -> float:
        """It is ready; returns after how many seconds."""
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [str(Path(sys.executable).with_name("flyte")), "start", "--port", str(self.port), "--home", str(self.home)],
            stdout=self.log,
            stderr=self.log,
            text=True,
        )
        while not (self.home / "server.json").exists():
            if self.process.poll() is not None or time.perf_counter() - began > READY_S:
                raise SystemExit(f"the control plane does not start: see {self.log.name}")
            time.sleep(0.01)
        return time.perf_counter() - began

    def kill(self, *, with_host: bool) -> None:
        """It is gone, and with it what attempts run below."""
        assert self.process is not None
        if with_host:
            for each in self.hosts():
                each.send_signal(signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        (self.home / "server.json").unlink(missing_ok=True)

    def hosts(self) -> list[psutil.Process]:
        """The processes that attempts run below."""
        found = []
        for each in psutil.process_iter(["cmdline"]):
            line = each.info["cmdline"] or []
            if "flyte._server.executors.host" in line and str(self.home) in line:
                found.append(each)
        return found

    def stop(self) -> None:
        """It has stopped, with everything below it."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(READY_S)


class ServedPatient(Patient):
    """A run of a control plane in a home of its own."""

    def _examine_effects(self) -> None:
        """What stood as succeeded when the plane was killed last has not run since."""
        effects = self.folder / "effects"
        lines = effects.read_text().splitlines() if effects.exists() else []
        ran = Counter(line.split()[1] for line in lines[self.seen :])
        again = [name for name in ran if name in self.recorded]
        self.tally.add("repeated_effects", len(again), ", ".join(again[:3]))
        self.seen = len(lines)

    seen = 0


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return int(free.getsockname()[1])


def _live(folder: Path, actions: int, tally: ServerTally, kills: int, moments: random.Random, pause_s: float) -> float:
    """One run, killed so many times; returns how many seconds it took."""
    home = folder / "home"
    patient = ServedPatient(folder, actions, tally)
    with (folder / "log").open("w+") as log:
        plane = Plane(home, log)
        plane.start()
        began = time.perf_counter()
        client = subprocess.Popen(
            [sys.executable, "storm_served.py", plane.endpoint, str(actions), str(folder / "effects")],
            cwd=PROGRAMS,
            env=os.environ | {"FLYTE_HOME": str(folder / "client")},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert client.stdout is not None
        client.stdout.readline()
        for number in range(kills):
            try:
                client.wait(moments.random() * pause_s)
                break
            except subprocess.TimeoutExpired:
                pass
            with_host = number % 2 == 1
            plane.kill(with_host=with_host)
            tally.kills += 1
            tally.hosts_killed += with_host
            patient.examine()
            tally.restart_ms.append(round(plane.start() * 1000))
            tally.resumes += 1
        try:
            output = client.communicate(timeout=PATIENCE_S)[0]
        except subprocess.TimeoutExpired:
            client.kill()
            output = client.communicate()[0]
        took_s = time.perf_counter() - began
        log.seek(0)
        story = f"{client.returncode}: {log.read()[-3000:]}"
        tally.add("failures_to_resume", client.returncode != 0 or "succeeded" not in output, story)
        patient.examine()
        plane.stop()
        tally.actions_recorded += len(patient.recorded)
        tally.add("files_left", len(plane.hosts()), "hosts that outlive a stop")
    return took_s


def server_chaos(kills: int, actions: int, seed: int, folder: Path) -> ServerTally:
    """Runs on control planes that are killed at random moments, until so many were."""
    moments, tally, began = random.Random(seed), ServerTally(), time.perf_counter()
    first = folder / "undisturbed"
    first.mkdir()
    tally.undisturbed_s = round(_live(first, actions, tally, 0, moments, 1.0), 1)
    if tally.broken:
        raise SystemExit("\n".join(["the run breaks promises though nobody kills it:", *tally.stories]))
    while tally.kills < kills:
        tally.runs += 1
        home = folder / f"run-{tally.runs}"
        home.mkdir()
        _live(home, actions, tally, min(kills - tally.kills, 12), moments, tally.undisturbed_s / 3)
        shutil.rmtree(home)
    tally.seconds = round(time.perf_counter() - began, 1)
    return tally
