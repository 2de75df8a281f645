"""What tests do with the command: read its documents, wait for what it shows, leave it running."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.cli.conftest import Flyte


def document(done: Any) -> Any:
    """The document of a command that has succeeded."""
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def phase_of(flyte: Flyte, name: str, *way: str) -> str:
    """The phase of a run."""
    phase: str = document(flyte(*way, "-of", "json", "get", "run", name))["phase"]
    return phase


def eventually(condition: Callable[[], bool], within_s: float = 10) -> None:
    """The condition holds, now or soon."""
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.02)


class running_flyte:  # noqa: N801  # a block with a process
    """`flyte` as a process of its own until the block ends."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-c", "from flyte.cli import main; main()", *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __enter__(self) -> subprocess.Popen[bytes]:
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
