"""A project folder that is outside any repository and any home, and stores that forget each test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flyte.storage._settings import use_storage


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of the bundles, and the working folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(autouse=True)
def forgetful_stores() -> Iterator[None]:
    """Neither settings nor objects in memory outlive the test."""
    yield
    use_storage(None)
    if "fsspec" in sys.modules:
        sys.modules["fsspec"].filesystem("memory").store.clear()
