"""Checkpoints that cannot be read, and the folder that they are read into."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from flyte.models import Checkpoint


def saved(folder: Path) -> Path:
    """A checkpoint of a folder with two files."""
    state = folder / "state"
    state.mkdir()
    for name in "ab":
        (state / name).write_bytes(bytes(range(256)) * 4000)
    Checkpoint(str(folder / "checkpoint")).save_sync(state)
    return folder / "checkpoint"


@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_a_damaged_archive_counts_as_none_and_leaves_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kept: float
) -> None:
    path = saved(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    checkpoint = Checkpoint(str(tmp_path / "next"), str(path))
    (checkpoint.path / "mine").touch()
    with caplog.at_level(logging.WARNING, "flyte"):
        assert checkpoint.load_sync() is None
    assert [each.name for each in checkpoint.path.iterdir()] == ["mine"]
    assert f"the checkpoint at {path} cannot be read: its archive is damaged" in caplog.text


def test_what_was_never_saved_is_no_news(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "flyte"):
        assert Checkpoint(str(tmp_path / "next"), str(tmp_path / "absent")).load_sync() is None
    assert caplog.text == ""


PROGRAM = """
import os
from flyte.models import Checkpoint
path = Checkpoint("checkpoint").path
(path / "file").touch()
if os.fork() == 0:
    raise SystemExit
os.wait()
print(path, path.exists())
"""


def test_the_folder_of_a_checkpoint_is_gone_when_its_process_and_no_other_has_ended(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=True)
    path, existed = done.stdout.split()
    assert (existed, Path(path).exists()) == ("True", False)
