"""Watching how much memory attempts use, and what is known of memory that ran out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

LOOK_EVERY_S = 0.1

_PROC = Path("/proc")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True)
class Watched:
    """A group of processes that may use so much.

    Attributes:
        leader: Its process, which leads a session.
        exceeded: Called once with what it used, in bytes, when that is more.
    """

    leader: int
    limit_bytes: int
    exceeded: Callable[[int], None]


class MemoryWatch:
    """Looks at the memory of sessions with a limit, on a thread; while there is none, at nothing."""

    def __init__(self) -> None:
        self._watched: dict[int, Watched] = {}
        self._looking: asyncio.Task[None] | None = None

    def add(self, watched: Watched) -> None:
        """It is watched from now on."""
        self._watched[watched.leader] = watched
        if self._looking is None:
            self._looking = asyncio.ensure_future(self._look())

    def remove(self, leader: int) -> None:
        """It no longer is; no-op where it is not."""
        self._watched.pop(leader, None)

    async def close(self) -> None:
        """Nothing is watched."""
        self._watched.clear()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def _look(self) -> None:
        while self._watched:
            used = await asyncio.to_thread(used_by, list(self._watched))
            for leader, count in used.items():
                watched = self._watched.get(leader)
                if watched is not None and count > watched.limit_bytes:
                    # What forked processes share counts in each of them: the closer look costs more.
                    exact = await asyncio.to_thread(exactly_used_by, leader)
                    if exact > watched.limit_bytes and self._watched.pop(leader, None) is not None:
                        watched.exceeded(exact)
            await asyncio.sleep(LOOK_EVERY_S)
        self._looking = None


def used_by(leaders: Iterable[int]) -> dict[int, int]:
    """Resident bytes of each session; what its processes share is counted in each of them."""
    used = dict.fromkeys(leaders, 0)
    for _, session, resident in _processes():
        if session in used:
            used[session] += resident
    return used


def exactly_used_by(leader: int) -> int:
    """Bytes of a session, of what is shared with other processes its part."""
    return sum(_share_of(pid, resident) for pid, session, resident in _processes() if session == leader)


def members_of(leader: int, marks: Mapping[str, str]) -> list[int]:
    """The processes of a session, those that descend from them, and those whose variables are these.

    The last are what has left the session, and its family: nobody else has them.
    """
    found = {pid for pid, session, _ in _processes() if session == leader}
    with suppress(psutil.Error):
        found |= {each.pid for each in psutil.Process(leader).children(recursive=True)}
    wanted = {f"{name}={value}".encode() for name, value in marks.items()}
    for name in os.listdir(_PROC) if _PROC.is_dir() else ():
        if name.isdecimal() and int(name) not in found:
            with suppress(OSError):
                if wanted <= set((_PROC / name / "environ").read_bytes().split(b"\0")):
                    found.add(int(name))
    return sorted(found - {os.getpid()})


def kernel_kills() -> int:
    """How many processes the system has ended for lack of memory since it started; 0 where it does not tell."""
    with suppress(OSError, ValueError, IndexError):
        text = (_PROC / "vmstat").read_text("ascii")
        return int(text.split("\noom_kill ", 1)[1].split("\n", 1)[0])
    return 0


def _processes() -> Iterable[tuple[int, int, int]]:
    """Each process with its session and its resident bytes."""
    if not _PROC.is_dir():
        yield from _processes_slowly()
        return
    for name in os.listdir(_PROC):
        if name.isdecimal():
            with suppress(OSError, ValueError, IndexError):
                with open(f"/proc/{name}/stat", "rb", buffering=0) as file:
                    # The name, in parentheses, may hold anything.
                    fields = file.read().rpartition(b")")[2].split()
                yield int(name), int(fields[3]), int(fields[21]) * _PAGE_BYTES


def _processes_slowly() -> Iterable[tuple[int, int, int]]:
    for process in psutil.process_iter(["pid", "memory_info"]):
        with suppress(OSError):
            memory = process.info["memory_info"]
            yield process.pid, os.getsid(process.pid), memory.rss if memory else 0


def _share_of(pid: int, resident: int) -> int:
    with suppress(OSError, ValueError):
        for line in (_PROC / str(pid) / "smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return resident
