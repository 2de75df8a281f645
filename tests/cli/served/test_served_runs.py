"""`flyte run` and what looks at runs, with a control plane."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Flyte
from tests.cli.served.commands import document, eventually, phase_of, running_flyte
from tests.cli.served.conftest import Plane

WAYS = ["home", "endpoint"]
"""How a command is told of the control plane: by its home folder, or its address."""


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, plane: Plane) -> tuple[str, ...]:
    """Options of `flyte`."""
    return () if request.param == "home" else plane.endpoint


def test_a_run_is_created_and_its_page_named(flyte: Flyte, plane: Plane, way: tuple[str, ...]) -> None:
    done = flyte(*way, "run", "tasks.py", "one", "--x", "4")
    assert done.exit_code == 0
    first, second = done.stdout.splitlines()
    name = first.removeprefix("Created Run: ")
    assert second == f"URL: {plane.url}/v2/domain/development/project/flytesnacks/runs/{name}"
    assert f"flyte get logs --follow {name}" in done.stderr


def test_following_shows_what_the_root_prints_and_how_it_ends(flyte: Flyte, way: tuple[str, ...]) -> None:
    done = flyte(*way, "run", "--follow", "tasks.py", "one", "--x", "4")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[2] == "x is 4"
    assert done.stdout.rstrip().endswith(": o0 = 8")
    assert " succeeded in " in done.stdout


def test_a_followed_run_that_fails_ends_with_1_and_shows_each_attempt(flyte: Flyte) -> None:
    done = flyte("run", "-f", "tasks.py", "fails", "--x", "4")
    assert done.exit_code == 1
    printed = [line for line in done.stdout.splitlines() if line.startswith("attempt ")]
    assert len(printed) == 2
    assert "ValueError: no 4" in done.stderr
    assert "Look further: flyte get action r" in done.stderr


def test_json_is_one_document_with_the_fields_of_a_local_run(flyte: Flyte, plane: Plane) -> None:
    followed = flyte("-of", "json", "run", "-f", "--name", "followed", "tasks.py", "fan")
    assert "Created Run: followed" in followed.stderr
    local = json.loads(flyte("-of", "json", "run", "--local", "tasks.py", "fan").stdout)
    found = document(followed)
    assert set(found) == set(local)
    assert (found["name"], found["task"], found["phase"]) == ("followed", "e.fan", "succeeded")
    assert (found["outputs"], found["error"]) == ({"o0": [0, 2, 4]}, None)
    assert found["url"].startswith(f"{plane.url}/v2/")
    created = flyte("-of", "json-raw", "run", "tasks.py", "one")
    assert (created.stdout.count("\n"), created.stderr) == (1, "")
    assert json.loads(created.stdout)["outputs"] is None


def test_the_error_of_a_followed_run_is_in_its_document(flyte: Flyte) -> None:
    done = flyte("-of", "json", "run", "-f", "tasks.py", "fails", "--x", "7")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert (found["phase"], found["outputs"]) == ("failed", None)
    assert (found["error"]["code"], found["error"]["message"]) == ("ValueError", "no 7")


def test_a_task_without_inputs_is_run(flyte: Flyte) -> None:
    assert flyte("run", "-f", "tasks.py", "nothing").exit_code == 0


def test_the_built_in_example_is_served(flyte: Flyte) -> None:
    done = flyte("run", "-f", "hello", "--n", "3", "--name", "you")
    assert done.exit_code == 0, done.stderr
    assert "Hello, you! The first 3 squares add up to 14." in done.stdout


def test_a_local_file_is_uploaded(flyte: Flyte, project: Path, way: tuple[str, ...]) -> None:
    (project / "data.txt").write_text("some text")
    done = flyte(*way, "-of", "json", "run", "-f", "tasks.py", "reads", "--file", "data.txt")
    assert document(done)["outputs"] == {"o0": "some text"}


def test_options_of_the_run_reach_it(flyte: Flyte, plane: Plane) -> None:
    options = ["-e", "MINE=a=b", "--label", "k=v", "-p", "flytesnacks", "-d", "staging", "--version", "v7"]
    more = ["--queue", "q", "--max-action-concurrency", "3", "--name", "many-options", "--service-account", "sa"]
    done = flyte("-of", "json", "run", "-f", *options, *more, "tasks.py", "settings")
    assert document(done)["outputs"] == {"o0": ["a=b", "flytesnacks", "staging"]}
    for place in ((), (*plane.endpoint,)):
        listed = document(flyte(*place, "-of", "json", "get", "run", "-d", "staging", "--with-label", "k=v"))
        assert [each["name"] for each in listed] == ["many-options"]
    assert document(flyte("-of", "json", "get", "run", "--task-version", "v7"))[0]["name"] == "many-options"

    import flyte as sdk
    from flyte.remote import RunDetails

    sdk.init(endpoint=plane.url, insecure=True, domain="staging")
    spec = RunDetails.get("many-options").pb2.run_spec
    assert (spec.queue, spec.max_action_concurrency) == ("q", 3)
    assert spec.security_context.run_as.k8s_service_account == "sa"


def test_folders_below_the_root_are_imported_from_unless_that_is_not_wanted(
    flyte: Flyte, project: Path, plane: Plane
) -> None:
    (project / "src").mkdir()
    (project / "src" / "inner.py").write_text("VALUE = 5\n")
    code = "import flyte, inner\nenv = flyte.TaskEnvironment('p')\n@env.task\ndef value() -> int: return inner.VALUE\n"
    (project / "src" / "program.py").write_text(code)
    done = flyte("-of", "json", "run", "-f", "--name", "with-paths", "src/program.py", "value")
    assert document(done)["outputs"] == {"o0": 5}
    flyte("run", "--no-sync-local-sys-paths", "--name", "root-alone", "src/program.py", "value")
    assert "./src" in search_path(plane, "with-paths").split(":")
    assert search_path(plane, "root-alone") == ""


def search_path(plane: Plane, run_name: str) -> str:
    """The folders that the tasks of a run import from."""
    import flyte as sdk
    from flyte.remote import RunDetails

    sdk.init(endpoint=plane.url, insecure=True)
    variables = {each.key: each.value for each in RunDetails.get(run_name).pb2.run_spec.envs.values}
    return str(variables.get("_F_SYS_PATH", ""))


def test_local_and_served_runs_are_listed_together(flyte: Flyte) -> None:
    flyte("run", "--local", "--name", "one-local", "tasks.py", "one")
    flyte("run", "-f", "--name", "one-served", "tasks.py", "one")
    listed = document(flyte("-of", "json", "get", "run", "--limit", "2"))
    assert [(each["name"], each["mode"], each["phase"]) for each in listed] == [
        ("one-served", "remote", "succeeded"),
        ("one-local", "local", "succeeded"),
    ]


def test_a_served_run_looks_the_same_in_the_store_and_asked_for(flyte: Flyte, plane: Plane) -> None:
    flyte("run", "-f", "--name", "seen", "tasks.py", "fan", "--n", "2")
    commands = (["run", "seen"], ["action", "seen"], ["action", "seen", "a0"], ["io", "seen"], ["run", "--limit", "1"])
    for command in commands:
        stored = document(flyte("-of", "json", "get", *command))
        asked = document(flyte(*plane.endpoint, "-of", "json", "get", *command))
        assert _without_times(stored) == _without_times(asked), command
    io = document(flyte("-of", "json", "get", "io", "seen"))
    assert io == {"inputs": {"n": 2}, "outputs": {"o0": [0, 2]}}


def _without_times(found: Any) -> Any:
    if isinstance(found, list):
        return [_without_times(each) for each in found]
    if not isinstance(found, dict):
        return found
    times = {"created_at", "started_at", "ended_at", "duration_s", "url"}
    return {key: _without_times(value) for key, value in found.items() if key not in times}


def test_outputs_elsewhere_are_found_by_their_address(flyte: Flyte, plane: Plane, tmp_path: Path) -> None:
    import flyte as sdk

    sdk.init(endpoint=plane.url, insecure=True)
    flyte("run", "-f", "--name", "near", "tasks.py", "fan", "--n", "2")
    runner = sdk.with_runcontext(mode="remote", run_base_dir=tmp_path / "elsewhere", name="elsewhere")
    runner.rerun("near").wait()
    for way in ((), plane.endpoint):
        found = document(flyte(*way, "-of", "json", "get", "io", "elsewhere"))
        assert found == {"inputs": {"n": 2}, "outputs": {"o0": [0, 2]}}


def test_logs_of_a_served_run(flyte: Flyte, plane: Plane) -> None:
    flyte("run", "-f", "--name", "logged", "tasks.py", "one", "--x", "6")
    assert flyte("get", "logs", "logged", "a0").stdout == "x is 6\n"
    for options in (["logged"], ["logged", "a0"], ["-f", "logged"], ["-l", "1", "logged"]):
        assert flyte(*plane.endpoint, "get", "logs", *options).stdout == "x is 6\n", options
    found = document(flyte(*plane.endpoint, "-of", "json", "get", "logs", "logged"))
    assert [(each["action"], each["attempt"], each["line"]) for each in found] == [("a0", 1, "x is 6")]
    assert flyte(*plane.endpoint, "get", "logs", "--show-ts", "logged").stdout.endswith("Z x is 6\n")


@pytest.mark.parametrize("way", WAYS)
def test_followed_logs_come_within_a_second(flyte: Flyte, plane: Plane, project: Path, way: str) -> None:
    name, go_on = f"live-{way}", project / "go"
    flyte("run", "--name", name, "tasks.py", "waits", "--file", str(go_on))
    options = plane.endpoint if way == "endpoint" else ()
    with running_flyte(*options, "get", "logs", "-f", name, "a0") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"waiting\n"
        began = time.monotonic()
        go_on.write_text("now")
        assert process.stdout.readline() == b"done\n"
        assert time.monotonic() - began < 1
        assert process.wait(10) == 0


def test_an_interrupt_ends_the_following_and_not_the_run(flyte: Flyte, project: Path) -> None:
    go_on = project / "go"
    with running_flyte("run", "-f", "--name", "left", "tasks.py", "waits", "--file", str(go_on)) as process:
        assert process.stdout is not None
        while process.stdout.readline() != b"waiting\n":
            pass
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=10)
        assert process.returncode == 130
        assert b"run left goes on. To follow it again: flyte get logs --follow left" in said
    assert document(flyte("-of", "json", "get", "run", "left"))["phase"] == "running"
    go_on.write_text("there")
    assert flyte("get", "logs", "-f", "left").exit_code == 0
    assert phase_of(flyte, "left") == "succeeded"


def test_a_served_run_is_aborted(flyte: Flyte, project: Path, way: tuple[str, ...]) -> None:
    name = f"ended-{len(way)}"
    flyte("run", "--name", name, "tasks.py", "waits", "--file", str(project / "never"))
    eventually(lambda: phase_of(flyte, name) == "running")
    done = flyte(*way, "abort", "run", name, "--reason", "enough")
    assert (done.exit_code, done.stdout) == (0, f"Run {name} is aborted.\n")
    assert "enough" in document(flyte(*way, "-of", "json", "get", "run", name))["error"]["message"]
    again = flyte(*way, "abort", "run", name)
    assert again.exit_code == 2
    assert "There is nothing to abort" in again.stderr


def test_one_action_of_a_served_run_is_aborted(flyte: Flyte, project: Path, way: tuple[str, ...]) -> None:
    name = f"outlived-{len(way)}"
    flyte("run", "--name", name, "tasks.py", "outlives", "--file", str(project / "never"))

    def running() -> list[str]:
        listed = document(flyte(*way, "-of", "json", "get", "action", name, "--in-phase", "running"))
        return [each["name"] for each in listed if each["task"] == "e.waits"]

    eventually(lambda: bool(running()))
    (action,) = running()
    done = flyte(*way, "abort", "action", name, action)
    assert (done.exit_code, done.stdout) == (0, f"Action {action} of run {name} is aborted.\n")
    assert flyte("get", "logs", "-f", name, "a0").exit_code == 0
    assert document(flyte(*way, "-of", "json", "get", "io", name, "-o")) == {"outputs": {"o0": "went on"}}


def test_a_condition_of_a_served_run_is_answered(flyte: Flyte, way: tuple[str, ...]) -> None:
    name = f"asking-{len(way)}"
    flyte("run", "--name", name, "tasks.py", "asks")
    eventually(lambda: document(flyte(*way, "-of", "json", "get", "condition", name)) != [])
    (asked,) = document(flyte(*way, "-of", "json", "get", "condition", name))
    assert (asked["prompt"], asked["type"], asked["is_open"]) == ("Go on?", "bool", True)
    wrong = flyte(*way, "signal", "condition", name, asked["action"], "maybe")
    assert wrong.exit_code == 2
    done = flyte(*way, "signal", "condition", name, asked["action"], "yes")
    assert (done.exit_code, done.stderr) == (0, "")
    assert flyte("get", "logs", "-f", name).exit_code == 0
    assert document(flyte(*way, "-of", "json", "get", "io", name, "-o")) == {"outputs": {"o0": True}}
    (asked,) = document(flyte(*way, "-of", "json", "get", "condition", name))
    assert (asked["answer"], asked["is_open"]) == (True, False)
    assert flyte(*way, "signal", "condition", name, asked["action"], "yes").exit_code == 2


def test_a_served_run_is_run_again_by_the_control_plane(flyte: Flyte, way: tuple[str, ...]) -> None:
    name = f"first-{len(way)}"
    flyte("run", "-f", "--name", name, "tasks.py", "one", "--x", "5")
    assert "x" in flyte(*way, "rerun", name, "--help").stdout
    same = document(flyte(*way, "-of", "json", "rerun", "-f", name))
    other = document(flyte(*way, "-of", "json", "rerun", name, "--x", "7", "--follow", "--name", f"second-{len(way)}"))
    assert (same["outputs"], other["outputs"]) == ({"o0": 10}, {"o0": 14})
    assert other["name"] == f"second-{len(way)}"
    assert phase_of(flyte, other["name"]) == "succeeded"


def test_recovering_takes_over_what_succeeded(flyte: Flyte) -> None:
    flyte("run", "-f", "--name", "whole", "tasks.py", "fan", "--n", "2")
    flyte("rerun", "-f", "--recover", "--name", "recovered", "whole")
    phases = {each["phase"] for each in document(flyte("-of", "json", "get", "action", "recovered"))}
    assert phases == {"succeeded", "recovered"}


def test_a_served_run_is_not_resumed_here(flyte: Flyte, project: Path) -> None:
    go_on = project / "go"
    flyte("run", "--name", "open", "tasks.py", "waits", "--file", str(go_on))
    done = flyte("resume", "open")
    assert done.exit_code == 2
    assert "goes on with it by itself" in done.stderr
    go_on.write_text("")
    flyte("get", "logs", "-f", "open")
    assert "flyte rerun open --recover" in flyte("resume", "open").stderr


def test_code_and_report_of_a_served_run(flyte: Flyte, project: Path, way: tuple[str, ...]) -> None:
    name = f"reporting-{len(way)}"
    flyte("run", "-f", "--name", name, "tasks.py", "reports")
    path = Path(flyte(*way, "get", "report", name).stdout.strip())
    assert "<b>much</b>" in path.read_text()
    folder = Path(flyte(*way, "get", "code", name).stdout.strip())
    assert (folder / "tasks.py").read_text() == (project / "tasks.py").read_text()
    assert flyte(*way, "get", "code", name).exit_code == 2
    none = flyte(*way, "get", "report", name, "nope")
    assert none.exit_code == 2


def test_a_served_run_is_deleted_when_it_is_over(flyte: Flyte, plane: Plane) -> None:
    flyte("run", "-f", "--name", "unwanted", "tasks.py", "one")
    assert flyte("delete", "run", "-y", "unwanted").exit_code == 0
    assert not (plane.home / "runs" / "unwanted").exists()
    assert flyte(*plane.endpoint, "get", "run", "unwanted").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--name", "taken", "tasks.py", "one"], "has a run 'taken' already"),
        (["run", "-p", "nowhere", "tasks.py", "one"], "nowhere"),
        (["run", "tasks.py", "reads", "--file", "gone.txt"], "there is no file"),
        (["run", "tasks.py", "one", "--x", "y"], "--x: 'y' is no whole number"),
        (["get", "run", "takn"], "Did you mean taken"),
        (["get", "action", "taken", "a9"], "has no action 'a9'"),
        (["get", "logs", "taken", "a0", "-a", "4"], "has no attempt 4"),
        (["get", "condition", "taken", "a9"], "has no condition 'a9'"),
        (["abort", "run", "takn"], "no run 'takn'"),
        (["abort", "run", "taken"], "There is nothing to abort"),
        (["signal", "condition", "taken", "a9", "yes"], "has no condition 'a9'"),
        (["rerun", "takn"], "no run 'takn'"),
        (["rerun", "taken", "--y", "1"], "No such option '--y'"),
        (["rerun", "taken", "--action-name", "a9"], "has no action 'a9'"),
        (["rerun", "taken", "--recover", "--action-name", "a0", "--x", "q"], "--x: 'q' is no whole number"),
        (["run", "deployed-task", "e.none"], "no task 'e.none' is deployed there"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_what_is_wrong_is_said_before_anything_runs(
    flyte: Flyte, taken: Callable[[], None], way: tuple[str, ...], arguments: list[str], message: str
) -> None:
    taken()
    done = flyte(*way, *arguments)
    assert done.exit_code == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def taken(flyte: Flyte) -> Callable[[], None]:
    """There is a run `taken`, which is over."""

    def ensure() -> None:
        if flyte("get", "run", "taken").exit_code != 0:
            flyte("run", "-f", "--name", "taken", "tasks.py", "one")

    return ensure
