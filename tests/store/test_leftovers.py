from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flyte._store.leftovers import remove_leftovers
from flyte._store.records import ActionRecord

KEPT = "runs/r/n1/outputs-00000001.pb"
RECORD = ActionRecord(1, 1, "n1", None, 0, "e.t", None, 5, 1, 1, outputs_file=KEPT)


@pytest.fixture
def gone_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def put(home: Path, *paths: str) -> None:
    for path in paths:
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_bytes(b"x")


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_payloads_without_a_record_and_temporary_files_are_removed_and_nothing_else(
    tmp_path: Path, gone_pid: int
) -> None:
    users = ["runs/r/n1/outputs.pb", "runs/r/n1/report.html", "runs/r/raw/.x.1.1.tmp", "runs/other/n1/.x.1.1.tmp"]
    left = [f"runs/r/n1/.outputs-00000002.pb.{gone_pid}.3.tmp", f"runs/r/n1/deep/.state.{gone_pid}.0.tmp"]
    put(tmp_path, KEPT, *users, *left, "runs/r/n1/outputs-00000002.pb", "runs/r/unrecorded/inputs-0000000a.pb")
    remove_leftovers(tmp_path, tmp_path / "runs/r", tmp_path / "runs/r", [RECORD])
    assert files(tmp_path) == sorted([KEPT, *users])


def test_where_other_runs_write_too_only_what_dead_processes_left_is_removed(tmp_path: Path, gone_pid: int) -> None:
    mine, base = f".report.html.{os.getpid()}.0.tmp", tmp_path / "base"
    put(base, f"n1/.report.html.{gone_pid}.0.tmp", f"n1/{mine}", f"unknown/.report.html.{gone_pid}.0.tmp")
    put(base, "n1/outputs-00000002.pb")
    remove_leftovers(tmp_path, tmp_path / "runs/r", base, [RECORD])
    assert files(base) == [f"n1/{mine}", "n1/outputs-00000002.pb", f"unknown/.report.html.{gone_pid}.0.tmp"]


def test_a_run_without_a_folder_has_no_leftovers(tmp_path: Path) -> None:
    remove_leftovers(tmp_path, tmp_path / "runs/r", tmp_path / "base", [RECORD])
    assert files(tmp_path) == []
