from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Flyte = Callable[..., Result]

TASKS = """
import flyte

env = flyte.TaskEnvironment("e")

class Daily:
    def get_version(self, salt, params):
        return "today"

@env.task(cache="auto")
async def square(x: int, note: str = "a") -> int:
    return x * x

@env.task(cache=flyte.Cache("auto", version_override="1"))
async def cube(x: int) -> int:
    return x ** 3

@env.task(cache=flyte.Cache("auto", max_age=0))
async def fresh(x: int) -> int:
    return x

@env.task(cache="override")
async def always(x: int) -> int:
    return x

@env.task(cache="auto")
async def fails(x: int) -> int:
    raise ValueError("no")

@env.task
async def plain(x: int) -> int:
    return x

@flyte.trace
async def noted(x: int) -> int:
    return x

@env.task
async def traced() -> int:
    return await noted(1)

@env.task
async def both() -> int:
    return await square(1) + await square(2)
"""


@pytest.fixture
def tasks(project: Path) -> Path:
    """The file with the tasks."""
    file = project / "t.py"
    file.write_text(TASKS)
    return file


def run(flyte: Flyte, name: str, task: str, *inputs: str) -> None:
    flyte("run", "--local", "--name", name, "t.py", task, *inputs)


def explained(flyte: Flyte, run_name: str, action: str = "a0") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(flyte("-of", "json", "explain", "cache", run_name, action).stdout)
    return document


def sentences(flyte: Flyte, run_name: str) -> list[str]:
    return [change["sentence"] for change in explained(flyte, run_name)["changes"]]


def kept(flyte: Flyte, *arguments: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(flyte("-of", "json", "get", "cache", *arguments).stdout)
    return entries


def make_older(home: Path, task_name: str, days: float) -> None:
    with sqlite3.connect(home / "store.db") as connection:
        moment = round((time.time() - days * 86_400) * 1e6)
        connection.execute("UPDATE cache_entry SET created_us = ? WHERE task_name = ?", (moment, task_name))
    connection.close()


def test_kept_results_are_listed_newest_first(flyte: Flyte, tasks: Path) -> None:
    run(flyte, "r1", "square", "--x", "3")
    run(flyte, "r2", "cube", "--x", "3")
    assert [(entry["task"], entry["run"], entry["action"]) for entry in kept(flyte)] == [
        ("e.cube", "r2", "a0"),
        ("e.square", "r1", "a0"),
    ]
    assert [entry["version"] for entry in kept(flyte, "e.cube")] == ["1"]
    assert kept(flyte)[0]["size_bytes"] > 0
    done = flyte("get", "cache", "--limit", "1")
    assert "e.cube" in done.stdout
    assert "1 of 2 results" in done.stderr


def test_the_size_of_a_large_result_is_that_of_its_file(flyte: Flyte, project: Path) -> None:
    code = "import flyte\nenv = flyte.TaskEnvironment('e')\n@env.task(cache='auto')\nasync def long() -> str:\n"
    (project / "t.py").write_text(code + "    return 'x' * 200_000\n")
    run(flyte, "r1", "long")
    assert "195.3 KiB" in flyte("get", "cache").stdout


def test_without_results_the_list_is_empty_and_says_how_to_keep_some(flyte: Flyte, flyte_home: Path) -> None:
    done = flyte("-of", "json", "get", "cache")
    assert (json.loads(done.stdout), done.exit_code) == ([], 0)
    assert 'cache="auto"' in done.stderr
    assert not list(flyte_home.iterdir())


def test_a_task_without_results_is_told_with_a_near_name(flyte: Flyte, tasks: Path) -> None:
    run(flyte, "r1", "square", "--x", "3")
    assert "Did you mean e.square?" in flyte("get", "cache", "e.sqare").stderr


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (["--all"], []),
        (["--task", "e.square"], ["e.cube"]),
        (["--older-than", "7d"], ["e.cube"]),
        (["--task", "e.cube", "--older-than", "7d"], ["e.cube", "e.square"]),
        (["--all", "--dry-run"], ["e.cube", "e.square"]),
    ],
)
def test_results_are_deleted_by(
    flyte: Flyte, tasks: Path, flyte_home: Path, options: list[str], left: list[str]
) -> None:
    run(flyte, "r1", "square", "--x", "3")
    run(flyte, "r2", "cube", "--x", "3")
    make_older(flyte_home, "e.square", days=8)
    assert flyte("delete", "cache", *options, "-y").exit_code == 0
    assert sorted(entry["task"] for entry in kept(flyte)) == left


