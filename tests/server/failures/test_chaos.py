"""A short `bench/chaos.py --server`; `FLYTE_CHAOS_KILLS=100` makes it a long one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.server.planes import ROOT

KILLS = int(os.environ.get("FLYTE_CHAOS_KILLS", "3"))


def test_a_control_plane_killed_at_random_moments_loses_nothing_and_records_nothing_twice(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "bench" / "chaos.py"), "--server"]
    options = ["--kills", str(KILLS), "--actions", "60", "--folder", str(tmp_path)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60 + 30 * KILLS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    tally = json.loads(done.stdout.splitlines()[0])
    assert tally["kills"] == KILLS
    assert tally["hosts_killed"] >= KILLS // 2 - KILLS // 12
    assert tally["actions_recorded"] >= 60
    assert tally["lost_results"] == tally["double_records"] == tally["repeated_effects"] == 0
    assert tally["failures_to_resume"] == tally["damaged_stores"] == tally["files_left"] == 0
