"""A control plane on a home of the release before, and beside a host of another one."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from flyteidl2.core.catalog_pb2 import CACHE_HIT

import flyte
import flyte.remote
from flyte._store.database import migrations
from flyte._store.secrets import SecretStore
from flyte.errors import BaseRuntimeError
from flyte.models import ActionPhase
from tests.processes import are_gone
from tests.server.marks import begun, wait_until
from tests.server.plane_programs import hold, shows, squared
from tests.server.planes import ROOT, Plane

BEFORE = 2
"""The version of the store before there was a control plane."""

EARLIER = f"""
from flyte._store import database
earlier = database.migrations()[:{BEFORE}]
database.migrations = lambda: earlier
import flyte
from tests.server.plane_programs import squared
assert flyte.with_runcontext(name="earlier").run(squared, 7).outputs().o0 == 49
"""


@pytest.fixture
def upgraded(plane: Plane) -> Plane:
    """One whose home has a store of that version, with a run, a cached result, and a secret in a file."""
    environment = os.environ | {"FLYTE_HOME": str(plane.home), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", EARLIER], env=environment, check=True, cwd=ROOT)
    SecretStore(plane.home).put("token", None, b"open sesame")
    connection = sqlite3.connect(plane.home / "store.db")
    assert connection.execute("PRAGMA user_version").fetchone() == (BEFORE,)
    assert connection.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'served%'").fetchall() == []
    connection.close()
    return plane


def test_what_an_earlier_release_has_kept_is_there(upgraded: Plane) -> None:
    upgraded.start()
    connection = sqlite3.connect(upgraded.home / "store.db")
    assert connection.execute("PRAGMA user_version").fetchone() == (len(migrations()),)
    connection.close()
    earlier = flyte.remote.Run.get("earlier")
    assert earlier.phase is ActionPhase.SUCCEEDED
    assert [each.task_name for each in flyte.remote.Action.listall("earlier")] == ["plane.squared"]
    again = flyte.run(squared, 7)
    assert again.outputs().o0 == 49
    sql = "SELECT cache_status FROM action JOIN run USING (run_id) WHERE run.name = ?"
    connection = sqlite3.connect(upgraded.home / "store.db")
    assert connection.execute(sql, (again.name,)).fetchall() == [(CACHE_HIT,)]
    connection.close()
    assert {"earlier", again.name} <= {each.name for each in flyte.remote.Run.listall()}
    assert flyte.run(shows).outputs().o0 == "open sesame"


def test_a_newer_store_is_refused_and_left_as_it_is(plane: Plane) -> None:
    plane.home.mkdir()
    newer = len(migrations()) + 1
    connection = sqlite3.connect(plane.home / "store.db")
    connection.execute(f"PRAGMA user_version = {newer}")
    with pytest.raises(BaseRuntimeError, match="newer release") as refused:
        plane.serve()
    assert refused.value.code == "StoreVersion"
    assert connection.execute("PRAGMA user_version").fetchone() == (newer,)
    assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == []
    connection.close()


OTHER_RELEASE = """
import sys
line = " ".join(sys.orig_argv)
if "flyte._server.executors.host" in line or "flyte._server.daemon" in line:
    import flyte._server.executors.host_wire
    flyte._server.executors.host_wire.VERSION += 1
"""


def test_attempts_below_a_host_of_another_release_follow_anew_and_that_is_no_retry(
    plane: Plane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(OTHER_RELEASE)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    plane.start()
    run = flyte.run(hold, str(tmp_path), "only")
    wait_until(lambda: len(begun(tmp_path)) == 1)
    monkeypatch.delenv("PYTHONPATH")
    host = plane.host().pid
    plane.kill()
    plane.start()
    wait_until(lambda: len(begun(tmp_path)) == 2)
    assert are_gone([host, begun(tmp_path)[0].pid])
    assert "its host speaks another language" in plane.log()
    (tmp_path / "go").touch()
    assert run.outputs().o0 == 2
