from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from flyte._store.reader import StoreReader
from flyte.models import ActionPhase

Flyte = Callable[..., Result]

TASKS = '''
from __future__ import annotations
import asyncio, datetime, enum, os
from dataclasses import dataclass
from typing import Any, Literal, Optional
import flyte

class Color(enum.Enum):
    RED = "red"
    GREEN = "green"

@dataclass
class Point:
    x: float
    y: int = 3

env = flyte.TaskEnvironment(name="e")

@env.task
async def double(x: int) -> int:
    """Twice the number."""
    print("printed by the task")
    return 2 * x

@env.task
async def echo(
    color: Color = Color.RED,
    mode: Literal["fast", "Exact"] = "fast",
    my_arg: Optional[int] = 1,
    point: Point = Point(1.0),
    wait: datetime.timedelta = datetime.timedelta(hours=1),
    yes: bool = True,
    Big: float = 0.5,
    anything: Any = "a",
) -> str:
    return repr((color.name, mode, my_arg, point, wait.total_seconds(), yes, Big, anything))

@env.task
def bare(flag: bool, maybe: Optional[int]) -> str:
    return repr((flag, maybe))

@env.task
def taken(x: bool = True, no_x: int = 0, help: int = 0) -> str:
    return repr((x, no_x, help))

@env.task
async def child(n: int) -> int:
    if n:
        return await child(n - 1)
    raise ValueError("n is zero,\\nand must not be")

@env.task
async def fails() -> int:
    try:
        await child(0)
    except Exception:
        pass
    return await child(2)

@env.task
def variable() -> str:
    return os.environ["MINE"]

@env.task
def where() -> str:
    action = flyte.ctx().action
    return f"{action.org}/{action.project}/{action.domain} {flyte.ctx().raw_data_path.path}"

@env.task
def nothing() -> None:
    pass

@env.task
def two() -> tuple[int, float]:
    return 1, float("nan")
'''


@pytest.fixture(autouse=True)
def tasks(project: Path) -> Path:
    file = project / "tasks.py"
    file.write_text(TASKS)
    return file


def output(done: Result) -> Any:
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["outputs"]


def test_a_run_is_reported_and_recorded(flyte: Flyte, flyte_home: Path) -> None:
    done = flyte("run", "--local", "--name", "first", "tasks.py", "double", "--x", "21")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0] == "printed by the task"
    assert done.stdout.splitlines()[1].startswith("Run first succeeded in ")
    assert done.stdout.rstrip().endswith("1 action: o0 = 42")
    assert done.stderr.endswith("Run first: e.double\n")
    with StoreReader(flyte_home) as reader:
        assert reader.load_run("first").phase is ActionPhase.SUCCEEDED


