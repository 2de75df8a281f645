"""What the tasks of `plane_programs` tell by files."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Begun:
    """An attempt that has begun."""

    name: str
    attempt_no: int
    pid: int


def begun(folder: Path) -> list[Begun]:
    """The attempts that have begun, in order."""
    file = folder / "begun"
    lines = file.read_text().splitlines() if file.exists() else []
    return [Begun(name, int(number), int(pid)) for name, number, pid in map(str.split, lines)]


def wait_until(condition: Callable[[], bool], within_s: float = 20) -> None:
    """It is so, now or a little later."""
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until, "it is not so"
        time.sleep(0.01)
