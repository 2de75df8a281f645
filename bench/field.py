"""The same two programs on the systems of this field: a fan-out and a chain of trivial tasks.

Each system has a virtual environment of its own, made by this script and kept for the next time. The systems take
turns, so that a busy minute of the machine falls on all of them. A sample is a fresh process with a fresh home folder;
servers, workers and imports are warm before the clock starts. It runs from the first call to the last result.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import uuid
import venv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

import psutil
from _harness import (
    OFFICIAL_VERSION,
    PROGRAMS,
    RESULTS,
    Bench,
    installed_official,
    machine,
    markdown_table,
    text_table,
    write_results,
)
from floor import floor_us

FAN_OUT, CHAIN, BY_REFERENCE = "fan-out", "chain", "chain-by-reference"
# A table: the shapes that it has rows of.
TABLES = {
    "Fan-out: all calls at once": (FAN_OUT,),
    "Chain: each call waits for the result of the one before": (CHAIN, BY_REFERENCE),
}
LIMIT_S = 600
# The process that is measured and all that it starts carry it, so that none is left behind.
MARK = "FIELD_SAMPLE"
ISSUE_FLOOR_US = 45.0
SILENCE = {
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "PREFECT_LOGGING_LEVEL": "ERROR",
    # A new home has a database to be made first.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}
SETTINGS_OF_OTHERS = ("FLYTE", "PYTHON", "DBOS", "PREFECT", "RAY", "DASK")


class Failure(Exception):
    """A system could not be installed or run here."""


@dataclass(frozen=True)
class System:
    """One system in one setting, and how many actions it is given in each shape."""

    name: str
    records: str
    program: str
    counts: Mapping[str, int]
    distribution: str = "flyte"
    requirements: Sequence[str] = ()
    arguments: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    at_most_ratio: float | None = None


OURS = System(
    "this project",
    "inputs, results, times; SQLite, `synchronous=FULL`, before the caller sees a result",
    "field_flyte.py",
    {FAN_OUT: 10_000, CHAIN: 1_000},
)
PREFECT_REQUIREMENTS = [
    "prefect",
    # Its server passes an argument that later ones have removed.
    "fastapi<0.150",
]
SYSTEMS = [
    OURS,
    System(
        f"flyte {OFFICIAL_VERSION} local",
        "nothing",
        "field_flyte.py",
        {FAN_OUT: 10_000, CHAIN: 1_000},
        at_most_ratio=0.15,
    ),
    System(
        f"flyte {OFFICIAL_VERSION} local, `local_persistence=True`",
        "inputs, results, times; SQLite, `synchronous=FULL`",
        "field_flyte.py",
        {FAN_OUT: 500, CHAIN: 200},
        arguments=["recorded"],
    ),
    System(
        "DBOS",
        "results, times; SQLite, `synchronous=FULL`, before the caller sees a result",
        "field_dbos.py",
        {FAN_OUT: 1_000, CHAIN: 1_000},
        distribution="dbos",
        requirements=["dbos"],
        at_most_ratio=0.04,
    ),
    System(
        "Prefect",
        "states, times; SQLite, `synchronous=NORMAL`, some time after the caller sees a result",
        "field_prefect.py",
        {FAN_OUT: 300, CHAIN: 200},
        distribution="prefect",
        requirements=PREFECT_REQUIREMENTS,
        at_most_ratio=0.04,
    ),
    System(
        "Prefect, results kept",
        "the same, and results in files",
        "field_prefect.py",
        {FAN_OUT: 300},
        distribution="prefect",
        requirements=PREFECT_REQUIREMENTS,
        variables={"PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true"},
    ),
    System(
        "Ray, 2 worker processes",
        "nothing",
        "field_ray.py",
        {FAN_OUT: 10_000, CHAIN: 1_000, BY_REFERENCE: 1_000},
        distribution="ray",
        requirements=["ray"],
        at_most_ratio=0.2,
    ),
    System(
        "Dask, 2 worker processes",
        "nothing",
        "field_dask.py",
        {FAN_OUT: 2_000, CHAIN: 300, BY_REFERENCE: 300},
        distribution="distributed",
        requirements=["distributed"],
        arguments=["processes"],
    ),
    System(
        "Dask, 2 threads",
        "nothing",
        "field_dask.py",
        {FAN_OUT: 2_000, CHAIN: 300, BY_REFERENCE: 300},
        distribution="distributed",
        requirements=["distributed"],
        arguments=["threads"],
    ),
]


@dataclass
class Entry:
    """What came out for one system: samples in microseconds an action by shape, or why there are none."""

    system: System
    python: Path | None = None
    version: str = ""
    samples: dict[str, list[float]] = field(default_factory=dict)
    failure: str | None = None

    def median_us(self, shape: str) -> float | None:
        """None where there is no sample."""
        samples = self.samples.get(shape)
        return median(samples) if samples else None


@dataclass(frozen=True)
class Field:
    """One run of this script."""

    environments: Path
    official: Path | None
    scale: float

    def entered(self, system: System) -> Entry:
        """The system with an interpreter that has it, installed if need be."""
        entry = Entry(system)
        try:
            entry.python = self._interpreter(system)
            entry.version = output_of([entry.python, "-c", VERSION_OF, system.distribution], dict(os.environ)).strip()
        except (Failure, subprocess.CalledProcessError) as failure:
            entry.failure = f"not installed: {failure}"
        return entry

    def _interpreter(self, system: System) -> Path:
        if system is OURS:
            return Path(sys.executable)
        if not system.requirements:
            return self.official or installed_official()
        folder = self.environments / system.distribution
        python, complete = folder / "bin" / "python", folder / "complete"
        if not complete.exists():
            venv.create(folder, clear=True, with_pip=True)
            install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *system.requirements]
            output_of(install, dict(os.environ))
            complete.touch()
        return python

    def count(self, system: System, shape: str) -> int:
        """How many actions the system is given."""
        return max(10, int(system.counts[shape] * self.scale))

    def measure(self, entry: Entry) -> None:
        """Add a sample of each shape that the system is given; a failure takes it out of the rounds that follow."""
        assert entry.python is not None
        for shape in entry.system.counts:
            try:
                command = [entry.python, entry.system.program, shape, str(self.count(entry.system, shape))]
                us = sample_us([*command, *entry.system.arguments], entry.system.variables)
            except Failure as failure:
                entry.failure = f"{shape} failed: {failure}"
                return
            entry.samples.setdefault(shape, []).append(us)
            print(f"{entry.system.name}: {shape} {us:,.1f} µs", file=sys.stderr)


VERSION_OF = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"


def sample_us(command: Sequence[object], variables: Mapping[str, str]) -> float:
    """Microseconds an action that a program printed, run in a home folder of its own on the disk of `results/`."""
    mark = uuid.uuid4().hex
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS_OF_OTHERS)}
    with tempfile.TemporaryDirectory(dir=RESULTS, suffix=".tmp", ignore_cleanup_errors=True) as home:
        homes = {"HOME": home, "FLYTE_HOME": f"{home}/flyte", "PREFECT_HOME": f"{home}/prefect", MARK: mark}
        try:
            printed = output_of(command, inherited | SILENCE | homes | dict(variables))
        finally:
            end_processes(mark)
    us: float = json.loads(printed.splitlines()[-1])["us"]
    return us


def output_of(command: Sequence[object], environment: Mapping[str, str]) -> str:
    """Standard output of a command, run in the folder of the programs to its end.

    Into files, since a process that outlives the command would keep a pipe open.

    Raises:
        Failure: it ended otherwise than well, or not within `LIMIT_S`; with the last line of what it had to say.
    """
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        try:
            done = subprocess.run(
                [str(part) for part in command],
                cwd=PROGRAMS,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                timeout=LIMIT_S,
            )
        except OSError as error:
            raise Failure(str(error)) from error
        except subprocess.TimeoutExpired as expired:
            raise Failure(f"not done after {LIMIT_S} s") from expired
        output.seek(0)
        errors.seek(0)
        if done.returncode:
            said = errors.read().strip() or output.read().strip() or "nothing said"
            raise Failure(f"ended with {done.returncode}: {said.splitlines()[-1]}")
        return output.read()


def end_processes(mark: str) -> None:
    """Kill what a sample has left running."""
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark:
                process.kill()
                process.wait(10)
        except psutil.Error:
            continue


def rows_of(entries: Sequence[Entry], shapes: Sequence[str], counts: Field) -> list[list[str]]:
    """One table: a heading, and a line for each shape of each system; all are held against ours in the first shape."""
    ours = entries[0].median_us(shapes[0])
    measured = [(entry, shape) for entry in entries for shape in shapes if shape in entry.system.counts]
    heading = ["system", "recorded durably", "n", "per action", "ours / theirs", "target", "reached"]
    return [heading, *(row_of(entry, shape, ours, counts.count(entry.system, shape)) for entry, shape in measured)]


def row_of(entry: Entry, shape: str, ours: float | None, count: int) -> list[str]:
    """What the columns say of one system in one shape."""
    system, theirs = entry.system, entry.median_us(shape)
    title = f"{system.name}, references passed on" if shape == BY_REFERENCE else system.name
    if system.requirements:
        title += f" ({entry.version or 'not installed'})"
    row = [title, system.records, f"{count:,}"]
    if entry.failure is not None or theirs is None:
        return [*row, (entry.failure or "not measured").replace("|", "\\|"), "", "", ""]
    row.append(f"{theirs:,.0f} µs" if theirs >= 1000 else f"{theirs:,.3g} µs")
    if ours is None or system is OURS:
        return [*row, "", "", ""]
    ratio = ours / theirs
    # The targets are for a fan-out at its full size.
    target = system.at_most_ratio if shape == FAN_OUT and count == system.counts[shape] else None
    if target is None:
        return [*row, f"{ratio:.3g}", "", ""]
    return [*row, f"{ratio:.3g}", f"≤ {target:g}", "yes" if ratio <= target else "NO"]


def floor_rows(ours_us: float, floor: float) -> list[list[str]]:
    """Our fan-out beside the two floors: that of `floor.py` here and now, and the one that the target was set with."""
    rows = [["floor", "per action", "ours / floor", "target", "reached"]]
    for name, us in (("`floor.py`, in this run", floor), ("as measured when the target was set", ISSUE_FLOOR_US)):
        ratio = ours_us / us
        rows.append([name, f"{us:,.4g} µs", f"{ratio:.2f}", "≤ 3", "yes" if ratio <= 3 else "NO"])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="rounds, one sample a system and shape in each (default 5)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiply every number of actions (for a quick look)")
    parser.add_argument("--official", type=Path, help=f"a Python with the official flyte {OFFICIAL_VERSION}")
    parser.add_argument(
        "--environments",
        type=Path,
        default=RESULTS / "environments.tmp",
        help="where the environments of the other systems are made and kept (default bench/results/environments.tmp)",
    )
    arguments = parser.parse_args()
    official = arguments.official and arguments.official.absolute()
    counts = Field(arguments.environments.absolute(), official, arguments.scale)
    RESULTS.mkdir(exist_ok=True)
    load_before = os.getloadavg()[0]
    entries = [counts.entered(system) for system in SYSTEMS]
    floors = []
    for _ in range(arguments.runs):
        for entry in entries:
            if entry.failure is None:
                counts.measure(entry)
        with tempfile.TemporaryDirectory(dir=RESULTS, suffix=".tmp") as folder:
            floors.append(floor_us(Bench("field", 1, Path(folder), official_python=None))["all"])
    about = machine() | {
        "rounds": arguments.runs,
        "scale": arguments.scale,
        "load average": f"{load_before:.1f} before, {os.getloadavg()[0]:.1f} after",
        "ours": entries[0].version,
    }
    publish(entries, counts, floors, about)


def publish(entries: Sequence[Entry], counts: Field, floors: Sequence[float], about: Mapping[str, object]) -> None:
    """Print the tables, and write them with every sample to `results/`."""
    tables = {title: rows_of(entries, shapes, counts) for title, shapes in TABLES.items()}
    ours_us = entries[0].median_us(FAN_OUT)
    if ours_us is not None:
        tables["The floor: encode, name and commit, with no engine around"] = floor_rows(ours_us, median(floors))
    for title, rows in tables.items():
        print(f"{title}\n\n{text_table(rows)}\n")
    systems = [
        asdict(entry.system) | {"version": entry.version, "samples_us": entry.samples, "failure": entry.failure}
        for entry in entries
    ]
    markdown = "\n\n".join(f"## {title}\n\n{markdown_table(rows)}" for title, rows in tables.items())
    write_results("field", about, {**about, "floor_us": list(floors), "systems": systems}, markdown)


if __name__ == "__main__":
    main()
