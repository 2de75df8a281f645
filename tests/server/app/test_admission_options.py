"""How much attempts may take together, and which queue goes first, as `flyte start` is told."""

from __future__ import annotations

from pathlib import Path

import flyte
from tests.server.marks import begun, wait_until
from tests.server.plane_programs import blocks, passes
from tests.server.planes import Plane


def test_the_queue_with_the_higher_priority_goes_first_where_there_is_room_for_one(
    plane: Plane, tmp_path: Path
) -> None:
    folder = str(tmp_path)
    plane.command(
        "start", "--detach", *("--cpu", "100m", "--memory", "64Mi"), *("--queue", "urgent=10", "--queue", "idle=-1")
    )
    runs = [flyte.run(blocks, folder)]
    wait_until(lambda: len(begun(tmp_path)) == 1)
    for name, queue in (("idle", "idle"), ("first", None), ("second", None), ("urgent", "urgent")):
        runs.append(flyte.with_runcontext(queue=queue).run(passes, folder, name))
    (tmp_path / "go").touch()
    for run in runs:
        run.wait(quiet=True)
    assert [each.name for each in begun(tmp_path)] == ["blocks", "urgent", "first", "second", "idle"]


def test_the_next_server_has_the_capacity_that_it_is_given_though_attempts_go_on(plane: Plane, tmp_path: Path) -> None:
    folder = str(tmp_path)
    plane.start(cpu_millis=100)
    held, waiting = flyte.run(blocks, folder), flyte.run(passes, folder, "waits")
    wait_until(lambda: len(begun(tmp_path)) == 1)
    plane.stop(leaves_attempts=True)
    plane.start(cpu_millis=1000)
    waiting.wait(quiet=True)
    assert [each.name for each in begun(tmp_path)] == ["blocks", "waits"]
    (tmp_path / "go").touch()
    held.wait(quiet=True)
