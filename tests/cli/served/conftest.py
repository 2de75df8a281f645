"""A control plane for the tests of a file, and the command with its home folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flyte._server.daemon import start_detached, stop_server
from flyte._server.settings import ServerSettings

TASKS = '''
import asyncio
import os
from pathlib import Path

import flyte
import flyte.errors
from flyte.io import File

env = flyte.TaskEnvironment("e")


@env.task
async def one(x: int = 2) -> int:
    """Doubles.

    Args:
        x: What to double.
    """
    print("x is", x)
    return 2 * x


@env.task
async def fan(n: int = 3) -> list[int]:
    return list(await asyncio.gather(*(one(i) for i in range(n))))


@env.task(retries=1)
async def fails(x: int) -> int:
    print("attempt", flyte.ctx().attempt_number)
    raise ValueError(f"no {x}")


@env.task
async def waits(file: str) -> str:
    """Prints a line, and waits until a file is there."""
    print("waiting", flush=True)
    while not Path(file).exists():
        await asyncio.sleep(0.02)
    print("done", flush=True)
    return Path(file).read_text()


@env.task
async def outlives(file: str) -> str:
    """Goes on where the task that it calls is aborted."""
    try:
        return await waits(file)
    except flyte.errors.ActionAbortedError:
        return "went on"


@env.task
async def asks() -> bool:
    condition = flyte.new_condition("ok", prompt="Go on?", data_type=bool)
    return await condition.wait.aio()


@env.task(report=True)
async def reports() -> None:
    import flyte.report

    flyte.report.log("<b>much</b>")
    await flyte.report.flush.aio()


@env.task
async def reads(file: File) -> str:
    async with file.open("rb") as opened:
        return bytes(await opened.read()).decode()


@env.task
async def settings() -> list[str]:
    return [os.environ.get("MINE", ""), flyte.ctx().action.project or "", flyte.ctx().action.domain or ""]


@env.task
async def nothing() -> None: ...
'''


@dataclass(frozen=True)
class Plane:
    """A control plane that runs.

    Attributes:
        endpoint: Options of `flyte` that name it.
    """

    home: Path
    url: str

    @property
    def endpoint(self) -> tuple[str, ...]:
        return ("--endpoint", self.url)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """The control plane of a home folder that the tests of a file share."""
    home = tmp_path_factory.mktemp("plane")
    instance = start_detached(ServerSettings(home=home, port=0))
    try:
        yield Plane(home, instance.url)
    finally:
        stop_server(home, 20)


@pytest.fixture(autouse=True)
def at_home(plane: Plane, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command works with the home folder of the control plane, in a project with tasks."""
    monkeypatch.setenv("FLYTE_HOME", str(plane.home))
    (project / "tasks.py").write_text(TASKS)
    return plane.home
