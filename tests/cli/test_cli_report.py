from __future__ import annotations

import json
import webbrowser
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Flyte = Callable[..., Result]

TASKS = """
import flyte
import flyte.report

env = flyte.TaskEnvironment("e")

@env.task(report=True)
async def shows(x: int = 1) -> int:
    await flyte.report.log.aio("<p>here</p>")
    return x

@env.task(report=True, cache="auto")
async def kept(x: int = 1) -> int:
    flyte.report.log("<p>once</p>")
    return x

@env.task
async def silent() -> int:
    return await shows(2)
"""


@pytest.fixture(autouse=True)
def tasks(project: Path) -> None:
    (project / "t.py").write_text(TASKS)


def run(flyte: Flyte, name: str, task: str) -> None:
    flyte("run", "--local", "--name", name, "t.py", task)


def test_the_path_of_a_report_is_printed(flyte: Flyte, flyte_home: Path) -> None:
    run(flyte, "r1", "shows")
    path = Path(flyte("get", "report", "r1").stdout.rstrip("\n"))
    assert path.is_relative_to(flyte_home)
    assert "here" in path.read_text("utf-8")
    document = json.loads(flyte("-of", "json", "get", "report", "r1", "a0").stdout)
    assert document == {"run": "r1", "action": "a0", "task": "e.shows", "path": str(path)}


def test_the_report_of_a_child_is_found_by_its_action(flyte: Flyte) -> None:
    run(flyte, "r1", "silent")
    child = json.loads(flyte("-of", "json", "get", "action", "r1").stdout)[1]["name"]
    assert Path(flyte("get", "report", "r1", child).stdout.strip()).parent.name == child


def test_a_report_is_opened_in_the_browser(flyte: Flyte, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def open_page(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", open_page)
    run(flyte, "r1", "shows")
    done = flyte("get", "report", "r1", "--open")
    assert (done.exit_code, opened) == (0, [Path(done.stdout.strip()).as_uri()])


def test_without_a_browser_the_path_is_still_printed(flyte: Flyte, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    run(flyte, "r1", "shows")
    done = flyte("get", "report", "r1", "--open")
    assert done.exit_code == 2
    assert done.stdout.strip().endswith("report.html")
    assert "no browser was found" in done.stderr


def test_an_action_without_a_report_says_what_makes_one(flyte: Flyte) -> None:
    run(flyte, "r1", "silent")
    done = flyte("get", "report", "r1")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "needs `report=True`" in done.stderr


def test_a_cached_result_points_to_the_report_of_the_action_that_made_it(flyte: Flyte) -> None:
    run(flyte, "r1", "kept")
    run(flyte, "r2", "kept")
    assert "flyte get report r1 a0" in flyte("get", "report", "r2").stderr
    assert flyte("get", "report", "r1", "a0").exit_code == 0
