"""A run whose server is killed while its children run."""

import asyncio
from pathlib import Path

from client_scenarios import equal, fresh_file, note, noted, scenario

import flyte
import flyte.remote

env = flyte.TaskEnvironment("restart")


@env.task
async def child(path: str, marker: str, x: int, seconds: float) -> int:
    note(path)
    if x == 9:
        Path(marker).touch()
    await asyncio.sleep(seconds)
    return x


@env.task(retries=1)
async def parent(path: str, marker: str) -> int:
    # Some children are over, some run and some have not begun when the server is killed.
    first = await asyncio.gather(*(child(path, marker, each, 0.0) for each in range(3)))
    second = await asyncio.gather(*(child(path, marker, each, 2.0) for each in range(5, 10)))
    third = await asyncio.gather(*(child(path, marker, each, 0.0) for each in range(20, 23)))
    return sum((*first, *second, *third))


@scenario
async def run_through_a_restart() -> None:
    path = fresh_file()
    marker = Path.cwd() / "scratch" / "children-run"
    run = await flyte.run.aio(parent, path=path, marker=str(marker))
    await run.wait.aio(quiet=True)
    equal(run.phase, "succeeded", "phase")
    equal((await run.outputs.aio())[0], 3 + 35 + 63, "sum")
    actions = [each async for each in flyte.remote.Action.listall.aio(for_run_name=run.name)]
    equal((len(actions), {each.phase for each in actions}), (12, {"succeeded"}), "actions")
    assert 11 <= len(noted(path)) <= 16, f"{len(noted(path))} attempts at 11 children"