def test_a_deletion_that_nobody_confirms_is_refused(flyte: Flyte, tasks: Path) -> None:
    run(flyte, "r1", "square", "--x", "3")
    done = flyte("delete", "cache", "--all")
    assert done.exit_code == 2
    assert "deletes 1 result: confirm it with --yes" in done.stderr
    assert len(kept(flyte)) == 1


@pytest.mark.parametrize("options", [[], ["--all", "--task", "e.square"]])
def test_a_deletion_says_either_which_or_all(flyte: Flyte, options: list[str]) -> None:
    assert flyte("delete", "cache", *options, "-y").exit_code == 2


def test_a_deletion_tells_programs_what_it_did(flyte: Flyte, tasks: Path) -> None:
    run(flyte, "r1", "square", "--x", "3")
    dry = json.loads(flyte("-of", "json", "delete", "cache", "--all", "--dry-run").stdout)
    assert dry == {"deleted": 0, "selected": 1, "tasks": {"e.square": 1}}
    assert json.loads(flyte("-of", "json", "delete", "cache", "--all", "-y").stdout) == dry | {"deleted": 1}


def test_local_cache_is_cleared_without_asking(flyte: Flyte, tasks: Path, flyte_home: Path) -> None:
    run(flyte, "r1", "square", "--x", "3")
    assert flyte("delete", "local-cache").stdout == f"Cleared local cache: 1 result in {flyte_home / 'store.db'}\n"
    assert kept(flyte) == []


def test_a_hit_names_the_action_that_made_the_result(flyte: Flyte, tasks: Path) -> None:
    run(flyte, "r1", "square", "--x", "3")
    run(flyte, "r2", "square", "--x", "3")
    document = explained(flyte, "r2")
    assert (document["cache"], document["reason"]) == ("hit", "hit")
    assert (document["found"]["run"], document["found"]["action"]) == ("r1", "a0")


def test_a_first_call_missed_because_nothing_was_kept(flyte: Flyte, tasks: Path) -> None:
    run(flyte, "r1", "square", "--x", "3")
    document = explained(flyte, "r1")
    assert (document["cache"], document["reason"], document["changes"]) == ("miss, kept", "nothing_kept", [])


def test_a_miss_names_the_inputs_that_differ_with_both_values(flyte: Flyte, tasks: Path) -> None:
    run(flyte, "r1", "square", "--x", "3", "--note", "b")
    run(flyte, "r2", "square", "--x", "9")
    run(flyte, "r3", "square", "--x", "4", "--note", "b")
    assert sentences(flyte, "r3") == ["input x was 3, now 4"]
    text = flyte("explain", "cache", "r3").stdout
    assert "no result was kept for these inputs" in text
    assert "action a0 of run r1" in text


