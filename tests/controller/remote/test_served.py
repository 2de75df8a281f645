"""A run on a real control plane, with real processes of attempts that call tasks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flyte._server.daemon import start_detached, stop_server
from flyte._server.settings import ServerSettings


@pytest.fixture
def address(flyte_home: Path) -> Iterator[str]:
    """A control plane that listens there while the test runs."""
    instance = start_detached(ServerSettings(home=flyte_home, port=0))
    try:
        yield instance.url
    finally:
        stop_server(flyte_home, 10)


@pytest.mark.skipif(sys.version_info < (3, 11, 4), reason="this Python cannot unpack archives safely")
def test_a_run_of_everything_comes_to_what_it_comes_to_locally(address: str) -> None:
    program = Path(__file__).with_name("served_program.py")
    done = subprocess.run([sys.executable, str(program), address], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        *(285, "me", 286, 4, 4, "1 AGAIN 49", "HI"),
        *("ValueError", "no good", "user", 15),
    ]
