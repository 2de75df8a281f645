"""What a recorded action costs when its run is resumed: nothing is executed, each call is named and found recorded."""

from __future__ import annotations

import json
import shutil
import subprocess

from _harness import PROGRAMS, Bench, Figure, bench

ACTIONS = 20_000
AT_LEAST_A_SECOND = 20_000


def record(session: Bench) -> None:
    """A run of `ACTIONS` actions, all recorded, whose process died before the root could say that it was done."""
    environment = session.environment() | {"FLYTE_FAULT_POINT": "run.done"}
    command = [str(session.ours.python), "resumed.py", str(ACTIONS)]
    killed = subprocess.run(command, cwd=PROGRAMS, env=environment, capture_output=True, text=True)
    if killed.returncode != -9:
        raise SystemExit(f"the run was to be killed, and ended with {killed.returncode}:\n{killed.stderr}")


def replay(session: Bench) -> dict[str, float]:
    """What `programs/resumed.py` prints when it resumes the run, from the same state each time."""
    home, kept = session.folder / "flyte-home", session.folder / "recorded"
    if not kept.exists():
        record(session)
        home.rename(kept)
    shutil.copytree(kept, home)
    printed: dict[str, float] = json.loads(session.output_of(session.ours.python, "resumed.py", str(ACTIONS)))
    shutil.rmtree(home)
    return printed


def main() -> None:
    with bench("replay", __doc__ or "", runs=7) as session:
        rounds = [replay(session) for _ in range(session.runs)]
        limit_us = 1e6 / AT_LEAST_A_SECOND
        session.figures += [
            Figure("read the records", "µs", [round["read_us"] for round in rounds]),
            Figure("20,000 recorded calls in the task, per call", "µs", [round["gather_us"] for round in rounds]),
            Figure("`flyte.resume`, per action", "µs", [round["run_us"] for round in rounds], at_most=limit_us),
        ]


if __name__ == "__main__":
    main()
