"""`flyte build`, `flyte get image` and `flyte delete image`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from flyte._image.environment import RECORD, load_environment
from tests.cli.conftest import flyte as flyte
from tests.cli.conftest import project as project
from tests.image.test_building import uv_cache

Flyte = Callable[..., Result]

PLAIN = """
import flyte

base = flyte.TaskEnvironment("base", image=flyte.Image.from_debian_base(name="base").with_env_vars({"A": "1"}))
env = flyte.TaskEnvironment("main", depends_on=[base])
"""
BROKEN = """
import flyte

image = flyte.Image.from_debian_base(name="b").with_commands(["echo oh; exit 3"])
broken = flyte.TaskEnvironment("broken", image=image)
"""


@pytest.fixture(autouse=True)
def files(project: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A folder with files of environments. Uv keeps what it has fetched for the person who runs the tests."""
    (project / "plain.py").write_text(PLAIN)
    (project / "sub").mkdir()
    (project / "sub" / "broken.py").write_text(BROKEN)
    (project / "none.py").write_text("x = 1\n")
    return project


@pytest.fixture(autouse=True, scope="module")
def cache_of_uv() -> object:
    # Asked before a test has a home folder of its own.
    before = os.environ.get("UV_CACHE_DIR")
    os.environ["UV_CACHE_DIR"] = uv_cache()
    yield
    if before is None:
        del os.environ["UV_CACHE_DIR"]
    else:
        os.environ["UV_CACHE_DIR"] = before


def built_key(flyte: Flyte) -> str:
    """The key of the one environment that `plain.py` needs, built now."""
    result = flyte("-of", "json", "build", "plain.py", "env")
    assert result.exit_code == 0, result.output
    (base, main) = json.loads(result.stdout)
    assert (base["environment"], main["environment"]) == ("base", "main")
    assert base["image"].startswith("venv:")
    return str(base["image"]).removeprefix("venv:")


def test_an_environment_is_built_with_those_it_depends_on_and_found_again(flyte: Flyte, flyte_home: Path) -> None:
    key = built_key(flyte)
    environment = load_environment(flyte_home, key)
    assert environment is not None
    again = flyte("build", "plain.py", "env")
    assert again.exit_code == 0
    assert key in again.stdout
    assert "making" not in again.stderr
    assert load_environment(flyte_home, key) == environment
    assert flyte("build", "--force", "plain.py", "env").exit_code == 0
    assert load_environment(flyte_home, key) != environment


def test_what_is_being_done_is_told_on_stderr(flyte: Flyte) -> None:
    assert "making an environment with Python" in flyte("build", "plain.py", "base").stderr
    assert flyte("--no-progress", "build", "--force", "plain.py", "base").stderr.splitlines() == [
        "Built with venv: 1 of 1."
    ]


def test_a_file_lists_its_environments(flyte: Flyte) -> None:
    result = flyte("build", "plain.py")
    assert result.exit_code == 0
    assert "env" in result.stdout
    assert "main" in result.stdout
    assert json.loads(flyte("-of", "json", "build", "plain.py").stdout) == [
        {"variable": "base", "environment": "base"},
        {"variable": "env", "environment": "main"},
    ]


def test_a_dry_run_builds_nothing(flyte: Flyte, images: Path) -> None:
    result = flyte("build", "--dry-run", "--all", "plain.py")
    assert result.exit_code == 0
    assert "Can be built with venv: 2 of 2." in result.stderr
    assert [path.name for path in images.iterdir()] == [".wheels"]


def test_a_failing_build_ends_with_1_and_the_others_are_built(flyte: Flyte) -> None:
    result = flyte("build", "--recursive", ".")
    assert result.exit_code == 1
    assert "'echo oh; exit 3' ended with 3:\noh" in result.stderr
    assert "environment 'broken'" in result.stderr
    assert "venv:" in result.stdout
    document = json.loads(flyte("-of", "json", "build", "--recursive", ".").stdout)
    assert [each["image"] is None for each in document] == [False, False, True]


def test_all_of_a_folder_leaves_the_folders_below_out(flyte: Flyte) -> None:
    result = flyte("build", "--dry-run", "--all", ".")
    assert result.exit_code == 0
    assert "2 of 2" in result.stderr


def test_a_file_that_cannot_be_imported_is_left_out_on_request(flyte: Flyte, files: Path) -> None:
    (files / "torn.py").write_text("import nowhere_to_be_found\n")
    refused = flyte("build", "--dry-run", "--all", ".")
    assert refused.exit_code == 2
    assert "torn.py cannot be imported" in refused.stderr
    result = flyte("build", "--dry-run", "--all", "--ignore-load-errors", ".")
    assert result.exit_code == 0
    assert "left out: torn.py cannot be imported" in result.stderr
    assert "2 of 2" in result.stderr