def test_a_local_run_says_nothing_of_control_planes(flyte: Flyte) -> None:
    done = flyte("--no-progress", "--endpoint", "there:80", "run", "--local", "tasks.py", "nothing")
    assert (done.exit_code, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["delete", "run", "-y", "r1"],
        ["delete", "cache", "--all", "-y"],
        ["delete", "local-cache"],
        ["get", "cache"],
        ["explain", "cache", "r1"],
        ["resume", "r1"],
    ],
    ids=" ".join,
)
def test_what_is_about_this_machine_refuses_an_endpoint(flyte: Flyte, arguments: list[str]) -> None:
    flyte("run", "--local", "--name", "r1", "tasks.py", "nothing")
    done = flyte("--endpoint", "there:80", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--endpoint there:80 names a control plane" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "tasks.py", "nothing"],
        ["run", "deployed-task", "e.double"],
        ["deploy", "tasks.py", "env"],
        ["rerun", "r1"],
        *(["get", each] for each in ("run", "task", "trigger", "project", "secret", "settings")),
        *(["get", each, "r1"] for each in ("run", "action", "io", "logs", "code", "condition", "report")),
        ["get", "logs", "-f", "r1"],
        ["abort", "run", "r1"],
        ["abort", "action", "r1", "a0"],
        ["signal", "condition", "r1", "a1", "yes"],
        ["create", "project", "--id", "p", "--name", "P"],
        ["create", "secret", "s", "--value", "v"],
        ["create", "trigger", "e.double", "t", "--schedule", "0 0 * * *"],
        ["update", "project", "p", "--name", "P"],
        ["update", "trigger", "t", "e.double", "--activate"],
        ["delete", "secret", "s"],
        ["delete", "trigger", "t", "e.double"],
        ["whoami"],
    ],
    ids=" ".join,
)
def test_where_no_control_plane_answers_each_command_says_so(flyte: Flyte, arguments: list[str]) -> None:
    done = flyte("--endpoint", "localhost:1", "--insecure", *arguments)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "there is no control plane at localhost:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_json_document_of_a_run(flyte: Flyte, flyte_home: Path) -> None:
    done = flyte("-of", "json", "run", "--local", "--name", "r1", "tasks.py", "two")
    document = json.loads(done.stdout)
    assert document.pop("elapsed_s") > 0
    assert document == {
        "name": "r1",
        "task": "e.two",
        "phase": "succeeded",
        "url": str(flyte_home / "runs" / "r1"),
        "actions": {"succeeded": 1, "failed": 0, "aborted": 0},
        "cache": {"hit": 0, "miss": 0},
        "outputs": {"o0": 1, "o1": "nan"},
        "error": None,
    }


def test_json_raw_is_one_line_without_what_tasks_print(flyte: Flyte) -> None:
    done = flyte("-of", "json-raw", "run", "--local", "tasks.py", "double", "--x", "1")
    assert done.stdout.count("\n") == 1
    assert output(done) == {"o0": 2}
    assert "printed by the task" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ([], "('RED', 'fast', 1, Point(x=1.0, y=3), 3600.0, True, 0.5, 'a')"),
        (
            ["--color", "GREEN", "--mode", "Exact", "--my_arg", "-5", "--wait", "90s", "--no-yes", "--Big", "2"],
            "('GREEN', 'Exact', -5, Point(x=1.0, y=3), 90.0, False, 2.0, 'a')",
        ),
        (
            ["--my-arg=7", "--point", '{"y": 9}', "--anything", "math:inf", "--yes"],
            "('RED', 'fast', 7, Point(x=1.0, y=9), 3600.0, True, 0.5, inf)",
        ),
    ],
)
def test_inputs_reach_the_task_as_their_types(flyte: Flyte, arguments: list[str], shown: str) -> None:
    assert output(flyte("-of", "json", "run", "--local", "tasks.py", "echo", *arguments)) == {"o0": shown}


def test_a_flag_is_false_and_an_optional_is_none_without_an_option(flyte: Flyte) -> None:
    assert output(flyte("-of", "json", "run", "--local", "tasks.py", "bare")) == {"o0": "(False, None)"}
    assert output(flyte("-of", "json", "run", "--local", "tasks.py", "bare", "--flag")) == {"o0": "(True, None)"}


def test_inputs_named_like_other_options_are_inputs(flyte: Flyte) -> None:
    done = flyte("-of", "json", "run", "--local", "tasks.py", "taken", "--x", "--no-x", "3", "--help", "4")
    assert output(done) == {"o0": "(True, 3, 4)"}
    assert "--no_x" in flyte("run", "--local", "tasks.py", "taken", "-h").stdout


def test_a_package_that_is_missing_here_is_said_to_be_one_of_an_image(flyte: Flyte, project: Path) -> None:
    (project / "needy.py").write_text(
        "import flyte\nenv = flyte.TaskEnvironment('needy')\n"
        "@env.task\ndef main() -> int:\n    import nowhere_to_be_found\n    return 1\n"
    )
    hint = "`flyte run --isolated` runs each task in its image"
    assert hint in flyte("run", "--local", "needy.py", "main").stderr
    assert hint not in flyte("run", "--local", "--isolated", "needy.py", "main").stderr


