"""Deleting runs, on request and by age and number."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

import flyte
from flyte._run import retention
from flyte._run.deleting import Deleted, delete_runs
from flyte._store import deletion
from flyte._store.database import DATABASE_FILE
from flyte._store.deletion import bury, unfinished
from flyte._store.reader import StoreReader
from flyte._store.records import StoredRun
from flyte._store.writer import Writer
from flyte.errors import RuntimeUserError

env = flyte.TaskEnvironment(name="gone")
LARGE = 100_000
COMPUTED: list[int] = []


@env.task
async def leaf(x: int) -> str:
    return "x" * 500


@env.task(cache="auto")
async def cached(x: int) -> str:
    COMPUTED.append(x)
    return str(x) * LARGE


@env.task(cache="auto")
async def cached_path(x: int) -> str:
    COMPUTED.append(x)
    path = Path(flyte.ctx().raw_data_path.path) / "data.txt"
    path.write_text("data")
    return str(path)


@env.task(retries=flyte.RetryStrategy(1, flyte.Backoff(base=timedelta(0))))
async def twice() -> int:
    if flyte.ctx().attempt_number == 0:
        raise ConnectionError
    return 1


@env.task
async def root(width: int = 3) -> int:
    for x in range(width):
        await leaf(x)
    await twice()
    return len(await cached(1))


@pytest.fixture(autouse=True)
def nothing_computed() -> None:
    COMPUTED.clear()


def run(name: str, width: int = 3) -> None:
    flyte.with_runcontext(name=name).run(root, width)


def load(home: Path, name: str) -> StoredRun:
    with StoreReader(home) as reader:
        return reader.load_run(name)


def names(home: Path) -> list[str]:
    with StoreReader(home) as reader:
        return [each.name for each in reader.list_runs()]


def rows(home: Path) -> dict[str, int]:
    """How many rows each table has that belong to runs."""
    with sqlite3.connect(home / DATABASE_FILE) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        of_runs = [
            table
            for table in tables
            if {"run_id", "action_id"} & {column[1] for column in connection.execute(f"PRAGMA table_info({table})")}
        ]
        counts = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in of_runs}
    connection.close()
    return counts


def test_nothing_of_a_deleted_run_is_left_in_any_table_or_folder(flyte_home: Path) -> None:
    run("a")
    before = rows(flyte_home)
    assert before["attempt"] == 1
    run("b")
    assert delete_runs(flyte_home, [load(flyte_home, "b")]).actions == 6
    assert rows(flyte_home) == before
    assert sorted(path.name for path in (flyte_home / "runs").iterdir()) == ["a"]


def test_cached_results_survive_the_run_that_computed_them(flyte_home: Path) -> None:
    run("a")
    delete_runs(flyte_home, [load(flyte_home, "a")])
    COMPUTED.clear()
    assert flyte.run(cached, 1).outputs().o0 == "1" * LARGE
    assert COMPUTED == []


def test_data_that_a_cached_result_names_survives_the_run_that_wrote_it(flyte_home: Path) -> None:
    path = Path(flyte.with_runcontext(name="a").run(cached_path, 1).outputs().o0)
    delete_runs(flyte_home, [load(flyte_home, "a")])
    assert path.read_text() == "data"
    assert sorted(each.name for each in (flyte_home / "runs" / "a").iterdir()) == ["raw"]


def test_cache_files_go_when_no_entry_needs_them(flyte_home: Path) -> None:
    run("a")
    run("b")
    delete_runs(flyte_home, [load(flyte_home, "a")])
    assert len(list((flyte_home / "cache").iterdir())) == 1
    writer = Writer(flyte_home)
    writer.write(lambda connection: connection.execute("DELETE FROM cache_entry").rowcount)
    writer.close()
    delete_runs(flyte_home, [load(flyte_home, "b")])
    assert list((flyte_home / "cache").iterdir()) == []


def test_the_database_gets_smaller(flyte_home: Path) -> None:
    from flyte._run.engine import close_engine

    run("a", 2_000)
    close_engine()
    before = (flyte_home / DATABASE_FILE).stat().st_size
    deleted = delete_runs(flyte_home, [load(flyte_home, "a")])
    assert deleted.store_bytes > before / 2
    assert (flyte_home / DATABASE_FILE).stat().st_size == before - deleted.store_bytes


def test_a_run_that_goes_on_is_not_deleted(flyte_home: Path) -> None:
    refused: list[str] = []

    @env.task
    async def deletes_itself() -> int:
        try:
            delete_runs(flyte_home, [load(flyte_home, "r")])
        except RuntimeUserError as error:
            refused.append(error.code)
        return 1

    flyte.with_runcontext(name="r").run(deletes_itself)
    assert refused == ["RunIsOwned"]
    assert names(flyte_home) == ["r"]


def test_a_run_that_someone_resumed_since_is_not_deleted(flyte_home: Path) -> None:
    run("a")
    seen = load(flyte_home, "a")
    outdated = replace(seen, owner=replace(seen.owner, pid=seen.owner.pid + 1))
    assert delete_runs(flyte_home, [outdated]).runs == 0
    assert names(flyte_home) == ["a"]


@pytest.mark.parametrize("cut", ["_set_files_aside", "_delete_actions"])
def test_a_deletion_that_was_cut_short_is_finished_by_the_next(
    flyte_home: Path, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    run("a")
    run("b")

    def power_cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(deletion, cut, power_cut)
        with pytest.raises(KeyboardInterrupt):
            delete_runs(flyte_home, [load(flyte_home, "a")])
    assert names(flyte_home) == ["b"]
    assert len(unfinished(flyte_home)) == 1
    assert delete_runs(flyte_home, []).actions == 6
    assert unfinished(flyte_home) == []
    assert sorted(path.name for path in (flyte_home / "runs").iterdir()) == ["b"]


@pytest.mark.parametrize("commits", range(1, 7))
def test_a_deletion_whose_process_is_killed_is_finished_by_the_next(flyte_home: Path, commits: int) -> None:
    run("a")
    delete = "delete_runs(home(), StoreReader(home()).list_runs())"
    for module, name in (("_run.deleting", "delete_runs"), ("_store.reader", "StoreReader"), ("config", "home")):
        delete = f"from flyte.{module} import {name}; {delete}"
    fault = {"FLYTE_FAULT_POINT": f"writer.committed:{commits}"}
    killed = subprocess.run([sys.executable, "-c", delete], env=os.environ | fault, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    delete_runs(flyte_home, [])
    assert names(flyte_home) == []
    assert set(rows(flyte_home).values()) == {0}
    assert list((flyte_home / "runs").iterdir()) == []
    COMPUTED.clear()
    flyte.run(cached, 1)
    assert COMPUTED == []


def test_a_new_run_may_have_the_name_of_one_whose_deletion_is_not_finished(flyte_home: Path) -> None:
    run("a")
    writer = Writer(flyte_home)
    assert writer.write(bury(load(flyte_home, "a"), "runs/a"))
    writer.close()
    run("a", 1)
    assert delete_runs(flyte_home, []).actions == 6
    with StoreReader(flyte_home) as reader:
        assert len(reader.list_actions(reader.load_run("a"))) == 4
    assert flyte.resume("a").outputs().o0 == LARGE


def test_runs_go_on_while_others_are_deleted(flyte_home: Path) -> None:
    for name in ("a", "b", "c"):
        run(name, 300)
    doomed = [load(flyte_home, name) for name in ("a", "b", "c")]
    results: list[Deleted] = []
    deleter = threading.Thread(target=lambda: results.append(delete_runs(flyte_home, doomed)))
    deleter.start()
    run("d", 300)
    deleter.join()
    assert results[0].runs == 3
    assert names(flyte_home) == ["d"]


Configure = Callable[..., None]


@pytest.fixture
def configure(flyte_home: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Sets the retention, and makes it a day since it was looked at."""

    def set_bounds(**bounds: object) -> None:
        for name, value in bounds.items():
            monkeypatch.setenv(f"FLYTE_LOCAL_RETENTION_{name.upper()}", str(value))
        os.utime(flyte_home / "retention.stamp", (0, 0))

    monkeypatch.chdir(flyte_home)
    monkeypatch.setenv("HOME", str(flyte_home))
    return set_bounds


