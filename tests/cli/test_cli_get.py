from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flyteidl2.core.literals_pb2 import Literal, Primitive, Scalar
from flyteidl2.task.common_pb2 import Inputs, NamedLiteral, Outputs

from flyte._store.owners import this_process
from flyte._store.records import ActionKind, ActionRecord, ErrorRecord, NewRun, Owner, action_id, to_microseconds
from flyte._store.writer import Writer, end_run, insert_run, record_actions
from flyte.models import ActionPhase

Flyte = Callable[..., Result]

MORNING = datetime(2024, 5, 6, 7, 0, tzinfo=UTC)
GONE = Owner(host=this_process().host, boot_id=this_process().boot_id, pid=2**30, started_us=1)
BROKEN = ErrorRecord("ValueError", "user", "seven is\nunlucky", "user", "Traceback ...\nValueError: seven is unlucky\n")


def integer(value: int) -> Literal:
    return Literal(scalar=Scalar(primitive=Primitive(integer=value)))


class Store:
    """Runs written as the engine writes them."""

    def __init__(self, home: Path) -> None:
        self._writer = Writer(home)

    def add(
        self,
        name: str,
        actions: Sequence[tuple[str, ActionPhase]] = (("a0", ActionPhase.SUCCEEDED),),
        phase: ActionPhase = ActionPhase.SUCCEEDED,
        at: datetime = MORNING,
        **more: Any,
    ) -> None:
        began = to_microseconds(at)
        owner = more.pop("owner", this_process())
        run = NewRun(name=name, task_name="e.main", mode="local", created_us=began, owner=owner, labels=more)
        run_id = self._writer.write(insert_run(run))
        rows = [self._row(run_id, number, *each, began) for number, each in enumerate(actions, 1)]
        self._writer.write(record_actions(rows))
        if phase.is_terminal:
            self._writer.write(end_run(run_id, phase.to_protobuf_value(), began + 90_000_000))

    def _row(self, run_id: int, number: int, name: str, phase: ActionPhase, began: int) -> tuple[Any, ...]:
        has_failed = phase is ActionPhase.FAILED
        inputs = Inputs(literals=[NamedLiteral(name="x", value=integer(number))])
        outputs = Outputs(literals=[NamedLiteral(name="o0", value=integer(42))])
        return ActionRecord(
            action_id=action_id(run_id, number),
            run_id=run_id,
            name=name,
            parent_id=action_id(run_id, 1) if number > 1 else None,
            kind=ActionKind.TASK,
            task_name="e.main" if number == 1 else "e.child",
            group_name=None,
            phase=phase.to_protobuf_value(),
            attempt_no=1,
            created_us=began + number,
            started_us=began + number,
            ended_us=began + 1_500_000 if phase.is_terminal else None,
            inputs=inputs.SerializeToString(),
            outputs=None if has_failed else outputs.SerializeToString(),
            error=BROKEN.to_json() if has_failed else None,
        ).row()

    def close(self) -> None:
        self._writer.close()


@pytest.fixture
def store(flyte_home: Path) -> Iterator[Store]:
    made = Store(flyte_home)
    yield made
    made.close()


def names(text: str) -> list[str]:
    return [item["name"] for item in json.loads(text)]


def test_without_a_store_lists_are_empty_and_nothing_is_created(flyte: Flyte, flyte_home: Path) -> None:
    done = flyte("-of", "json", "get", "run")
    assert (done.exit_code, json.loads(done.stdout)) == (0, [])
    assert "No run was recorded" in done.stderr
    assert not list(flyte_home.iterdir())