def test_a_file_in_a_folder_is_found(flyte: Flyte) -> None:
    assert flyte("build", "--dry-run", "sub", "broken.py", "broken").exit_code == 0
    assert flyte("build", "--dry-run", "--root-dir", ".", "sub/broken.py", "broken").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["plain.py", "envv"], "plain.py has no environment 'envv'. Did you mean env?"),
        (["plan.py", "env"], "there is no file or folder 'plan.py'. Did you mean plain.py?"),
        (["none.py"], "none.py has no environments"),
        (["none.py", "x"], "none.py has no environments"),
        (["."], ". is a folder: name a file in it"),
        (["--all", "plain.py", "env"], "env is one environment: leave it out"),
        (["--recursive", "plain.py"], "--recursive is for a folder, and plain.py is a file"),
        (["-i", "plain.py", "env"], "--ignore-load-errors is for a folder"),
        (["plain.py", "env", "more"], "more is too much"),
        (["--image-builder", "remote", "plain.py", "env"], "no control plane that builds images"),
        (["--copy-style", "some", "plain.py", "env"], "'some' is not one of"),
        ([], "Missing argument"),
    ],
)
def test_a_wrong_command_is_refused(flyte: Flyte, arguments: list[str], expected: str) -> None:
    result = flyte("build", *arguments)
    assert result.exit_code == 2
    assert expected in result.stderr


def test_the_builder_is_an_option_of_flyte_itself_too(flyte: Flyte) -> None:
    result = flyte("--image-builder", "remote", "build", "plain.py", "env")
    assert result.exit_code == 2
    assert "no control plane that builds images" in result.stderr
    nearer = flyte("--image-builder", "remote", "build", "--builder", "venv", "--dry-run", "plain.py", "env")
    assert nearer.exit_code == 0


def test_built_images_are_listed_with_size_and_age(flyte: Flyte) -> None:
    assert "No image was built on this machine" in flyte("get", "image").stderr
    key = built_key(flyte)
    table = flyte("get", "image").stdout
    assert key[:12] in table
    assert "MiB" in table
    assert "env_vars" in table
    (listed,) = json.loads(flyte("-of", "json", "get", "image").stdout)
    assert (listed["key"], listed["name"], listed["processes"]) == (key, "base", [])
    assert listed["size_bytes"] > 1_000_000
    shown = flyte("get", "image", key[:6]).stdout
    assert f"venv:{key}" in shown
    assert "Variables" in shown
    missing = flyte("get", "image", "zz")
    assert missing.exit_code == 2
    assert "'zz' is not the key of an environment" in missing.stderr


def test_an_image_is_deleted_by_its_key(flyte: Flyte, images: Path) -> None:
    key = built_key(flyte)
    assert f"Would delete 1 image: {key[:12]}" in flyte("delete", "image", "--dry-run", f"venv:{key}").stdout
    assert (images / key).exists()
    assert f"Deleted 1 image: {key[:12]}" in flyte("delete", "image", key[:8]).stdout
    assert not (images / key).exists()
    assert built_key(flyte) == key


def test_an_image_that_a_process_runs_in_is_not_deleted(flyte: Flyte, flyte_home: Path, images: Path) -> None:
    key = built_key(flyte)
    environment = load_environment(flyte_home, key)
    assert environment is not None
    with subprocess.Popen([environment.python, "-c", "input()"], stdin=subprocess.PIPE) as process:
        refused = flyte("delete", "image", key)
        assert refused.exit_code == 2
        assert f"process {process.pid} runs in environment {key}" in refused.stderr
        assert "No image is selected" in flyte("delete", "image", "--all", "--yes").stderr
        assert environment.python.exists()
        process.communicate(b"\n")
    assert flyte("delete", "image", "--all", "--yes").exit_code == 0
    assert not (images / key).exists()


def test_images_are_deleted_by_age_and_when_no_image_leads_to_them(flyte: Flyte, images: Path) -> None:
    key = built_key(flyte)
    note = images / key / RECORD
    assert "No image is selected" in flyte("delete", "image", "--older-than", "1d", "--yes").stderr
    os.utime(note, (1, 1))
    assert key[:12] in flyte("delete", "image", "--older-than", "1d", "--dry-run").stdout
    assert "No image is selected" in flyte("delete", "image", "--unused", "--yes").stderr
    values = json.loads(note.read_text())
    note.write_text(json.dumps(values | {"flyte_digest": "of another state"}))
    (images / "killed" / "1-a").mkdir(parents=True)
    assert key[:12] in flyte("delete", "image", "--unused", "--yes").stdout
    assert [path.name for path in images.glob("[!.]*")] == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "say which images to delete"),
        (["abc", "--all"], "say which images to delete"),
        (["abc"], "'abc' is not the key"),
    ],
)
def test_a_wrong_deletion_is_refused(flyte: Flyte, arguments: list[str], expected: str) -> None:
    result = flyte("delete", "image", *arguments)
    assert result.exit_code == 2
    assert expected in result.stderr


def test_deleting_what_is_not_named_has_to_be_confirmed(flyte: Flyte, images: Path) -> None:
    key = built_key(flyte)
    result = flyte("delete", "image", "--all")
    assert result.exit_code == 2
    assert "confirm it with --yes" in result.stderr
    assert (images / key).exists()


def test_docker_is_asked_for_where_there_is_none(flyte: Flyte, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    result = flyte("build", "--image-builder", "docker", "plain.py", "base")
    assert result.exit_code == 1
    assert "there is no `docker` on the PATH" in result.stderr
    assert "--image-builder venv" in result.stderr
