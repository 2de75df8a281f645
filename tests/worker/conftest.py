"""A project folder with tasks, and processes of attempts in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.attempts import Attempts


@pytest.fixture
def attempts(tmp_path: Path) -> Iterator[Attempts]:
    """Attempts of tasks in a project folder; those that still run are killed when the test ends."""
    folder = tmp_path / "project"
    folder.mkdir()
    attempts = Attempts(folder, tmp_path)
    yield attempts
    attempts.end()