def test_without_a_store_a_named_run_is_an_error(flyte: Flyte) -> None:
    done = flyte("get", "action", "r1")
    assert done.exit_code == 2
    assert "no run 'r1'" in done.stderr


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], ["now", "dead", "failed", "old"]),
        (["--limit", "2"], ["now", "dead"]),
        (["--in-phase", "running"], ["now"]),
        (["--in-phase", "interrupted"], ["dead"]),
        (["--in-phase", "failed", "--in-phase", "interrupted"], ["dead", "failed"]),
        (["--with-label", "team=x"], ["failed"]),
        (["--with-label-key", "team"], ["now", "failed"]),
        (["--task-name", "e.other"], []),
        (["--created-before", "2024-01-01T00:00:00Z"], ["old"]),
        (["--created-after", "2024-01-01T00:00:00Z", "--created-before", "2024-05-06T09:00:00+02:00"], []),
    ],
)
def test_runs_are_selected_by(flyte: Flyte, store: Store, options: list[str], found: list[str]) -> None:
    store.add("old", at=MORNING - timedelta(days=400))
    store.add("failed", phase=ActionPhase.FAILED, team="x")
    store.add("dead", phase=ActionPhase.RUNNING, owner=GONE)
    store.add("now", phase=ActionPhase.RUNNING, team="y")
    done = flyte("-of", "json", "get", "run", *options)
    assert (done.exit_code, names(done.stdout)) == (0, found)


def test_interrupted_runs_are_found_behind_many_running_ones(flyte: Flyte, store: Store) -> None:
    store.add("dead", phase=ActionPhase.RUNNING, owner=GONE)
    for number in range(5):
        store.add(f"r{number}", phase=ActionPhase.RUNNING)
    done = flyte("-of", "json", "get", "run", "--in-phase", "interrupted", "--limit", "1")
    assert names(done.stdout) == ["dead"]


def test_a_cut_list_says_that_there_is_more(flyte: Flyte, store: Store) -> None:
    for number in range(3):
        store.add(f"r{number}")
    assert "more than these 2" in flyte("get", "run", "--limit", "2").stderr
    assert "more than these" not in flyte("get", "run", "--limit", "3").stderr


def test_a_run_is_shown_with_what_went_in_and_came_out(flyte: Flyte, store: Store) -> None:
    store.add("r1", [("a0", ActionPhase.SUCCEEDED), ("b", ActionPhase.FAILED), ("c", ActionPhase.SUCCEEDED)], team="x")
    document = json.loads(flyte("-of", "json", "get", "run", "r1").stdout)
    assert document["inputs"] == {"x": 1}
    assert document["outputs"] == {"o0": 42}
    assert document["tasks"] == {"e.main": {"succeeded": 1}, "e.child": {"failed": 1, "succeeded": 1}}
    assert (document["phase"], document["labels"], document["duration_s"]) == ("succeeded", {"team": "x"}, 90)
    text = flyte("get", "run", "r1").stdout
    assert "o0 = 42" in text
    assert "1 min 30 s" in text


def test_a_run_that_is_not_there_is_an_error_with_near_names(flyte: Flyte, store: Store) -> None:
    store.add("digits-one")
    done = flyte("get", "run", "digits-two")
    assert done.exit_code == 2
    assert "Did you mean digits-one?" in done.stderr
    assert not done.stdout


def test_actions_are_listed_in_pages(flyte: Flyte, store: Store) -> None:
    store.add("r1", [(f"a{number}", ActionPhase.SUCCEEDED) for number in range(5)])
    first = flyte("-of", "json", "get", "action", "r1", "--limit", "3")
    assert names(first.stdout) == ["a0", "a1", "a2"]
    assert "3 of 5 actions. The next ones: --after a2" in first.stderr
    second = flyte("-of", "json", "get", "action", "r1", "--after", "a2")
    assert names(second.stdout) == ["a3", "a4"]
    assert not second.stderr


def test_actions_are_selected_by_phase(flyte: Flyte, store: Store) -> None:
    store.add("r1", [("a0", ActionPhase.SUCCEEDED), ("b", ActionPhase.FAILED)])
    assert names(flyte("-of", "json", "get", "action", "r1", "--in-phase", "failed").stdout) == ["b"]
    done = flyte("-of", "json", "get", "action", "r1", "--in-phase", "aborted")
    assert (json.loads(done.stdout), done.exit_code) == ([], 0)


