"""What every test gets: a home folder of its own, and an engine that is gone when the test is."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.s3 import S3Server

# A shell that starts the tests in the background has interrupts ignored, and some tests send them.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def flyte_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """`FLYTE_HOME` of this test."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("FLYTE_HOME", str(home))
    yield home
    # A test that never ran anything must not pay for importing what runs.
    if "flyte._run" in sys.modules:
        from flyte._run import initialization
        from flyte._run.engine import close_engine

        close_engine()
        initialization.reset()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3 server for all tests of this session; each makes a bucket of its own."""
    from tests.s3 import s3_server

    with s3_server() as server:
        yield server


@pytest.fixture
def raw_data(tmp_path: Path) -> Iterator[Path]:
    """The raw data folder of the task that the test runs in."""
    from tests.running import running

    with running(str(tmp_path / "raw"), tmp_path):
        yield tmp_path / "raw"
