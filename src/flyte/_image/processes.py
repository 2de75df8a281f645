"""Programs that build: run to their end, with all that they start, and heard out."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended, and what it wrote to both streams."""

    return_code: int
    output: str


def run(
    command: Sequence[str | Path], *, variables: Mapping[str, str], folder: Path, text_in: str | None = None
) -> Finished:
    """Run a program in `folder` and wait for it; where that is interrupted, it and what it started are killed.

    Args:
        command: The program and its arguments.
        variables: Its environment, whole.
        folder: Its working directory.
        text_in: What it reads; nothing by default.
    """
    with subprocess.Popen(
        list(map(str, command)),
        cwd=folder,
        env=dict(variables),
        stdin=subprocess.DEVNULL if text_in is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # A group of its own, which can be killed as one.
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(text_in)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        return Finished(process.returncode, output)
