"""Kills a run at random moments with `kill -9`, resumes it until it is over, and looks at what is left each time.

With `--server` it is the control plane that serves the run: see `server_chaos.py`.

The run (`programs/storm.py`) has nested, sync and async tasks, retries, traces, groups, cached results, and payloads
that spill into files. Prints a line of JSON and a table; ends with 1 when a promise was broken.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from _harness import PROGRAMS, RESULTS

SUCCEEDED = 5
PATIENCE_S = 120
"""A process that takes longer hangs."""


@dataclass
class Tally:
    """What happened, and which promises were broken; the latter must all be 0."""

    kills: int = 0
    runs: int = 0
    resumes: int = 0
    actions_recorded: int = 0
    seconds: float = 0.0
    lost_results: int = 0
    double_records: int = 0
    repeated_effects: int = 0
    failures_to_resume: int = 0
    damaged_stores: int = 0
    files_left: int = 0
    stories: list[str] = field(default_factory=list)

    @property
    def broken(self) -> int:
        """How many times any promise was."""
        return sum(getattr(self, name) for name in PROMISES)

    def add(self, promise: str, count: int, story: str) -> None:
        """A promise was broken so many times, maybe 0."""
        if count:
            setattr(self, promise, getattr(self, promise) + count)
            self.stories.append(f"run {self.runs}, life {self.resumes}: {promise}: {story}")


PROMISES = {
    "lost_results": "recorded results that were gone or other after a kill",
    "double_records": "actions that stand twice, or below an action that is not there",
    "repeated_effects": "bodies that ran again though their success was recorded",
    "failures_to_resume": "processes that ended with an error, or a wrong result, or hung",
    "damaged_stores": "`PRAGMA integrity_check` that is not ok",
    "files_left": "temporary files, and payloads without a record, in the folder of a finished run",
}


@dataclass
class Patient:
    """One run in a home of its own, from its first process to its end."""

    folder: Path
    actions: int
    tally: Tally
    life_no: int = 0
    recorded: dict[str, bytes] = field(default_factory=dict)
    """Digest of the outputs of every recorded success, by action."""

    @property
    def home(self) -> Path:
        """`FLYTE_HOME` of the run."""
        return self.folder / "home"

    def live(self, killed_after_s: float | None) -> bool:
        """One more process; True when the run is over, False when the process was killed after so many seconds."""
        self.life_no += 1
        self.tally.resumes += self.life_no > 1
        command = [sys.executable, "storm.py", str(self.actions)]
        environment = os.environ | {
            "FLYTE_HOME": str(self.home),
            "STORM_EFFECTS": str(self.folder / "effects"),
            "STORM_LIFE": str(self.life_no),
        }
        with (self.folder / "errors").open("w+") as errors:
            process = subprocess.Popen(
                command, cwd=PROGRAMS, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
            )
            is_killed = self._wait(process, killed_after_s)
            output = process.communicate()[0]
            errors.seek(0)
            story = f"{process.returncode}: {errors.read()[-2000:]}"
        if is_killed and process.returncode == -9:
            self.tally.kills += 1
            self.examine()
            return False
        self.tally.add("failures_to_resume", process.returncode != 0 or "succeeded" not in output, story)
        self.examine()
        self._examine_files()
        return True

    def _wait(self, process: subprocess.Popen[str], killed_after_s: float | None) -> bool:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            process.wait(PATIENCE_S if killed_after_s is None else killed_after_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return killed_after_s is not None
        return False

    def examine(self) -> None:
        """What the store and the file of effects say now is held against what they said before."""
        self._examine_effects()
        if not (self.home / "store.db").exists():
            return
        connection = sqlite3.connect(self.home / "store.db")
        verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
        self.tally.add("damaged_stores", verdict != "ok", verdict)
        has_actions = connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'action'").fetchone()[0]
        rows = (
            connection.execute("SELECT action_id, name, parent_id, phase, outputs, outputs_file FROM action").fetchall()
            if has_actions
            else []
        )
        connection.close()
        ids = {row[0] for row in rows}
        twice = [name for name, count in Counter(row[1] for row in rows).items() if count > 1]
        orphans = [row[1] for row in rows if row[2] is not None and row[2] not in ids]
        self.tally.add("double_records", len(twice) + len(orphans), f"twice {twice[:3]}, orphans {orphans[:3]}")
        now = {row[1]: self._digest(row[4], row[5]) for row in rows if row[3] == SUCCEEDED}
        lost = [name for name, digest in self.recorded.items() if now.get(name) != digest]
        self.tally.add("lost_results", len(lost), ", ".join(lost[:3]))
        self.recorded = now

    def _examine_effects(self) -> None:
        """`recorded` is still that of the life before: whatever it holds had no reason to run in this one."""
        effects = self.folder / "effects"
        lines = effects.read_text().splitlines() if effects.exists() else []
        ran = Counter(line.split()[1] for line in lines if line.split()[0] == str(self.life_no))
        again = [name for name, count in ran.items() if count > 1 or name in self.recorded]
        self.tally.add("repeated_effects", len(again), ", ".join(again[:3]))

    def _examine_files(self) -> None:
        self.tally.actions_recorded += len(self.recorded)
        connection = sqlite3.connect(self.home / "store.db")
        columns = connection.execute("SELECT inputs_file FROM action UNION SELECT outputs_file FROM action").fetchall()
        connection.close()
        files = (path for path in (self.home / "runs").rglob("*") if path.suffix in (".pb", ".tmp"))
        left = {str(path.relative_to(self.home)) for path in files} - {path for (path,) in columns}
        self.tally.add("files_left", len(left), ", ".join(sorted(left)[:3]))

    def _digest(self, outputs: bytes | None, outputs_file: str | None) -> bytes:
        if outputs_file is None:
            return hashlib.sha256(outputs or b"").digest()
        path = self.home / outputs_file
        return hashlib.sha256(path.read_bytes()).digest() if path.exists() else b"gone"


def chaos(kills: int, actions: int, seed: int, folder: Path) -> Tally:
    """Runs, each killed at random moments until it is over, until so many processes were killed."""
    chance, tally, began = random.Random(seed), Tally(), time.perf_counter()
    undisturbed_s = _undisturbed_s(actions, folder)
    while tally.kills < kills:
        tally.runs += 1
        home = folder / f"run-{tally.runs}"
        home.mkdir()
        patient = Patient(home, actions, tally)
        # Squared: early moments more often, so that a run is killed several times before it is over.
        while not patient.live(chance.random() ** 2 * undisturbed_s if tally.kills < kills else None):
            pass
        shutil.rmtree(home)
    tally.seconds = round(time.perf_counter() - began, 1)
    return tally


def _undisturbed_s(actions: int, folder: Path) -> float:
    home = folder / "undisturbed"
    home.mkdir()
    tally = Tally()
    patient = Patient(home, actions, tally)
    start = time.perf_counter()
    patient.live(None)
    if tally.broken:
        raise SystemExit("\n".join(["the run breaks promises though nobody kills it:", *tally.stories]))
    return time.perf_counter() - start


def show(tally: Tally) -> None:
    """A line of JSON, a table for people, and the stories of what went wrong."""
    print(json.dumps(asdict(tally)))
    rows = [(str(value), name.replace("_", " ")) for name, value in asdict(tally).items() if name != "stories"]
    for value, name in rows:
        print(f"{value:>10}  {name}{': must be 0' if name.replace(' ', '_') in PROMISES else ''}")
    print(*tally.stories[:20], sep="\n", end="" if not tally.stories else "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how many processes are killed (default 200)")
    parser.add_argument("--actions", type=int, default=2_000, help="about how many actions a run has (default 2000)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default 1)")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="where the stores are made; not in memory")
    parser.add_argument("--server", action="store_true", help="kill the control plane that serves the run")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder, suffix=".tmp") as folder:
        kill = chaos
        if arguments.server:
            from server_chaos import server_chaos as kill
        tally = kill(arguments.kills, arguments.actions, arguments.seed, Path(folder))
    show(tally)
    if tally.broken:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