def backdate(home: Path, name: str, days: float) -> None:
    writer = Writer(home)
    ended_us = round((time.time() - days * 86_400) * 1e6)
    writer.write(lambda c: c.execute("UPDATE run SET ended_us = ? WHERE name = ?", (ended_us, name)).rowcount)
    writer.close()


def test_by_default_runs_are_kept(flyte_home: Path, configure: Configure) -> None:
    run("a")
    backdate(flyte_home, "a", 10_000)
    configure()
    run("b")
    assert names(flyte_home) == ["b", "a"]


def test_runs_that_are_too_old_go_when_another_starts(flyte_home: Path, configure: Configure) -> None:
    run("old")
    run("young")
    backdate(flyte_home, "old", 3)
    configure(days=2.5)
    run("new")
    assert names(flyte_home) == ["new", "young"]


def test_the_new_run_is_one_of_those_that_are_kept(flyte_home: Path, configure: Configure) -> None:
    for name in ("a", "b", "c"):
        run(name)
    configure(runs=2)
    run("d")
    assert names(flyte_home) == ["d", "c"]


def test_retention_looks_once_a_day(flyte_home: Path, configure: Configure) -> None:
    run("a")
    configure(runs=1)
    run("b")
    run("c")
    assert names(flyte_home) == ["c", "b"]


def test_an_interrupted_run_is_not_deleted_by_itself(flyte_home: Path, configure: Configure) -> None:
    run("a")
    writer = Writer(flyte_home)
    writer.write(lambda c: c.execute("UPDATE run SET phase = 4, ended_us = NULL, owner_pid = 1").rowcount)
    writer.close()
    configure(runs=1)
    run("b")
    assert names(flyte_home) == ["b", "a"]


def test_what_takes_too_long_is_left_to_the_next_run(
    flyte_home: Path, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        run(name)
    configure(runs=1)
    monkeypatch.setattr(retention, "WITHIN_S", -1.0)
    run("d")
    assert names(flyte_home) == ["d", "c", "b", "a"]
    monkeypatch.setattr(retention, "WITHIN_S", 60.0)
    run("e")
    assert names(flyte_home) == ["e"]


def test_a_retention_that_fails_is_not_the_failure_of_the_run(
    flyte_home: Path, configure: Configure, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run("a")
    configure(runs="many")
    run("b")
    assert "FLYTE_LOCAL_RETENTION_RUNS" in caplog.text
    assert names(flyte_home) == ["b", "a"]