def test_values_that_are_no_longer_recorded_are_not_made_up(flyte: Flyte, tasks: Path, flyte_home: Path) -> None:
    run(flyte, "r1", "square", "--x", "3")
    run(flyte, "r2", "square", "--x", "4")
    with sqlite3.connect(flyte_home / "store.db") as connection:
        connection.execute("DELETE FROM run WHERE name = 'r1'")
    connection.close()
    assert sentences(flyte, "r2") == ["input x is 4, and what it was is no longer recorded"]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("x * x", "x ** 2", "the code of the function changed"),
        ('"auto")\nasync def square', 'flyte.Cache("auto", salt="s"))\nasync def square', "the salt was '', now 's'"),
        (
            '"auto")\nasync def square',
            'flyte.Cache("auto", version_override="1"))\nasync def square',
            "version was from the code of the function, now set to '1'",
        ),
        (
            '"auto")\nasync def square',
            'flyte.Cache("auto", policies=Daily()))\nasync def square',
            "the policies were FunctionBodyPolicy, now Daily",
        ),
    ],
)
def test_a_miss_says_what_made_another_version(flyte: Flyte, tasks: Path, old: str, new: str, sentence: str) -> None:
    run(flyte, "r1", "square", "--x", "3")
    tasks.write_text(TASKS.replace(old, new))
    run(flyte, "r2", "square", "--x", "3")
    assert explained(flyte, "r2")["reason"] == "version"
    assert sentence in sentences(flyte, "r2")[0]


def test_comments_and_formatting_do_not_miss(flyte: Flyte, tasks: Path) -> None:
    run(flyte, "r1", "square", "--x", "3")
    tasks.write_text(TASKS.replace("return x * x", "# squared\n    return (x\n        * x)"))
    run(flyte, "r2", "square", "--x", "3")
    assert explained(flyte, "r2")["cache"] == "hit"


def test_another_interface_is_told(flyte: Flyte, tasks: Path) -> None:
    run(flyte, "r1", "cube", "--x", "3")
    tasks.write_text(TASKS.replace("def cube(x: int)", "def cube(x: int, y: int = 0)"))
    run(flyte, "r2", "cube", "--x", "3")
    assert sentences(flyte, "r2") == ["input y = 0 is new", "the inputs or outputs of the task are of other types"]


@pytest.mark.parametrize(
    ("task", "reason"), [("fresh", "too_old"), ("always", "override"), ("plain", "disabled"), ("cube", "hit")]
)
def test_the_second_of_equal_calls_is_explained_by(flyte: Flyte, tasks: Path, task: str, reason: str) -> None:
    for name in ("r1", "r2"):
        run(flyte, name, task, "--x", "3")
    assert explained(flyte, "r2")["reason"] == reason


def test_a_failed_action_missed_and_nothing_was_kept(flyte: Flyte, tasks: Path) -> None:
    run(flyte, "r1", "fails", "--x", "3")
    assert (explained(flyte, "r1")["cache"], kept(flyte)) == ("miss", [])


def test_a_trace_has_no_cache(flyte: Flyte, tasks: Path) -> None:
    run(flyte, "r1", "traced")
    trace = json.loads(flyte("-of", "json", "get", "action", "r1").stdout)[1]
    assert (trace["kind"], trace["cache"]) == ("trace", "disabled")
    assert "a trace is no task" in explained(flyte, "r1", trace["name"])["explanation"]


def test_actions_and_runs_say_what_the_cache_did(flyte: Flyte, tasks: Path) -> None:
    run(flyte, "r1", "square", "--x", "1")
    done = flyte("-of", "json", "run", "--local", "--name", "r2", "t.py", "both")
    assert json.loads(done.stdout)["cache"] == {"hit": 1, "miss": 1}
    actions = json.loads(flyte("-of", "json", "get", "action", "r2").stdout)
    assert sorted(action["cache"] for action in actions) == ["disabled", "hit", "miss, kept"]
    assert json.loads(flyte("-of", "json", "get", "run", "r2").stdout)["cache"] == {"hit": 1, "miss": 1, "kept": 1}
    assert "1 hit; 1 missed, all kept" in flyte("get", "run", "r2").stdout
    assert "miss, kept" in flyte("get", "action", "r2").stdout


def test_a_run_without_cached_tasks_does_not_speak_of_the_cache(flyte: Flyte, tasks: Path) -> None:
    run(flyte, "r1", "plain", "--x", "3")
    assert "Cache" not in flyte("get", "run", "r1").stdout
    assert "Cache" not in flyte("get", "action", "r1").stdout
