"""Tasks that tell by files what they do, and wait for files."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import time
from pathlib import Path

import flyte
from flyte.io import File

env = flyte.TaskEnvironment("plane")
small = flyte.TaskEnvironment("small", resources=flyte.Resources(cpu="100m", memory=("64Mi", "256Mi")))


def begun(folder: str, name: str) -> None:
    """An attempt has begun."""
    with (Path(folder) / "begun").open("a") as file:
        file.write(f"{name} {flyte.ctx().attempt_number + 1} {os.getpid()}\n")


@env.task
def hold(folder: str, name: str) -> int:
    """Waits for the file `go`; the number of its attempt."""
    begun(folder, name)
    while not (Path(folder) / "go").exists():
        time.sleep(0.01)
    return int(flyte.ctx().attempt_number) + 1


@env.task
async def hold_all(folder: str, count: int) -> list[int]:
    """So many at once; the numbers of their attempts."""
    begun(folder, "parent")
    return list(await asyncio.gather(*(hold.aio(folder, f"child-{i}") for i in range(count))))


@env.task
async def hold_after(folder: str) -> list[int]:
    """One that succeeds at once, and one that waits."""
    begun(folder, "parent")
    first = await quick.aio(folder)
    return [first, await hold.aio(folder, "second")]


@env.task
def quick(folder: str) -> int:
    """Ends at once."""
    begun(folder, "first")
    return 1


@env.task(retries=1)
def dies_once(folder: str, how: str) -> int:
    """Its process dies in the first attempt."""
    begun(folder, how)
    if flyte.ctx().attempt_number == 0:
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        ctypes.string_at(0)
    return int(flyte.ctx().attempt_number) + 1


@small.task
def grows(folder: str) -> int:
    """Uses more memory than it may."""
    begun(folder, "grows")
    taken = []
    for _ in range(1024):
        taken.append(bytearray(b"x" * (1 << 20)))
        time.sleep(0.001)
    return len(taken)


@env.task(cache=flyte.Cache("override", version_override="1"))
def squared(x: int) -> int:
    """Kept."""
    return x * x


tiny = flyte.TaskEnvironment("tiny", resources=flyte.Resources(cpu="100m", memory="16Mi"))


@tiny.task
def passes(folder: str, name: str) -> None:
    """Tells that it has run."""
    begun(folder, name)


@tiny.task
def blocks(folder: str) -> None:
    """Waits for the file `go`."""
    begun(folder, "blocks")
    while not (Path(folder) / "go").exists():
        time.sleep(0.01)


@env.task
async def length(file: File) -> int:
    """Of a file that the client has sent."""
    async with file.open("rb") as opened:
        return len(await opened.read())


secret = flyte.TaskEnvironment("secret", secrets=flyte.Secret("token", as_env_var="TOKEN"))


@secret.task
def shows() -> str:
    """A secret."""
    return os.environ["TOKEN"]