def test_a_failed_run_tells_what_where_and_the_users_traceback_once(flyte: Flyte) -> None:
    done = flyte("run", "--local", "--name", "bad", "tasks.py", "fails")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "Run bad failed after " in done.stderr
    assert ": ValueError: n is zero," in done.stderr
    assert "in task e.child, action " in done.stderr
    assert done.stderr.count("Traceback (most recent call last)") == 1
    assert done.stderr.count('raise ValueError("n is zero') == 1
    assert "/flyte/_" not in done.stderr
    assert done.stderr.rstrip().endswith("flyte get action bad")


def test_the_action_named_is_the_one_the_error_came_from(flyte: Flyte) -> None:
    error = json.loads(flyte("-of", "json", "run", "--local", "--name", "bad", "tasks.py", "fails").stdout)["error"]
    assert (error["code"], error["message"], error["task"]) == ("ValueError", "n is zero,\nand must not be", "e.child")
    inputs = flyte("-of", "json", "get", "io", "bad", error["action"], "-i")
    assert json.loads(inputs.stdout) == {"inputs": {"n": 0}}
    parent = json.loads(flyte("-of", "json", "get", "action", "bad", error["action"]).stdout)["parent"]
    assert json.loads(flyte("-of", "json", "get", "io", "bad", parent, "-i").stdout) == {"inputs": {"n": 1}}


def test_labels_variables_and_scope_reach_the_run(flyte: Flyte, project: Path) -> None:
    (project / "config.yaml").write_text("task: {org: o, project: p, domain: d}\n")
    run = ("-of", "json", "run", "--local")
    assert output(flyte(*run, "-e", "MINE=a=b", "--label", "k=v", "--label", "t=x=y", "tasks.py", "variable")) == {
        "o0": "a=b"
    }
    assert output(flyte(*run, "--raw-data-path", "raw", "tasks.py", "where")) == {"o0": f"o/p/d {project / 'raw'}"}
    done = flyte(
        "-of",
        "json",
        "--org",
        "O",
        "run",
        "--local",
        "-p",
        "P",
        "-d",
        "D",
        "--raw-data-path",
        "raw",
        "tasks.py",
        "where",
    )
    assert output(done) == {"o0": f"O/P/D {project / 'raw'}"}
    listed = json.loads(flyte("-of", "json", "get", "run", "--with-label", "t=x=y").stdout)
    assert [(item["labels"], item["project"]) for item in listed] == [({"k": "v", "t": "x=y"}, "p")]


