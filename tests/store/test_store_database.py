from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from flyte._store.database import DATABASE_FILE, connect, migrations
from flyte._store.payloads import load_payload, spill
from flyte.errors import StoreError, StoreVersionError


def test_a_fresh_store_has_the_version_of_the_last_migration(tmp_path: Path) -> None:
    connection = connect(tmp_path / DATABASE_FILE)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == len(migrations()) >= 1
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    connection.close()


def test_a_store_of_a_newer_release_is_refused_with_both_versions(tmp_path: Path) -> None:
    path = tmp_path / DATABASE_FILE
    connect(path).close()
    raw = sqlite3.connect(path)
    raw.execute(f"PRAGMA user_version = {len(migrations()) + 1}")
    raw.close()
    with pytest.raises(StoreVersionError, match=rf"version {len(migrations()) + 1}.*up to version {len(migrations())}"):
        connect(path)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / DATABASE_FILE
    path.write_bytes(b"not a database, but long enough to be read as one" * 100)
    with pytest.raises(StoreError, match="move it away"):
        connect(path)
    assert path.read_bytes().startswith(b"not a database")


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file/home"):
        connect(tmp_path / "file" / "home" / DATABASE_FILE)


@pytest.mark.parametrize(("value", "level"), [("normal", 1), ("FULL", 2)])
def test_synchronous_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, level: int) -> None:
    monkeypatch.setenv("FLYTE_STORE_SYNCHRONOUS", value)
    connection = connect(tmp_path / DATABASE_FILE)
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == level
    connection.close()


def test_an_unknown_synchronous_setting_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_STORE_SYNCHRONOUS", "off")
    with pytest.raises(StoreError, match="'off'.*'full' or 'normal'"):
        connect(tmp_path / DATABASE_FILE)


def test_a_reading_connection_cannot_write(tmp_path: Path) -> None:
    connection = connect(tmp_path / DATABASE_FILE, read_only=True)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM run")
    connection.close()


def test_many_processes_may_create_and_write_one_store_at_once(tmp_path: Path) -> None:
    program = """
import sys, threading
from pathlib import Path
from flyte._store.owners import this_process
from flyte._store.records import NewRun
from flyte._store.writer import Writer, insert_run
writer = Writer(Path(sys.argv[1]))
for i in range(20):
    run = NewRun(name=f"{sys.argv[2]}-{i}", task_name="t", mode="local", created_us=1, owner=this_process())
    assert writer.write(insert_run(run)) is not None
writer.close()
"""
    processes = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), f"p{number}"]) for number in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    connection = connect(tmp_path / DATABASE_FILE, read_only=True)
    assert connection.execute("SELECT count(*) FROM run").fetchone()[0] == 80
    connection.close()


def test_a_spilled_payload_is_loaded_from_where_the_row_says(tmp_path: Path) -> None:
    path = spill(tmp_path, "runs/r/a0/outputs.pb", b"x" * 100_000)
    assert path == "runs/r/a0/outputs.pb"
    assert load_payload(tmp_path, None, path) == b"x" * 100_000
    assert load_payload(tmp_path, b"inline", None) == b"inline"
    assert load_payload(tmp_path, None, None) is None


def test_a_payload_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="gone.pb"):
        load_payload(tmp_path, None, "gone.pb")


def test_a_payload_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(StoreError, match="runs"):
        spill(tmp_path, "runs/r/a0/outputs.pb", b"x")
