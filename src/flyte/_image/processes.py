"""Programs that build: run to their end, with all that they start, and heard out."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from flyte.errors import ImageBuildError

_STOP: ContextVar[threading.Event | None] = ContextVar("flyte_build_stop", default=None)
_LOOK_S = 0.1


@contextmanager
def stopped_by(event: threading.Event) -> Iterator[None]:
    """Programs that are run in the block, or in a copy of its context, are killed when `event` is set."""
    token = _STOP.set(event)
    try:
        yield
    finally:
        _STOP.reset(token)


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended, and what it wrote to both streams."""

    return_code: int
    output: str


def run(
    command: Sequence[str | Path], *, variables: Mapping[str, str], folder: Path, text_in: str | None = None
) -> Finished:
    """Run a program in `folder` and wait for it; where that is interrupted or stopped, it and its children are killed.

    Args:
        command: The program and its arguments.
        variables: Its environment, whole.
        folder: Its working directory.
        text_in: What it reads; nothing by default.

    Raises:
        ImageBuildError: it was stopped.
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
            output = _output_of(process, text_in, _STOP.get())
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        return Finished(process.returncode, output)


def processes_in(folders: Iterable[Path]) -> dict[Path, list[int]]:
    """The processes whose program is below one of the folders; folders without any are left out."""
    import psutil

    places = {f"{each}/": each for each in folders}
    found: dict[Path, list[int]] = {}
    for process in psutil.process_iter(["pid", "cmdline"]) if places else ():
        words = process.info["cmdline"] or []
        # The program itself is the Python that the environment was made from: its name on the command line is ours,
        # or that of a script behind it.
        for place, folder in places.items():
            if any(word.startswith(place) for word in words[:2]):
                found.setdefault(folder, []).append(process.info["pid"])
    return found


def _output_of(process: subprocess.Popen[str], text_in: str | None, stop: threading.Event | None) -> str:
    while True:
        try:
            return process.communicate(text_in, None if stop is None else _LOOK_S)[0]
        except subprocess.TimeoutExpired:
            # It has been sent.
            text_in = None
            if stop is not None and stop.is_set():
                raise ImageBuildError("the build was stopped") from None