def test_a_run_name_is_used_once(flyte: Flyte) -> None:
    assert flyte("run", "--local", "--name", "one", "tasks.py", "nothing").exit_code == 0
    done = flyte("run", "--local", "--name", "one", "tasks.py", "nothing")
    assert done.exit_code == 2
    assert "already is a run 'one'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["run", "tasks.py", "double", "--x", "1.5"],
            "--x: '1.5' is no whole number. Expected a whole number",
        ),
        (["run", "tasks.py", "double"], "task double needs --x (int)"),
        (["run", "tasks.py", "double", "--y", "1"], "No such option '--y'"),
        (["run", "tasks.py", "double", "5"], "'5' belongs to no input"),
        (["run", "tasks.py", "bare", "--flag", "true"], "A flag takes no value: --flag or --no-flag"),
        (["run", "tasks.py", "doble"], "tasks.py has no task 'doble'. Did you mean double?"),
        (["run", "tasks.py", "double", "--x", "1", "--local"], "--local is an option of `flyte run`"),
        (["run", "tasks.py", "-of", "json"], "-of is an option of `flyte`"),
        (["run", "task.py"], "no file or folder 'task.py'. Did you mean tasks.py?"),
        (["run", "--label", "k", "tasks.py", "nothing"], "'k' is not of the form KEY=VALUE"),
        (["run", "--env", "=v", "tasks.py", "nothing"], "'=v' is not of the form KEY=VALUE"),
        (["run", "--name", "Bad Name", "tasks.py", "nothing"], "run name 'Bad Name' is not allowed"),
        (["run", "--root-dir", "nowhere", "tasks.py", "nothing"], "'nowhere' does not exist"),
        (["-c", "nowhere.yaml", "run", "tasks.py", "nothing"], "'nowhere.yaml' does not exist"),
        (["-of", "xml", "run", "tasks.py", "nothing"], "'xml' is not one of"),
        (["rnu"], "Did you mean 'run'?"),
        (["run", "--local", "deployed-task", "e.double"], "leave --local out"),
        (["run", "--copy-style", "none", "tasks.py", "nothing"], "give --version"),
        (["run", "--max-action-concurrency", "1", "tasks.py", "nothing"], "0 or at least 2"),
        (["run", "--run-project", "p", "tasks.py", "nothing"], "use --project and --domain"),
        (["run", "--version", "1", "deployed-task", "e.double"], "write TASK:VERSION"),
        (["run", "python-script", "s.py"], "make the script a task"),
        (
            ["--endpoint", "there:80", "--auth-type", "pkce", "get", "run"],
            "from an OAuth server, which this release cannot",
        ),
        (["--auth-type", "magic", "get", "run"], "--auth-type 'magic': expected one of Pkce"),
        (["serve", "tasks.py", "app"], "serves no apps"),
        (["get", "artifact"], "keeps no artifacts"),
    ],
)
def test_a_wrong_command_ends_with_2_and_says_what_is_wrong(flyte: Flyte, arguments: list[str], message: str) -> None:
    done = flyte(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "option",
    [
        *["--follow", "-f", "--no-sync-local-sys-paths"],
        *["--version=1", "--service-account=x", "--image=x", "--queue=x", "--max-action-concurrency=4"],
    ],
)
def test_a_local_run_refuses_options_of_served_ones(flyte: Flyte, option: str) -> None:
    done = flyte("run", "--local", option, "tasks.py", "nothing")
    assert done.exit_code == 2
    assert "concerns runs on a control plane" in done.stderr


@pytest.mark.parametrize("option", ["--tracked", "--tracked-strict", "--debug", "--tui"])
def test_options_that_this_release_has_nothing_for_are_refused(flyte: Flyte, option: str) -> None:
    done = flyte("run", option, "tasks.py", "nothing")
    assert done.exit_code == 2
    assert f"{option} is not there" in done.stderr


def test_inputs_that_the_engine_refuses_leave_no_run(flyte: Flyte, flyte_home: Path) -> None:
    done = flyte("run", "--local", "tasks.py", "double", "--x", str(2**70))
    assert done.exit_code == 2
    assert str(2**70) in done.stderr
    assert json.loads(flyte("-of", "json", "get", "run").stdout) == []


def test_a_store_that_cannot_be_used_is_not_the_commands_fault(flyte: Flyte, flyte_home: Path) -> None:
    (flyte_home / "store.db").write_text("something else, and long enough to be read as a database header " * 20)
    done = flyte("run", "--local", "tasks.py", "nothing")
    assert done.exit_code == 1
    assert "not a database" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_built_in_example_runs(flyte: Flyte) -> None:
    done = flyte("run", "--local", "hello", "--n", "3", "--name", "you")
    assert "Hello, you! The first 3 squares add up to 14." in done.stdout
    assert "4 actions" in done.stdout


def test_a_mistake_of_ours_is_reported_as_ours(flyte: Flyte, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flyte._run.runner.Runner.run", property(lambda self: 1 // 0))
    done = flyte("run", "--local", "tasks.py", "nothing")
    assert done.exit_code == 1
    assert "flyte itself failed: ZeroDivisionError" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in flyte("-vvv", "run", "--local", "tasks.py", "nothing").stderr
