from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flyte._store.owners import is_alive, this_process
from flyte._store.reader import RunFilter, StoreReader
from flyte._store.records import LET_GO, NewRun, Owner
from flyte._store.writer import Writer, end_run, insert_run
from flyte.errors import RunNotFoundError
from flyte.models import ActionPhase

NEVER_US = 2**62


def add_runs(home: Path, *runs: NewRun) -> None:
    writer = Writer(home)
    for run in runs:
        writer.write(insert_run(run))
    writer.close()


def run_named(name: str, created_us: int = 0, owner: Owner | None = None, **labels: str) -> NewRun:
    return NewRun(
        name=name,
        task_name=f"e.{name}",
        mode="local",
        created_us=created_us,
        owner=owner or this_process(),
        labels=labels,
    )


def test_runs_are_listed_newest_first_in_pages(tmp_path: Path) -> None:
    add_runs(tmp_path, *(run_named(f"r{n}") for n in range(5)))
    with StoreReader(tmp_path) as reader:
        first = reader.list_runs(RunFilter(limit=3))
        assert [run.name for run in first] == ["r4", "r3", "r2"]
        second = reader.list_runs(RunFilter(limit=3, before_run_id=first[-1].run_id))
        assert [run.name for run in second] == ["r1", "r0"]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (RunFilter(task_name="e.a"), ["a"]),
        (RunFilter(labels={"team": "x"}), ["b", "a"]),
        (RunFilter(labels={"team": "x", "tier": "1"}), ["b"]),
        (RunFilter(labels={"team": "nobody"}), []),
        (RunFilter(label_keys=["tier"]), ["b"]),
        (RunFilter(phases=[ActionPhase.SUCCEEDED]), ["a"]),
        (RunFilter(phases=[ActionPhase.RUNNING, ActionPhase.SUCCEEDED]), ["c", "b", "a"]),
        (RunFilter(created_after=datetime(2024, 1, 2, tzinfo=UTC)), ["c", "b"]),
        (RunFilter(created_before=datetime(2024, 1, 2, tzinfo=UTC)), ["a"]),
    ],
)
def test_runs_are_found_by(tmp_path: Path, wanted: RunFilter, names: list[str]) -> None:
    days = [round(datetime(2024, 1, day, tzinfo=UTC).timestamp() * 1e6) for day in (1, 2, 3)]
    add_runs(
        tmp_path,
        run_named("a", days[0], team="x"),
        run_named("b", days[1], team="x", tier="1"),
        run_named("c", days[2]),
    )
    writer = Writer(tmp_path)
    writer.write(end_run(1, ActionPhase.SUCCEEDED.to_protobuf_value(), days[2]))
    writer.close()
    with StoreReader(tmp_path) as reader:
        assert [run.name for run in reader.list_runs(wanted)] == names


def test_a_missing_run_is_named_with_near_names(tmp_path: Path) -> None:
    add_runs(tmp_path, run_named("digits-one"))
    with (
        StoreReader(tmp_path) as reader,
        pytest.raises(RunNotFoundError, match="'digits-two'.*Did you mean digits-one"),
    ):
        reader.load_run("digits-two")


def test_a_missing_action_is_named_with_the_command_that_lists_them(tmp_path: Path) -> None:
    add_runs(tmp_path, run_named("r"))
    with StoreReader(tmp_path) as reader, pytest.raises(RunNotFoundError, match=r"'x'.*flyte get action r"):
        reader.load_action(reader.load_run("r"), "x")


def test_an_empty_home_has_no_runs(tmp_path: Path) -> None:
    with StoreReader(tmp_path / "new") as reader:
        assert reader.list_runs() == []


def test_a_run_whose_process_is_gone_shows_as_interrupted(tmp_path: Path) -> None:
    program = """
import os, sys
from pathlib import Path
from flyte._store.owners import this_process
from flyte._store.records import NewRun
from flyte._store.writer import Writer, insert_run
writer = Writer(Path(sys.argv[1]))
writer.write(insert_run(NewRun(name="r", task_name="t", mode="local", created_us=1, owner=this_process())))
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)]).returncode == -9
    with StoreReader(tmp_path) as reader:
        run = reader.load_run("r")
        assert run.is_interrupted
        assert (run.phase, run.status) == (ActionPhase.RUNNING, "interrupted")


def test_a_run_of_this_process_is_not_interrupted(tmp_path: Path) -> None:
    add_runs(tmp_path, run_named("r"))
    with StoreReader(tmp_path) as reader:
        assert reader.load_run("r").status == "running"


@pytest.mark.parametrize("change", [{"boot_id": "another"}, {"started_us": 1}, {"pid": 2**22 + 1}])
def test_an_owner_is_told_apart_from_a_later_process_of_the_same_number(change: dict[str, str]) -> None:
    assert is_alive(this_process(), 1)
    assert not is_alive(replace(this_process(), **change), NEVER_US)  # type: ignore[arg-type]


def test_an_owner_that_has_let_go_counts_as_gone() -> None:
    assert not is_alive(this_process(), LET_GO)


def test_what_is_left_of_a_killed_process_until_its_parent_collects_it_counts_as_gone() -> None:
    program = "from flyte._store.owners import this_process; print(repr(this_process()), flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    owner = eval(child.stdout.readline(), {"Owner": Owner})
    assert is_alive(owner, NEVER_US)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(owner, NEVER_US)
    child.communicate()


def test_an_owner_on_another_host_is_alive_as_long_as_its_lease() -> None:
    elsewhere = replace(this_process(), host="another-host")
    assert is_alive(elsewhere, NEVER_US)
    assert not is_alive(elsewhere, 1)
