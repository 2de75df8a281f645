"""Control planes that are killed, stopped and started again while they work."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

import flyte
from flyte.models import ActionPhase
from tests.processes import are_gone, runs
from tests.server.marks import begun, wait_until
from tests.server.plane_programs import hold, hold_after, hold_all
from tests.server.planes import Plane

CHILDREN = 20


def test_attempts_of_a_server_that_is_killed_are_met_by_the_next_one(plane: Plane, tmp_path: Path) -> None:
    # All at once, however small the machine is.
    plane.start(cpu_millis=10_000, memory_bytes=16 << 30)
    run = flyte.run(hold_all, str(tmp_path), CHILDREN)
    wait_until(lambda: len(begun(tmp_path)) == CHILDREN + 1)
    plane.kill()
    assert all(runs(each.pid) for each in begun(tmp_path))
    plane.start()
    (tmp_path / "go").touch()
    assert run.outputs().o0 == [1] * CHILDREN
    # Nothing ran twice.
    assert len(begun(tmp_path)) == CHILDREN + 1
    assert run.phase is ActionPhase.SUCCEEDED


def test_what_ended_while_there_was_no_server_is_told_the_next_one(plane: Plane, tmp_path: Path) -> None:
    plane.start()
    run = flyte.run(hold, str(tmp_path), "only")
    wait_until(lambda: len(begun(tmp_path)) == 1)
    plane.kill()
    (tmp_path / "go").touch()
    assert are_gone([begun(tmp_path)[0].pid])
    plane.start()
    assert run.outputs().o0 == 1


def test_a_stop_ends_attempts_and_the_next_server_runs_only_those_again(plane: Plane, tmp_path: Path) -> None:
    plane.start()
    run = flyte.run(hold_after, str(tmp_path))
    wait_until(lambda: len(begun(tmp_path)) == 3)
    plane.stop()
    assert are_gone([each.pid for each in begun(tmp_path)])
    (tmp_path / "go").touch()
    plane.start()
    assert run.outputs().o0 == [1, 2]
    assert sorted(each.name for each in begun(tmp_path)) == ["first", "parent", "parent", "second", "second"]


def test_a_stop_that_keeps_attempts_costs_no_work(plane: Plane, tmp_path: Path) -> None:
    plane.start()
    run = flyte.run(hold_after, str(tmp_path))
    wait_until(lambda: len(begun(tmp_path)) == 3)
    plane.stop(leaves_attempts=True)
    assert runs(begun(tmp_path)[2].pid)
    plane.start()
    (tmp_path / "go").touch()
    assert run.outputs().o0 == [1, 1]
    assert len(begun(tmp_path)) == 3


async def test_clients_wait_and_watch_through_a_restart_of_five_seconds(plane: Plane, tmp_path: Path) -> None:
    plane.start()
    run = await flyte.run.aio(hold, str(tmp_path), "only")
    await run.wait.aio(quiet=True, wait_for="running")
    seen: list[ActionPhase] = []

    async def watch() -> None:
        async for details in run.watch():
            seen.append(details.phase)

    async def restart() -> None:
        while not seen:
            await asyncio.sleep(0.01)
        plane.kill()
        (tmp_path / "go").touch()
        await asyncio.sleep(5.0)
        await asyncio.to_thread(plane.serve)

    await asyncio.gather(run.wait.aio(quiet=True), watch(), restart())
    assert (seen[0], seen[-1]) == (ActionPhase.RUNNING, ActionPhase.SUCCEEDED)
    assert (await run.outputs.aio()).o0 == 1
    assert len(begun(tmp_path)) == 1


def test_a_full_disk_holds_a_run_up_until_there_is_space(
    plane: Plane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = tmp_path / "full"
    monkeypatch.setenv("FLYTE_FAULT_POINT", "writer.before_commit:1:raise-enospc")
    monkeypatch.setenv("FLYTE_FAULT_WHILE", str(full))
    instance = plane.start()
    monkeypatch.delenv("FLYTE_FAULT_POINT")
    run = flyte.run(hold_after, str(tmp_path))
    wait_until(lambda: len(begun(tmp_path)) == 3)
    full.touch()
    (tmp_path / "go").touch()
    wait_until(lambda: httpx.get(f"{instance.url}/readyz").status_code == 503)
    assert "the disk is full" in httpx.get(f"{instance.url}/readyz").json()["reason"]
    # Nobody is told of what is not recorded.
    assert not run.done()
    full.unlink()
    assert run.outputs().o0 == [1, 1]
    assert len(begun(tmp_path)) == 3
    assert httpx.get(f"{instance.url}/readyz").status_code == 200
    assert "the store takes what is recorded again" in plane.log()
