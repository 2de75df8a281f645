from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from flyte._engine.lifecycle import may_record
from flyte._store.owners import this_process
from flyte._store.reader import RunFilter, StoreReader
from flyte._store.records import ActionRecord, ErrorRecord, NewRun, action_id
from flyte._store.writer import Writer, abort_run, end_run, in_order, insert_run, record_actions
from flyte.errors import StoreError
from flyte.models import ActionPhase

RUNNING = ActionPhase.RUNNING.to_protobuf_value()
SUCCEEDED = ActionPhase.SUCCEEDED.to_protobuf_value()
FAILED = ActionPhase.FAILED.to_protobuf_value()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    writer = Writer(tmp_path)
    yield writer
    writer.close()


def new_run(name: str = "r1", **changes: Any) -> NewRun:
    return NewRun(name=name, task_name="e.top", mode="local", created_us=1_000_000, owner=this_process(), **changes)


def record(run_id: int, number: int = 1, **changes: Any) -> ActionRecord:
    values = {
        "action_id": action_id(run_id, number),
        "run_id": run_id,
        "name": "a0" if number == 1 else f"n{number}",
        "parent_id": None if number == 1 else action_id(run_id, 1),
        "kind": 0,
        "task_name": "e.top" if number == 1 else "e.child",
        "group_name": None,
        "phase": RUNNING,
        "attempt_no": 1,
        "created_us": 1_000_000 + number,
    }
    return ActionRecord(**{**values, **changes})


def test_a_run_name_is_given_once(writer: Writer) -> None:
    assert writer.write(insert_run(new_run("r1"))) == 1
    assert writer.write(insert_run(new_run("r1"))) is None
    assert writer.write(insert_run(new_run("r2"))) not in (None, 1)


def test_what_was_written_is_read_back(writer: Writer, tmp_path: Path) -> None:
    run_id = writer.write(insert_run(new_run(labels={"team": "a"}, project="p", domain="d", org="o", version="v")))
    error = ErrorRecord("ValueError", "user", "boom", "user", "Traceback ...")
    rows = [
        record(run_id, inputs=b"i").row(),
        record(run_id, 2, group_name="g", phase=FAILED, started_us=5, ended_us=9, error=error.to_json()).row(),
    ]
    assert writer.write(record_actions(rows)) == frozenset()
    with StoreReader(tmp_path) as reader:
        run = reader.load_run("r1")
        assert (run.project, run.domain, run.org, run.version, run.labels) == ("p", "d", "o", "v", {"team": "a"})
        root, child = reader.list_actions(run)
        assert (root.name, root.parent_name, reader.load_inputs(root), root.phase) == (
            "a0",
            None,
            b"i",
            ActionPhase.RUNNING,
        )
        assert (child.parent_name, child.group_name, child.error) == ("a0", "g", error)
        assert reader.load_action(run, "n2") == child
        assert reader.count_actions(run) == {"e.top": {ActionPhase.RUNNING: 1}, "e.child": {ActionPhase.FAILED: 1}}


@pytest.mark.parametrize("count", [1, 7, 8, 63, 65, 511, 513, 1100])
def test_every_row_of_a_batch_of_any_size_is_recorded(writer: Writer, count: int) -> None:
    run_id = writer.write(insert_run(new_run()))
    rows = [record(run_id, number).row() for number in range(1, count + 1)]
    assert writer.write(record_actions(rows)) == frozenset()
    assert writer.write(lambda c: c.execute("SELECT count(*) FROM action").fetchone()[0]) == count


def test_a_failed_record_gives_way_to_a_later_attempt_and_to_nothing_else(writer: Writer, tmp_path: Path) -> None:
    run_id = writer.write(insert_run(new_run()))
    writer.write(record_actions([record(run_id, phase=FAILED, ended_us=2).row()]))
    assert writer.write(record_actions([record(run_id, phase=SUCCEEDED, ended_us=3).row()])) == {action_id(run_id, 1)}
    again = [record(run_id, attempt_no=2).row(), record(run_id, attempt_no=2, phase=SUCCEEDED, ended_us=5).row()]
    assert writer.write(record_actions(again)) == frozenset()
    with StoreReader(tmp_path) as reader:
        (root,) = reader.list_actions(reader.load_run("r1"))
        assert (root.phase, root.attempt_no) == (ActionPhase.SUCCEEDED, 2)


def test_a_success_is_never_written_over(writer: Writer, tmp_path: Path) -> None:
    run_id = writer.write(insert_run(new_run()))
    writer.write(record_actions([record(run_id, phase=SUCCEEDED, ended_us=2, outputs=b"first").row()]))
    rows = [record(run_id, phase=FAILED, ended_us=3).row(), record(run_id, 2, phase=SUCCEEDED, ended_us=3).row()]
    assert writer.write(record_actions(rows)) == {action_id(run_id, 1)}
    with StoreReader(tmp_path) as reader:
        root, child = reader.list_actions(reader.load_run("r1"))
        assert (root.phase, root.outputs, child.phase) == (ActionPhase.SUCCEEDED, b"first", ActionPhase.SUCCEEDED)


