"""What a server deletes by itself, and what `flyte delete run` deletes while it runs."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import flyte
from flyte._server.leftovers import LARGEST_LOG_BYTES, remove_code, remove_uploads, tidy_logs
from flyte.io import File
from flyte.models import ActionPhase
from tests.server import plane_programs
from tests.server.marks import begun, wait_until
from tests.server.plane_programs import hold, length, squared
from tests.server.planes import Plane

DAY_S = 24 * 3600


def rows(home: Path, sql: str) -> list[Any]:
    """What the store says: the first column."""
    connection = sqlite3.connect(home / "store.db")
    try:
        return [row[0] for row in connection.execute(sql)]
    finally:
        connection.close()


def age(folder: Path, days: float) -> None:
    """Everything in a folder was changed last so long ago."""
    at_s = time.time() - days * DAY_S
    for here, _, files in os.walk(folder):
        for name in files:
            os.utime(Path(here, name), (at_s, at_s))
        os.utime(here, (at_s, at_s))


def ended(task: Any, *inputs: object) -> str:
    """The name of a run that is over."""
    run = flyte.run(task, *inputs)
    run.wait(quiet=True)
    assert run.phase is ActionPhase.SUCCEEDED
    return str(run.name)


def test_old_runs_go_with_all_that_was_theirs_and_open_ones_stay(plane: Plane, tmp_path: Path) -> None:
    plane.start()
    names = [ended(squared, x) for x in range(3)]
    held = flyte.run(hold, str(tmp_path), "held")
    wait_until(lambda: bool(begun(tmp_path)))
    plane.stop()
    plane.start(retention_runs=2)
    kept = {names[2], held.name}
    wait_until(lambda: set(rows(plane.home, "SELECT name FROM run")) == kept)
    wait_until(lambda: len(rows(plane.home, "SELECT spec_digest FROM served_action")) == 2)
    assert len(rows(plane.home, "SELECT run_id FROM served_run")) == 2
    wait_until(lambda: {each.name for each in (plane.home / "runs").iterdir()} == kept)
    # Cached results stay.
    assert len(rows(plane.home, "SELECT cache_key FROM cache_entry")) == 3
    (tmp_path / "go").touch()
    held.wait(quiet=True)
    assert held.phase is ActionPhase.SUCCEEDED


def test_a_spec_that_only_a_deleted_run_had_goes_and_that_of_a_deployed_task_stays(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.start()
    flyte.deploy(plane_programs.small)
    deployed = len(plane_programs.small.tasks)
    name = ended(squared, 2)
    assert len(rows(plane.home, "SELECT digest FROM task_spec")) == deployed + 1
    assert delete(plane, monkeypatch, name).exit_code == 0
    plane.stop()
    plane.start()
    wait_until(lambda: len(rows(plane.home, "SELECT digest FROM task_spec")) == deployed)
    assert ended(squared, 3)
    assert len(rows(plane.home, "SELECT digest FROM task_spec")) == deployed + 1


def test_uploads_and_code_that_something_names_stay_however_old(
    plane: Plane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.start()
    text = tmp_path / "text"
    text.write_text("twelve bytes")
    file = File.from_local_sync(str(text))
    name = ended(length, file)
    forgotten = plane.home / "uploads" / "flytesnacks" / "development" / "forgotten"
    forgotten.mkdir(parents=True)
    (forgotten / "data").touch()
    for folder in ("uploads", "code"):
        age(plane.home / folder, 30)
    named = len(list((plane.home / "uploads").glob("*/*/*"))) - 1
    assert named >= 3  # The bundle, the inputs, and the file in them.
    assert (remove_uploads(plane.home), remove_code(plane.home)) == (1, 0)
    assert not forgotten.exists()
    assert flyte.rerun(name).outputs().o0 == 12
    for each in rows(plane.home, "SELECT name FROM run"):
        assert delete(plane, monkeypatch, each).exit_code == 0
    plane.stop()
    # Nothing is old enough once it was touched.
    age(plane.home / "uploads", 1)
    assert remove_uploads(plane.home) == 0
    for folder in ("uploads", "code"):
        age(plane.home / folder, 30)
    plane.start()
    wait_until(lambda: not list((plane.home / "uploads").glob("*/*/*")))
    assert not list((plane.home / "code").glob("*"))


def test_code_that_was_tidied_away_below_a_running_host_is_unpacked_again(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.start()
    assert delete(plane, monkeypatch, ended(squared, 2)).exit_code == 0
    connection = sqlite3.connect(plane.home / "store.db")
    with connection:
        connection.execute("DELETE FROM task_spec")
    connection.close()
    age(plane.home / "code", 30)
    assert remove_code(plane.home) == 1
    assert ended(squared, 3)


def test_logs_that_grow_are_begun_anew_and_old_ones_go(tmp_path: Path) -> None:
    (tmp_path / "host.log").write_bytes(b"x" * (LARGEST_LOG_BYTES + 1))
    (tmp_path / "server.log.1").touch()
    (tmp_path / "server.log.2").touch()
    os.utime(tmp_path / "server.log.2", (0, 0))
    tidy_logs(tmp_path, ("host.log", "none.log"))
    sizes = {each.name: each.stat().st_size for each in tmp_path.iterdir()}
    assert sizes == {"host.log": 0, "host.log.1": LARGEST_LOG_BYTES + 1, "server.log.1": 0}


def delete(plane: Plane, monkeypatch: pytest.MonkeyPatch, name: str) -> Result:
    """`flyte delete run` in the home of the server."""
    from flyte.cli._root import flyte as command

    monkeypatch.setenv("FLYTE_HOME", str(plane.home))
    return CliRunner().invoke(command, ["delete", "run", name, "--yes"], catch_exceptions=False)


def test_flyte_delete_run_deletes_what_is_over_and_refuses_what_is_open(
    plane: Plane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.start()
    over = ended(squared, 2)
    held = flyte.run(hold, str(tmp_path), "held")
    wait_until(lambda: bool(begun(tmp_path)))
    assert delete(plane, monkeypatch, over).exit_code == 0
    assert not (plane.home / "runs" / over).exists()
    assert rows(plane.home, "SELECT name FROM run") == [held.name]
    assert len(rows(plane.home, "SELECT spec_digest FROM served_action")) == 1
    for is_there in (True, False):
        if not is_there:
            plane.kill()
        refused = delete(plane, monkeypatch, str(held.name))
        assert refused.exit_code == 2
        assert f"flyte abort run {held.name}" in " ".join(refused.output.replace("│", " ").split())
    plane.start()
    (tmp_path / "go").touch()
    held.wait(quiet=True)
    assert held.phase is ActionPhase.SUCCEEDED
