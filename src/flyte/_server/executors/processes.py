"""The process of one attempt: started, watched, and gone with all that it has started."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flyte._controller.child_servers import Server
from flyte._controller.log_writing import LogWriter
from flyte._forks.client import Launched
from flyte._forks.spawning import Spawned
from flyte._server.executors.attempt_log import PipeLog
from flyte._server.executors.memory import MemoryWatch, Watched, kernel_kills, members_of
from flyte._worker.forked import launch_attempt

_GONE_WITHIN_S = 5.0
_LOOK_S = 0.01


@dataclass(frozen=True, slots=True)
class Launch:
    """What a process is started with.

    Attributes:
        arguments: Of `a0`.
        variables: All of its environment.
        folder: Its working directory.
        log: Where what it prints goes.
        marks: Those of its variables that no other attempt has: what has left its session is known by them.
        memory_limit: Bytes that it may use, with what it starts; None for any number.
    """

    arguments: list[str]
    variables: Mapping[str, str]
    folder: Path
    log: Path
    marks: Mapping[str, str]
    memory_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended.

    Attributes:
        code: Its exit code, or minus the number of a signal.
        last_lines: The last it printed.
        memory_bytes: What it used when it was ended for that; None where it was not.
        is_memory_short: The system ended some process for lack of memory meanwhile.
        log_failure: Why its log is not whole.
        is_lost: Its fork server has ended, and it with that.
    """

    code: int
    last_lines: list[str]
    memory_bytes: int | None
    is_memory_short: bool
    log_failure: OSError | None
    is_lost: bool


async def run_process(server: Server, launch: Launch, watch: MemoryWatch, started: Callable[[], None]) -> Exit:
    """The process has run, and nothing of it is left. Where this is cancelled it is killed first.

    Raises:
        LaunchFailedError: it could not be started.
    """
    pipe = PipeLog(LogWriter(launch.log))
    kills_before = kernel_kills()
    used: list[int] = []
    launched: Launched | Spawned | None = None
    try:
        try:
            launched = _launched(server, launch, pipe.writing)
        finally:
            pipe.given_away()
        pid = await launched.started()
        if launch.memory_limit is not None:
            watch.add(Watched(pid, launch.memory_limit, lambda count: _exceeded(count, used, launched)))
        started()
        code = await launched.wait()
    except asyncio.CancelledError:
        if launched is not None:
            await _finished(asyncio.ensure_future(_killed(launched, launch.marks)))
        raise
    finally:
        if launched is not None:
            watch.remove(getattr(launched, "pid", 0))
        failure = pipe.close()
    is_killed = code == -signal.SIGKILL
    return Exit(
        code=code,
        last_lines=pipe.file.last_lines,
        memory_bytes=used[0] if used else None,
        is_memory_short=is_killed and not used and kernel_kills() > kills_before,
        log_failure=failure,
        is_lost=is_killed and server.has_ended,
    )


def _launched(server: Server, launch: Launch, stream: int) -> Launched | Spawned:
    return launch_attempt(server, launch.arguments, launch.variables, str(launch.folder), (stream, stream))


def _exceeded(count: int, used: list[int], launched: Launched | Spawned | None) -> None:
    used.append(count)
    if launched is not None:
        launched.kill()


async def _killed(launched: Launched | Spawned, marks: Mapping[str, str]) -> None:
    """The process is gone, with all that it has started, also what has left its group."""
    pid = getattr(launched, "pid", 0)
    members = await asyncio.to_thread(members_of, pid, marks) if pid else []
    launched.kill()
    await launched.wait()
    # What was started after the first look, too.
    members = sorted({*members, *(await asyncio.to_thread(members_of, pid, marks) if pid else [])})
    for member in members:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(member, signal.SIGKILL)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _GONE_WITHIN_S
    while any(map(_runs, members)) and loop.time() < deadline:
        await asyncio.sleep(_LOOK_S)


async def _finished(task: asyncio.Task[None]) -> None:
    """It has ended, however often this is cancelled meanwhile."""
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    task.result()


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (OSError, IndexError):
        return False