def test_a_failed_action_shows_its_traceback_once(flyte: Flyte, store: Store) -> None:
    store.add("r1", [("a0", ActionPhase.FAILED)], phase=ActionPhase.FAILED)
    text = flyte("get", "action", "r1", "a0").stdout
    assert text.count("Traceback ...") == 1
    assert json.loads(flyte("-of", "json", "get", "action", "r1", "a0").stdout)["error"]["code"] == "ValueError"


def test_an_error_takes_one_line_of_the_table(flyte: Flyte, store: Store) -> None:
    store.add("r1", [("a0", ActionPhase.FAILED)], phase=ActionPhase.FAILED)
    row = next(line for line in flyte("get", "action", "r1").stdout.splitlines() if "a0" in line)
    assert "ValueError: seven is unlucky" in row


def test_actions_of_a_dead_process_are_interrupted_not_running(flyte: Flyte, store: Store) -> None:
    store.add("r1", [("a0", ActionPhase.RUNNING)], phase=ActionPhase.RUNNING, owner=GONE)
    (action,) = json.loads(flyte("-of", "json", "get", "action", "r1").stdout)
    assert action["phase"] == "interrupted"


@pytest.mark.parametrize(
    ("options", "document"),
    [
        ([], {"inputs": {"x": 1}, "outputs": {"o0": 42}}),
        (["-i"], {"inputs": {"x": 1}}),
        (["--outputs-only"], {"outputs": {"o0": 42}}),
        (["b"], {"inputs": {"x": 2}, "outputs": {}}),
    ],
)
def test_io_is_what_was_recorded(flyte: Flyte, store: Store, options: list[str], document: dict[str, Any]) -> None:
    store.add("r1", [("a0", ActionPhase.SUCCEEDED), ("b", ActionPhase.FAILED)])
    done = flyte("-of", "json-raw", "get", "io", "r1", *options)
    assert json.loads(done.stdout) == document
    assert done.stdout.count("\n") == 1


def test_io_of_a_failed_action_says_why_there_are_no_outputs(flyte: Flyte, store: Store) -> None:
    store.add("r1", [("a0", ActionPhase.FAILED)], phase=ActionPhase.FAILED)
    assert "it failed with ValueError" in flyte("get", "io", "r1").stderr


def test_inputs_only_and_outputs_only_exclude_each_other(flyte: Flyte, store: Store) -> None:
    store.add("r1")
    assert flyte("get", "io", "r1", "-i", "-o").exit_code == 2


@pytest.mark.parametrize("output", ["table", "table-simple"])
def test_tables_have_no_codes_and_no_cut_names_outside_a_terminal(flyte: Flyte, store: Store, output: str) -> None:
    name = "r" + "x" * 200
    store.add(name)
    text = flyte("-of", output, "get", "run").stdout
    assert name in text
    assert "\x1b" not in text
    assert ("│" in text) == (output == "table")


@pytest.mark.parametrize("option", ["--only-mine", "--paused-only", "--updated-after=now", "--updated-before=now"])
def test_options_without_a_local_meaning_are_refused(flyte: Flyte, option: str) -> None:
    done = flyte("get", "run", option)
    assert done.exit_code == 2
    assert "known by a control plane alone" in done.stderr


@pytest.mark.parametrize("command", [["action", "r"], ["io", "r"], ["logs", "r"], ["code", "r"], ["condition", "r"]])
def test_a_place_of_one_run_is_refused_without_a_control_plane(flyte: Flyte, store: Store, command: list[str]) -> None:
    store.add("r")
    done = flyte("get", *command, "-p", "x")
    assert done.exit_code == 2
    assert "--project x names a place on a control plane, and none is configured" in done.stderr


def test_config_names_its_file_and_hides_secrets(flyte: Flyte, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "config.yaml").write_text("admin: {endpoint: there, clientSecretEnvVar: MINE}\n")
    monkeypatch.setenv("MINE", "hush")
    done = flyte("-of", "json", "--org", "ours", "get", "config")
    document = json.loads(done.stdout)
    assert document["source"] == str(project / "config.yaml")
    assert document["platform"]["endpoint"] == "there"
    assert document["task"]["org"] == "ours"
    assert "hush" not in done.stdout
    assert "platform.endpoint" in flyte("get", "config").stdout
