"""What the command does with tasks, triggers, projects, secrets and settings of a control plane."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Flyte
from tests.cli.served.commands import document
from tests.cli.served.conftest import Plane


def test_deployed_tasks_are_listed_shown_and_run(flyte: Flyte, plane: Plane) -> None:
    deployed = document(flyte("-of", "json", "deploy", "--version", "v1", "tasks.py", "env"))
    assert {(each["task"], each["version"], each["is_new"]) for each in deployed} >= {("e.one", "v1", True)}
    listed = document(flyte(*plane.endpoint, "-of", "json", "get", "task"))
    assert "e.one" in [each["name"] for each in listed]
    shown = document(flyte("-of", "json", "get", "task", "e.one", "v1"))
    assert (shown["inputs"], shown["required"], shown["outputs"]) == ({"x": "int"}, [], {"o0": "int"})
    assert (shown["description"], shown["environment"]) == ("Doubles.", "e")
    for task in ("e.one", "e.one:v1"):
        ran = flyte("-of", "json", "run", "-f", "deployed-task", task, "--x", "5")
        assert document(ran)["outputs"] == {"o0": 10}
    assert document(flyte("-of", "json", "run", "-f", "deployed-task", "e.one"))["outputs"] == {"o0": 4}


def test_a_version_stays_as_it_was_deployed_first(flyte: Flyte, project: Path) -> None:
    code = "import flyte\nenv = flyte.TaskEnvironment('kept')\n@env.task\ndef main(x: {0}) -> None: ...\n"
    for _ in range(2):
        (project / "kept.py").write_text(code.format("int"))
        assert "was there" not in flyte("deploy", "--version", "v1", "kept.py", "env").stdout
    (project / "kept.py").write_text(code.format("str"))
    again = flyte("deploy", "--version", "v1", "kept.py", "env")
    assert (again.exit_code, "was there" in again.stdout) == (0, True)
    assert "stays as it is" in again.stderr
    assert document(flyte("-of", "json", "get", "task", "kept.main", "v1"))["inputs"] == {"x": "int"}


def test_help_of_a_deployed_task_shows_its_inputs(flyte: Flyte) -> None:
    flyte("deploy", "--version", "v1", "tasks.py", "env")
    text = " ".join(flyte("run", "deployed-task", "e.one", "--help").stdout.split())
    assert "Doubles." in text
    assert "--x int" in text
    assert "[default: 2]" in text
    listing = flyte("run", "deployed-task")
    assert listing.exit_code == 0
    assert "e.fan" in listing.stdout


def test_a_deployed_task_runs_in_another_domain(flyte: Flyte) -> None:
    flyte("deploy", "--version", "v1", "tasks.py", "env")
    done = flyte("-of", "json", "run", "-f", "--run-domain", "staging", "deployed-task", "e.settings")
    assert document(done)["outputs"] == {"o0": ["", "flytesnacks", "staging"]}


def test_a_dry_run_deploys_nothing_and_needs_no_control_plane(
    flyte: Flyte, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLYTE_HOME", str(tmp_path / "other"))
    done = flyte("-of", "json", "deploy", "--dry-run", "tasks.py", "env")
    assert all(not each["is_new"] for each in document(done))
    assert not (tmp_path / "other" / "server.json").exists()


def test_images_and_their_builder_are_those_of_the_options(flyte: Flyte, project: Path) -> None:
    code = (
        "import flyte\nnamed = flyte.TaskEnvironment('n', image=flyte.Image.from_ref_name('mine'))\n"
        "plain = flyte.TaskEnvironment('d', image=flyte.Image.from_ref_name('default'))\n"
        "@named.task\ndef one() -> None: ...\n@plain.task\ndef two() -> None: ...\n"
    )
    (project / "images.py").write_text(code)
    images = ("--image", "mine=registry/mine:1", "--image", "registry/plain:2")
    assert flyte("deploy", "--version", "v1", *images, "--all", "images.py").exit_code == 0
    for task, image in (("n.one", "registry/mine:1"), ("d.two", "registry/plain:2")):
        assert document(flyte("-of", "json", "get", "task", task, "v1"))["image"] == image
    without = flyte("deploy", "--all", "images.py")
    assert without.exit_code == 2
    assert "image 'mine' has no address" in without.stderr
    config = document(flyte("-of", "json", "--image-builder", "docker", "get", "config"))
    assert config["image"]["builder"] == "docker"


def test_a_folder_is_deployed_whole(flyte: Flyte, project: Path) -> None:
    (project / "more").mkdir()
    code = "import flyte\nenv = flyte.TaskEnvironment('{0}')\n@env.task\ndef main() -> None: ...\n"
    for name in ("first", "second"):
        (project / "more" / f"{name}.py").write_text(code.format(name))
    (project / "more" / "broken.py").write_text("1 / 0\n")
    assert flyte("deploy", "--all", "more").exit_code == 2
    done = flyte("-of", "json", "deploy", "--all", "-i", "more")
    assert sorted(each["task"] for each in document(done)) == ["first.main", "second.main"]


def test_a_trigger_is_made_shown_changed_and_deleted(flyte: Flyte, plane: Plane) -> None:
    flyte("deploy", "--version", "v1", "tasks.py", "env")
    made = document(flyte("-of", "json", "create", "trigger", "e.one", "daily", "--schedule", "0 8 * * *"))
    assert (made["name"], made["task"], made["is_active"]) == ("daily", "e.one", True)
    assert made["when"].startswith("0 8 * * *")
    (listed,) = document(flyte(*plane.endpoint, "-of", "json", "get", "trigger", "e.one"))
    assert listed["name"] == "daily"
    assert flyte("update", "trigger", "daily", "e.one", "--deactivate").exit_code == 0
    assert document(flyte("-of", "json", "get", "trigger", "e.one", "daily"))["is_active"] is False
    assert "daily" in flyte("get", "trigger").stdout
    assert flyte("delete", "trigger", "daily", "e.one").exit_code == 0
    assert document(flyte("-of", "json", "get", "trigger", "e.one")) == []


def test_a_project_is_made_changed_and_archived(flyte: Flyte) -> None:
    made = document(flyte("-of", "json", "create", "project", "--id", "vision", "--name", "Vision", "-l", "team=a"))
    assert (made["id"], made["labels"], made["is_archived"]) == ("vision", {"team": "a"}, False)
    again = flyte("create", "project", "--id", "vision", "--name", "Vision")
    assert again.exit_code == 2
    assert "Traceback" not in again.stderr
    changed = document(flyte("-of", "json", "update", "project", "vision", "--description", "Pictures", "--archive"))
    assert (changed["name"], changed["description"], changed["is_archived"]) == ("Vision", "Pictures", True)
    assert "vision" not in [each["id"] for each in document(flyte("-of", "json", "get", "project"))]
    archived = document(flyte("-of", "json", "get", "project", "--archived"))
    assert [each["id"] for each in archived] == ["vision"]
    assert document(flyte("-of", "json", "update", "project", "vision", "--unarchive"))["is_archived"] is False


def test_a_secret_of_a_control_plane_is_kept_listed_and_deleted(flyte: Flyte, plane: Plane, project: Path) -> None:
    there = (*plane.endpoint, "-of", "json")
    assert flyte(*there, "create", "secret", "token", "--value", "hush").exit_code == 0
    (project / "raw").write_bytes(b"some text")
    assert flyte(*there, "create", "secret", "raw", "--from-file", "raw").exit_code == 0
    listed = document(flyte(*there, "get", "secret"))
    assert [(each["name"], each["type"]) for each in listed] == [("raw", "regular"), ("token", "regular")]
    assert "hush" not in json.dumps(listed)
    assert document(flyte(*there, "get", "secret", "token"))[0]["name"] == "token"
    assert flyte(*there, "delete", "secret", "token").exit_code == 0
    assert [each["name"] for each in document(flyte(*there, "get", "secret"))] == ["raw"]


def test_a_secret_kept_on_this_machine_reaches_its_served_runs(flyte: Flyte, project: Path) -> None:
    code = (
        "import os, flyte\nenv = flyte.TaskEnvironment('s', secrets=flyte.Secret('mine', as_env_var='MINE'))\n"
        "@env.task\ndef show() -> str: return os.environ['MINE']\n"
    )
    (project / "secretive.py").write_text(code)
    assert flyte("create", "secret", "mine", "--value", "hush").exit_code == 0
    assert document(flyte("-of", "json", "run", "-f", "secretive.py", "show"))["outputs"] == {"o0": "hush"}


def test_settings_are_changed_from_a_file(flyte: Flyte, project: Path, plane: Plane) -> None:
    file = project / "settings.yaml"
    file.write_text("run.default_queue: fast\n")
    assert flyte("edit", "settings", "-f", "settings.yaml", "-d", "staging").exit_code == 0
    found = document(flyte(*plane.endpoint, "-of", "json", "get", "settings", "-d", "staging"))
    assert found == {"effective": {"run.default_queue": "fast"}, "local": {"run.default_queue": "fast"}}
    flyte("get", "settings", "-d", "staging", "-o", "copy.yaml")
    assert "run.default_queue: fast" in (project / "copy.yaml").read_text()
    assert document(flyte("-of", "json", "get", "settings"))["local"] == {}


def test_who_one_is(flyte: Flyte, plane: Plane) -> None:
    assert document(flyte(*plane.endpoint, "-of", "json", "whoami"))["subject"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["get", "task", "e.onne"], "no task 'e.onne' is deployed there. Did you mean e.one"),
        (["get", "task", "e.one", "v9"], "version 'v9'"),
        (["get", "trigger", "e.onne"], "no task 'e.onne' is deployed there. Did you mean e.one"),
        (["get", "trigger", "e.one", "nightly"], "task 'e.one' has no trigger 'nightly'"),
        (["get", "project", "flytesnack"], "no project 'flytesnack'. Did you mean flytesnacks?"),
        (["get", "settings", "-p", "flytesnacks"], "give that too"),
        (["run", "deployed-task", "e.onne"], "no task 'e.onne' is deployed there. Did you mean e.one?"),
        (["run", "deployed-task", "e.one:v9"], "task 'e.one' has no version 'v9'"),
        (["run", "deployed-task", "e.one", "--y", "1"], "No such option '--y'"),
        (["run", "deployed-task", "e.fails"], "task e.fails needs --x (int)"),
        (["create", "trigger", "e.onne", "t", "--schedule", "0 0 * * *"], "Did you mean e.one"),
        (["create", "trigger", "e.one", "t", "--schedule", "often"], "often"),
        (["create", "trigger", "e.fails", "t", "--schedule", "0 0 * * *"], "x"),
        (["create", "project", "--id", "Bad Id", "--name", "B"], "Bad Id"),
        (["update", "project", "vison", "--name", "V"], "no project 'vison'"),
        (["update", "project", "vision"], "say what to change"),
        (["update", "trigger", "t", "e.one"], "--activate"),
        (["update", "trigger", "nightly", "e.one", "--activate"], "has no trigger 'nightly'"),
        (["delete", "trigger", "nightly", "e.one"], "has no trigger 'nightly'"),
        (["deploy", "tasks.py", "envv"], "tasks.py has no environment 'envv'. Did you mean env?"),
        (["deploy", "task.py", "env"], "there is no file or folder 'task.py'. Did you mean tasks.py?"),
        (["deploy", "--copy-style", "none", "tasks.py", "env"], "give --version"),
        (["deploy", "."], "is a folder"),
        (["edit", "settings"], "--from-file FILE"),
        (["edit", "settings", "-f", "wrong.yaml"], "there is no setting 'run.default_quue'"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_what_is_wrong_is_said(flyte: Flyte, project: Path, arguments: list[str], message: str) -> None:
    flyte("deploy", "--version", "v1", "tasks.py", "env")
    (project / "wrong.yaml").write_text("run.default_quue: fast\n")
    done = flyte(*arguments)
    assert done.exit_code == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("what", ["run", "task", "trigger", "secret"])
def test_a_place_that_is_not_there_is_no_empty_list(flyte: Flyte, plane: Plane, what: str) -> None:
    done = flyte(*plane.endpoint, "get", what, "-p", "flytesnack", "-d", "staging")
    assert done.exit_code == 2
    assert "there is no project 'flytesnack'. Did you mean flytesnacks?" in done.stderr
    done = flyte(*plane.endpoint, "get", what, "-p", "flytesnacks", "-d", "stagin")
    assert done.exit_code == 2
    assert "project 'flytesnacks' has no domain 'stagin'. Did you mean staging?" in done.stderr
    assert document(flyte(*plane.endpoint, "-of", "json", "get", what, "-d", "production")) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["create", "secret", "s", "--group", "g", "--value", "v"], "a control plane knows none"),
        (["create", "secret", "s", "--value", ""], "has no value"),
        (["create", "secret", "s", "--value", "v", "--type", "image_pull"], "pulls no images"),
        (["delete", "secret", "tokn"], "no secret 'tokn'"),
        (["get", "secret", "tokn"], "no secret 'tokn'"),
    ],
)
def test_what_is_wrong_with_a_secret_is_said(flyte: Flyte, plane: Plane, arguments: list[str], message: str) -> None:
    done = flyte(*plane.endpoint, *arguments)
    assert done.exit_code == 2, done.stderr
    assert message in done.stderr