def test_an_earlier_attempt_cannot_record_over_a_later_one(writer: Writer) -> None:
    run_id = writer.write(insert_run(new_run()))
    writer.write(record_actions([record(run_id, attempt_no=2).row()]))
    assert writer.write(record_actions([record(run_id, attempt_no=1, phase=FAILED).row()])) == {action_id(run_id, 1)}


def test_the_store_gives_way_to_a_record_exactly_when_the_engine_says_so(writer: Writer) -> None:
    run_id = writer.write(insert_run(new_run()))
    cases = list(enumerate(product(ActionPhase, (1, 2, 3), (ActionPhase.RUNNING, ActionPhase.SUCCEEDED)), 1))
    before = [
        record(run_id, number, name=f"n{number}", phase=phase.to_protobuf_value(), attempt_no=2).row()
        for number, (phase, _, _) in cases
    ]
    after = [
        record(
            run_id, number, name=f"n{number}", phase=new.to_protobuf_value(), attempt_no=attempt_no, ended_us=9
        ).row()
        for number, (_, attempt_no, new) in cases
    ]
    assert writer.write(record_actions(before)) == frozenset()
    assert writer.write(record_actions(after)) == {
        action_id(run_id, number) for number, (phase, attempt_no, _) in cases if not may_record(phase, 2, attempt_no)
    }


def test_a_change_that_fails_in_an_unexpected_way_fails_alone_and_the_writer_goes_on(writer: Writer) -> None:
    def run_out_of_memory(connection: sqlite3.Connection) -> None:
        raise MemoryError("no more")

    with pytest.raises(StoreError, match="MemoryError: no more"):
        writer.write(run_out_of_memory)
    assert writer.write(insert_run(new_run())) == 1


def test_a_name_that_stands_twice_in_a_run_is_refused_and_nothing_of_its_change_stays(writer: Writer) -> None:
    run_id = writer.write(insert_run(new_run()))
    rows = [record(run_id, 1).row(), record(run_id, 2, name="a0").row()]
    with pytest.raises(StoreError, match="UNIQUE"):
        writer.write(record_actions(rows))
    assert writer.write(lambda c: c.execute("SELECT count(*) FROM action").fetchone()[0]) == 0


def test_a_bad_change_does_not_take_its_batch_with_it(writer: Writer) -> None:
    gate, outcomes = threading.Event(), []
    done = threading.Event()

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO nowhere VALUES (1)")

    def note(result: Any, error: StoreError | None) -> None:
        outcomes.append((result, error))
        if len(outcomes) == 4:
            done.set()

    # While the first is held up, the others queue into one transaction.
    writer.submit(lambda connection: gate.wait(), note)
    for change in (insert_run(new_run("a")), fail, insert_run(new_run("b"))):
        writer.submit(change, note)
    gate.set()
    assert done.wait(10)
    assert [error is None for _, error in outcomes] == [True, True, False, True]


def test_a_run_and_its_root_end_together(writer: Writer, tmp_path: Path) -> None:
    run_id = writer.write(insert_run(new_run()))
    row = record(run_id, phase=SUCCEEDED, ended_us=7, outputs=b"o").row()
    assert writer.write(in_order(record_actions([row]), end_run(run_id, SUCCEEDED, 7))) is True
    with StoreReader(tmp_path) as reader:
        run = reader.load_run("r1")
        assert run.phase is ActionPhase.SUCCEEDED
        assert run.ended_at is not None
        assert reader.list_actions(run)[0].outputs == b"o"


def test_aborting_a_run_ends_what_is_open_and_leaves_what_has_ended(writer: Writer, tmp_path: Path) -> None:
    run_id = writer.write(insert_run(new_run()))
    other_id = writer.write(insert_run(new_run("r2")))
    rows = [record(run_id).row(), record(run_id, 2, phase=SUCCEEDED).row(), record(other_id).row()]
    writer.write(record_actions(rows))
    assert writer.write(abort_run(run_id, 50)) is True
    assert writer.write(abort_run(run_id, 60)) is False
    with StoreReader(tmp_path) as reader:
        run = reader.load_run("r1")
        assert run.phase is ActionPhase.ABORTED
        assert [a.phase for a in reader.list_actions(run)] == [ActionPhase.ABORTED, ActionPhase.SUCCEEDED]
        assert reader.load_run("r2").phase is ActionPhase.RUNNING


def test_closing_commits_what_was_submitted(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    for number in range(50):
        writer.submit(insert_run(new_run(f"r{number}")), lambda result, error: None)
    writer.close()
    with StoreReader(tmp_path) as reader:
        assert len(reader.list_runs(RunFilter(limit=-1))) == 50
