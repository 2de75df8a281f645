"""Who holds the data of a run that is deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flyte._store.data_holders import ReadPayloads, held_entries
from flyte._store.owners import this_process
from flyte._store.records import ActionKind, ActionRecord, NewRun, action_id
from flyte._store.writer import Writer, end_run, insert_run, record_actions
from flyte.models import ActionPhase

OLD = "runs/old"
SUCCEEDED = ActionPhase.SUCCEEDED.to_protobuf_value()
HEX = "0123456789abcdef" * 2


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    writer = Writer(tmp_path)
    yield writer
    writer.close()


def add_run(writer: Writer, name: str, inputs_file: str | None = None) -> int:
    """A run with one action, whose inputs are in that file."""
    run = NewRun(name=name, task_name="t", mode="remote", created_us=1, owner=this_process())
    run_id = int(writer.write(insert_run(run)))
    action = ActionRecord(
        action_id=action_id(run_id, 1),
        run_id=run_id,
        name="a0",
        parent_id=None,
        kind=ActionKind.TASK,
        task_name="t",
        group_name=None,
        phase=SUCCEEDED,
        attempt_no=1,
        created_us=1,
        inputs_file=inputs_file,
    )
    writer.write(record_actions([action.row()]))
    return run_id


def put(home: Path, path: str, content: str) -> None:
    (home / path).parent.mkdir(parents=True, exist_ok=True)
    (home / path).write_text(content)


def held(writer: Writer, payloads: ReadPayloads) -> set[str]:
    found: set[str] = writer.write(lambda store: held_entries(store, writer.home, OLD, (), payloads))
    return found


def read(writer: Writer, payloads: ReadPayloads) -> None:
    writer.write(payloads.read)


def test_values_of_attempts_hold_what_they_name_however_deep_they_are(writer: Writer, tmp_path: Path) -> None:
    add_run(writer, "old")
    put(tmp_path, f"{OLD}/raw/first/1/{HEX}/literal.pb", f"/home/{OLD}/raw/second/1/data")
    put(tmp_path, f"{OLD}/raw/second/1/data", "")
    put(tmp_path, f"{OLD}/raw/third/1/data", "")
    put(tmp_path, "uploads/inputs.pb", f"/home/{OLD}/raw/first/1/{HEX}/literal.pb")
    run_id = add_run(writer, "other", "uploads/inputs.pb")
    writer.write(end_run(run_id, SUCCEEDED, 2))
    payloads = ReadPayloads(tmp_path)
    assert held(writer, payloads) == {"first", "second"}
    read(writer, payloads)
    assert held(writer, payloads) == {"first", "second"}


def test_inputs_of_an_open_run_are_looked_at_when_it_counts(writer: Writer, tmp_path: Path) -> None:
    add_run(writer, "old")
    put(tmp_path, f"{OLD}/raw/first/1/data", "")
    put(tmp_path, "uploads/inputs.pb", "nothing")
    add_run(writer, "other", "uploads/inputs.pb")
    payloads = ReadPayloads(tmp_path)
    read(writer, payloads)
    assert held(writer, payloads) == set()
    put(tmp_path, "uploads/inputs.pb", f"/home/{OLD}/raw/first/1/data")
    assert held(writer, payloads) == {"first"}


def test_payloads_that_were_read_are_not_read_again(writer: Writer, tmp_path: Path) -> None:
    add_run(writer, "old")
    put(tmp_path, f"{OLD}/raw/first/1/data", "")
    put(tmp_path, "uploads/inputs.pb", "nothing")
    run_id = add_run(writer, "other", "uploads/inputs.pb")
    writer.write(end_run(run_id, SUCCEEDED, 2))
    payloads = ReadPayloads(tmp_path)
    read(writer, payloads)
    # Such a file never changes; that it does here tells who reads it once more.
    put(tmp_path, "uploads/inputs.pb", f"/home/{OLD}/raw/first/1/data")
    read(writer, payloads)
    assert held(writer, payloads) == set()
    assert held(writer, ReadPayloads(tmp_path)) == {"first"}
