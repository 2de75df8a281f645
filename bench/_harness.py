"""Measures one thing on two interpreters in turn, and writes what came out as a table, JSON and Markdown.

Every script of this folder compares the interpreter it runs on (ours) with one that has the official release. The two
take turns (ours, official, ours, official, ...), so that a busy minute of the machine falls on both.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from statistics import median

OFFICIAL_VERSION = "2.12.1"
BENCH = Path(__file__).resolve().parent
PROGRAMS = BENCH / "programs"
RESULTS = BENCH / "results"


@dataclass(frozen=True)
class Interpreter:
    """A Python with one of the two distributions installed."""

    python: Path

    @property
    def flyte(self) -> Path:
        """The console script `flyte` beside this interpreter."""
        return self.python.parent / "flyte"

    def version(self) -> str:
        """The version of the distribution named flyte."""
        code = "import importlib.metadata as m; print(m.version('flyte'))"
        return subprocess.run([self.python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


@dataclass(frozen=True)
class Figure:
    """Samples of one quantity on both sides, and the targets that its medians are held against."""

    what: str
    unit: str
    ours: Sequence[float]
    official: Sequence[float] = ()
    at_most_ratio: float | None = None
    at_most: float | None = None

    @property
    def ratio(self) -> float | None:
        """Our median over the official one, None where only ours is measured."""
        return median(self.ours) / median(self.official) if self.official else None

    @property
    def reached(self) -> bool | None:
        """Whether every target of this figure is met, None when it has none."""
        verdicts = []
        if self.at_most_ratio is not None:
            verdicts.append(self.ratio is not None and self.ratio <= self.at_most_ratio)
        if self.at_most is not None:
            verdicts.append(median(self.ours) <= self.at_most)
        return all(verdicts) if verdicts else None

    def cells(self) -> list[str]:
        """What the columns of the table say."""
        targets = []
        if self.at_most_ratio is not None:
            targets.append(f"ratio ≤ {self.at_most_ratio:g}")
        if self.at_most is not None:
            targets.append(f"≤ {self.at_most:,.6g} {self.unit}")
        return [
            self.what,
            f"{median(self.ours):,.4g} {self.unit}",
            f"{median(self.official):,.4g} {self.unit}" if self.official else "",
            "" if self.ratio is None else f"{self.ratio:.3f}",
            ", ".join(targets),
            {True: "yes", False: "NO", None: ""}[self.reached],
        ]


COLUMNS = ["what", "ours", f"official {OFFICIAL_VERSION}", "ratio", "target", "reached"]


@dataclass
class Bench:
    """One run of a script: who is compared, how often, and where the programs keep their state."""

    name: str
    runs: int
    folder: Path
    official_python: Path | None
    figures: list[Figure] = field(default_factory=list)

    @property
    def ours(self) -> Interpreter:
        """The interpreter that runs this script."""
        return Interpreter(Path(sys.executable))

    @cached_property
    def official(self) -> Interpreter:
        """The one named on the command line, or one made on first use."""
        return Interpreter(self.official_python or installed_official())

    def environment(self) -> dict[str, str]:
        """Variables of a measured process: homes of its own, and nothing that reports to the outside."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("FLYTE", "PYTHON"))}
        return inherited | {
            "HOME": str(self.folder),
            "FLYTE_HOME": str(self.folder / "flyte-home"),
            "DO_NOT_TRACK": "1",
        }

    def output_of(self, *command: str | Path) -> str:
        """Run a command to its end in the folder of the programs; its standard output."""
        done = subprocess.run(
            command, cwd=PROGRAMS, env=self.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def wall_ms(self, *command: str | Path) -> float:
        """Milliseconds a whole process takes."""
        start = time.perf_counter()
        self.output_of(*command)
        return (time.perf_counter() - start) * 1e3

    def in_turn(
        self, measure: Callable[[Interpreter], Mapping[str, float]], runs: int | None = None
    ) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
        """Samples by quantity, ours and official, from `runs` rounds of one measurement each.

        A round before them is dropped: it compiles byte code and fills the page cache, which no later process pays for.
        """
        samples: tuple[dict[str, list[float]], dict[str, list[float]]] = ({}, {})
        for round_no in range((runs or self.runs) + 1):
            for side, interpreter in zip(samples, (self.ours, self.official), strict=True):
                for quantity, value in measure(interpreter).items():
                    if round_no:
                        side.setdefault(quantity, []).append(value)
        return samples

    def publish(self) -> None:
        """Print the table, and write it with every sample to `results/`."""
        about = machine() | {"ours": self.ours.version()}
        if any(figure.official for figure in self.figures):
            about["official"] = self.official.version()
        columns = zip(COLUMNS, *(figure.cells() for figure in self.figures), strict=True)
        filled = [column for column in columns if any(column[1:])]
        rows = [list(row) for row in zip(*filled, strict=True)]
        document = about | {"figures": [asdict(figure) | {"reached": figure.reached} for figure in self.figures]}
        print(text_table(rows))
        write_results(self.name, about, document, markdown_table(rows))


@contextmanager
def bench(name: str, description: str, *, runs: int) -> Iterator[Bench]:
    """A bench set up from the command line; its figures are published when the block ends."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--official", type=Path, help=f"a Python with the official flyte {OFFICIAL_VERSION}")
    parser.add_argument("--runs", type=int, default=runs, help=f"measurements on each side (default {runs})")
    arguments = parser.parse_args()
    # Beside the checkout and not in the temporary folder, which may be memory: a commit has to reach a disk.
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=RESULTS, suffix=".tmp") as folder:
        session = Bench(name, arguments.runs, Path(folder), official_python=arguments.official)
        yield session
        session.publish()


def machine() -> dict[str, object]:
    """When and on what it was measured."""
    return {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
    }


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """The rows, the first of which is the heading, in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """The same as Markdown."""
    heading, *others = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (heading, ["---"] * len(heading), *others))


def write_results(name: str, about: Mapping[str, object], document: Mapping[str, object], markdown: str) -> None:
    """Leave `results/<name>.json` with every sample, and `results/<name>.md` with the tables."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")
    heading = ", ".join(f"{key} {value}" for key, value in about.items())
    (RESULTS / f"{name}.md").write_text(f"# {name}\n\n{heading}\n\n{markdown}\n")


def installed_official() -> Path:
    """An interpreter with the official release in an environment of its own, made on first use and then kept."""
    folder = Path(tempfile.gettempdir()) / f"flyte-official-{OFFICIAL_VERSION}"
    python = folder / "bin" / "python"
    if not (folder / "bin" / "flyte").exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"flyte=={OFFICIAL_VERSION}"], check=True)
    return python


def commit_us(folder: Path, count: int = 1_000) -> float:
    """Median microseconds of one SQLite transaction that inserts one small row, as durable as ours are."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        database = sqlite3.connect(Path(temporary) / "commits.db", isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE entry (id INTEGER PRIMARY KEY, value BLOB)")
        samples = []
        for _ in range(count):
            start = time.perf_counter()
            database.execute("BEGIN IMMEDIATE")
            database.execute("INSERT INTO entry (value) VALUES (?)", (b"x" * 200,))
            database.execute("COMMIT")
            samples.append((time.perf_counter() - start) * 1e6)
        database.close()
    return median(samples)
