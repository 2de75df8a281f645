"""The example `examples/pictures.py` does what its docstring says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "pictures.py"


def run(home: Path, folder: Path) -> str:
    """What the example prints, run as a script in an empty folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLYTE")}
    done = subprocess.run(
        [sys.executable, str(EXAMPLE)],
        cwd=folder,
        env=environment | {"FLYTE_HOME": str(home), "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def cache_column(home: Path, printed: str) -> list[str]:
    """What the cache did for each picture of the run that printed this."""
    name = re.search(r"flyte get action (\S+)", printed)
    assert name is not None
    listing = subprocess.run(
        [str(Path(sys.executable).parent / "flyte"), "get", "action", name[1]],
        env=os.environ | {"FLYTE_HOME": str(home)},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    return [line for line in listing.stdout.splitlines() if "pictures.reduce" in line]


def test_pictures_are_reduced_and_the_next_run_takes_them_from_the_cache(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    home, work = tmp_path / "home", tmp_path / "work"
    work.mkdir()
    first = run(home, work)
    assert "china" in first
    assert "flower" in first
    chosen = re.search(r"They are in (\S+)", first)
    assert chosen is not None
    assert sorted(path.name.partition("-")[0] for path in Path(chosen[1]).iterdir()) == ["china", "flower"]
    assert list(work.iterdir()) == []

    second = run(home, work)
    assert second.partition("They are in")[0] == first.partition("They are in")[0]
    rows = cache_column(home, second)
    assert len(rows) == 10
    assert all("hit" in row for row in rows)
