"""`flyte resume`, `rerun`, `abort` and `delete run`, as real processes where another process matters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from flyte._store.reader import StoreReader
from flyte.errors import RunNotFoundError
from flyte.models import ActionPhase

Flyte = Callable[..., Result]
COMMAND = [sys.executable, "-c", "from flyte.cli import main; main()"]

TASKS = """
import asyncio, os, signal, sys
from pathlib import Path
import flyte
env = flyte.TaskEnvironment(name="e")

def effect(text: str) -> None:
    with open("effects", "a") as file:
        file.write(f"{text}\\n")

@env.task
async def step(x: int) -> int:
    effect(f"step {x}")
    return x

@env.task
async def fragile(x: int) -> int:
    if not Path("fixed").exists():
        raise ConnectionError("broken")
    return x

@env.task
async def dies(x: int) -> int:
    if not Path("fixed").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return x

@env.task
async def pipeline(x: int, name: str = "n", deadly: bool = False) -> int:
    first = await step(x)
    return first + await (dies(x) if deadly else fragile(x))

@env.task
async def waits() -> int:
    effect("waits")
    await asyncio.Event().wait()
    return 1

if __name__ == "__main__":
    flyte.with_runcontext(name="r").run(pipeline, 1, deadly=True)
"""


@pytest.fixture(autouse=True)
def tasks(project: Path) -> None:
    (project / "tasks.py").write_text(TASKS)


def effects(project: Path) -> list[str]:
    return (project / "effects").read_text().splitlines()


def process(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60)


def wait_for(condition: Callable[[], bool], within_s: float = 30) -> None:
    give_up_at = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def phase(home: Path, run_name: str) -> str:
    with StoreReader(home) as reader:
        return reader.load_run(run_name).status


@pytest.mark.parametrize("start", [["tasks.py"], ["-m", "tasks"]])
def test_a_script_that_was_killed_is_resumed_by_the_command(project: Path, flyte_home: Path, start: list[str]) -> None:
    died = subprocess.run([sys.executable, *start], capture_output=True, timeout=60)
    assert died.returncode == -signal.SIGKILL
    assert phase(flyte_home, "r") == "interrupted"
    (project / "fixed").touch()
    done = process("resume", "r")
    assert (done.returncode, done.stdout.splitlines()[-1][-6:]) == (0, "o0 = 2")
    assert effects(project) == ["step 1"]


def test_a_resume_from_another_folder_finds_the_file(
    project: Path, flyte: Flyte, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = project / "pkg"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "inner.py").write_text("from .other import VALUE\n" + TASKS)
    (package / "other.py").write_text("VALUE = 1\n")
    assert (
        flyte("run", "--local", "--root-dir", ".", "--name", "r", "pkg/inner.py", "pipeline", "--x", "1").exit_code == 1
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "fixed").touch()
    monkeypatch.chdir(elsewhere)
    assert flyte("resume", "r").exit_code == 0


def test_a_resumed_run_that_fails_again_ends_as_run_does(project: Path, flyte: Flyte) -> None:
    assert flyte("run", "--local", "--name", "r", "tasks.py", "pipeline", "--x", "1").exit_code == 1
    done = flyte("resume", "r")
    assert done.exit_code == 1
    assert "Run r failed after" in done.stderr
    assert "ConnectionError: broken" in done.stderr
    assert effects(project) == ["step 1"]


def test_changed_code_stops_a_resume_until_it_is_allowed(project: Path, flyte: Flyte) -> None:
    flyte("run", "--local", "--name", "r", "tasks.py", "pipeline", "--x", "1")
    (project / "tasks.py").write_text(TASKS.replace('raise ConnectionError("broken")', "return 100"))
    refused = flyte("resume", "r")
    assert refused.exit_code == 2
    assert "e.fragile" in refused.stderr
    assert "--allow-code-change" in refused.stderr
    assert "o0 = 101" in flyte("resume", "r", "--allow-code-change").stdout


def test_what_cannot_be_resumed_says_why(project: Path, flyte: Flyte) -> None:
    flyte("run", "--local", "--name", "r", "tasks.py", "pipeline", "--x", "1")
    assert "there is no run 'x'" in flyte("resume", "x").stderr
    (project / "tasks.py").unlink()
    gone = flyte("resume", "r")
    assert (gone.exit_code, "tasks.py, which is gone" in gone.stderr) == (2, True)


def test_a_run_that_has_succeeded_is_not_run_again(project: Path, flyte: Flyte) -> None:
    (project / "fixed").touch()
    flyte("run", "--local", "--name", "r", "tasks.py", "pipeline", "--x", "1")
    done = flyte("resume", "r")
    assert (done.exit_code, "o0 = 2" in done.stdout, "nothing runs" in done.stderr) == (0, True, True)
    assert effects(project) == ["step 1"]


def test_a_rerun_takes_inputs_and_options_on_either_side_of_the_run(project: Path, flyte: Flyte) -> None:
    (project / "fixed").touch()
    flyte("run", "--local", "--name", "r", "tasks.py", "pipeline", "--x", "1")
    assert "o0 = 2" in flyte("rerun", "r").stdout
    # An input has the name of an option: behind the run it is the input.
    done = flyte("-of", "json", "rerun", "--name", "second", "r", "--x", "5", "--label", "k=v", "--name", "input")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["name"] == "second"
    assert json.loads(flyte("-of", "json", "get", "run", "second").stdout)["labels"] == {"k": "v"}
    shown = json.loads(flyte("-of", "json", "get", "io", "second").stdout)
    assert shown["inputs"] == {"x": 5, "name": "input", "deadly": False}


def test_a_rerun_recovers_what_succeeded(project: Path, flyte: Flyte) -> None:
    flyte("run", "--local", "--name", "r", "tasks.py", "pipeline", "--x", "1")
    (project / "fixed").touch()
    assert "o0 = 2" in flyte("rerun", "r", "--recover").stdout
    assert effects(project) == ["step 1"]


def test_help_of_a_rerun_shows_the_inputs_as_recorded(flyte: Flyte) -> None:
    flyte("run", "--local", "--name", "r", "tasks.py", "pipeline", "--x", "1234")
    shown = flyte("rerun", "r", "--help").stdout
    assert "[default: 1234]" in shown
    assert "--recover" in shown


def test_one_action_is_run_alone_with_options_for_its_inputs(project: Path, flyte: Flyte) -> None:
    flyte("run", "--local", "--name", "r", "tasks.py", "pipeline", "--x", "1")
    actions = json.loads(flyte("-of", "json", "get", "action", "r").stdout)
    name = next(action["name"] for action in actions if action["task"] == "e.step")
    assert "o0 = 9" in flyte("rerun", "r", "--action-name", name, "--x", "9").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rerun", "nope"], "there is no run 'nope'"),
        (["rerun", "r", "--y", "1"], "--y"),
        (["rerun", "r", "--x", "one"], "--x"),
        (["rerun", "r", "more"], "belongs to no input"),
        (["rerun", "r", "--force-rerun-action", "a0"], "with recover only"),
        (["abort", "run", "nope"], "there is no run 'nope'"),
        (["abort", "run", "r"], "it is failed"),
        (["abort", "action", "r", "a1"], "it is failed"),
        (["delete", "run"], "say which runs"),
        (["delete", "run", "r", "--keep", "1"], "say which runs"),
        (["delete", "run", "nope", "-y"], "there is no run 'nope'"),
        (["delete", "run", "r"], "--yes"),
    ],
)
def test_what_cannot_be_is_a_wrong_command(flyte: Flyte, arguments: list[str], message: str) -> None:
    flyte("run", "--local", "--name", "r", "tasks.py", "pipeline", "--x", "1")
    done = flyte(*arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())


def test_an_abort_from_another_terminal_ends_the_command_that_runs(project: Path, flyte_home: Path) -> None:
    command = [*COMMAND, "run", "--local", "--name", "r", "tasks.py", "waits"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        wait_for(lambda: (project / "effects").exists())
        aborted = process("abort", "run", "r", "--reason", "lunch")
        _, errors = running.communicate(timeout=30)
    assert (aborted.returncode, aborted.stdout) == (0, "Run r is aborted.\n")
    assert running.returncode == 1
    assert "Run r aborted after" in errors
    assert "lunch" in errors
    assert phase(flyte_home, "r") == "aborted"


def test_a_run_whose_process_was_killed_is_aborted_at_once(project: Path, flyte: Flyte, flyte_home: Path) -> None:
    subprocess.run([sys.executable, "tasks.py"], capture_output=True, timeout=60)
    assert flyte("abort", "run", "r").stdout == "Run r is aborted, its process was gone.\n"
    assert phase(flyte_home, "r") == ActionPhase.ABORTED.value


def test_runs_are_deleted_by_name_age_and_number(flyte: Flyte, flyte_home: Path) -> None:
    for name in ("a", "b", "c"):
        flyte("run", "--local", "--name", name, "tasks.py", "pipeline", "--x", "1")
    assert "No run is selected" in flyte("delete", "run", "--older-than", "30d", "-y").stderr
    assert flyte("delete", "run", "--keep", "1", "--dry-run").stdout == "Would delete 2 runs with 6 actions: b, a\n"
    assert flyte("delete", "run", "a", "-y").stdout == "Deleted 1 run with 3 actions: a\n"
    done = json.loads(flyte("-of", "json", "delete", "run", "--keep", "1", "--older-than", "0s", "-y").stdout)
    assert (done["runs"], done["actions"], done["is_dry_run"]) == (["b"], 3, False)
    with StoreReader(flyte_home) as reader:
        assert [run.name for run in reader.list_runs()] == ["c"]
        with pytest.raises(RunNotFoundError):
            reader.load_run("a")
    assert os.listdir(flyte_home / "runs") == ["c"]


def test_commands_on_runs_create_no_store(flyte: Flyte, flyte_home: Path) -> None:
    for arguments in (["resume", "r"], ["rerun", "r"], ["abort", "run", "r"], ["delete", "run", "r", "-y"]):
        assert flyte(*arguments).exit_code == 2
    assert flyte("delete", "run", "--keep", "1", "-y").exit_code == 0
    assert not (flyte_home / "store.db").exists()
