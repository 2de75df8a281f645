"""A short `bench/chaos.py`; the long one is run by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CHAOS = Path(__file__).resolve().parents[2] / "bench" / "chaos.py"


def test_a_run_killed_at_random_moments_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    command = [sys.executable, str(CHAOS), "--kills", "8", "--actions", "300", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    tally = json.loads(done.stdout.splitlines()[0])
    assert tally["kills"] == 8
    assert tally["actions_recorded"] > 300
    assert tally["lost_results"] == tally["double_records"] == tally["repeated_effects"] == 0
    assert tally["failures_to_resume"] == tally["damaged_stores"] == tally["files_left"] == 0
