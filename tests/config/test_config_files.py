"""Which file is found, and what a broken one says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flyte.config import get_config_file, home
from flyte.config._reader import ConfigFile
from flyte.errors import InitializationError


@pytest.fixture(autouse=True)
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings anywhere: neither files nor variables."""
    for name in list(os.environ):
        if name.startswith(("FLYTE_", "UCTL_", "FLYTECTL_")):
            monkeypatch.delenv(name)
    (tmp_path / "user").mkdir()
    (tmp_path / "repo" / "deep" / "work").mkdir(parents=True)
    (tmp_path / "repo" / ".git").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.chdir(tmp_path / "repo" / "deep" / "work")


PLACES = [
    "repo/deep/work/config.yaml",
    "repo/deep/work/.flyte/config.yaml",
    "repo/.flyte/config.yaml",
    "uctl.yaml",
    "flytectl.yaml",
    "user/.union/config.yaml",
    "user/.flyte/config.yaml",
]


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def found() -> Path | None:
    file = get_config_file(None)
    return None if file is None else file.path


def test_nothing_is_found_on_an_empty_machine() -> None:
    assert found() is None


@pytest.mark.parametrize("first", range(len(PLACES)))
def test_earlier_place_wins_over_all_later_ones(first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in PLACES[first:]:
        path = write(tmp_path / place)
        if path.name == "uctl.yaml":
            monkeypatch.setenv("UCTL_CONFIG", str(path))
        if path.name == "flytectl.yaml":
            monkeypatch.setenv("FLYTECTL_CONFIG", str(path))
    assert found() == tmp_path / PLACES[first]


@pytest.mark.parametrize("variable", ["UCTL_CONFIG", "FLYTECTL_CONFIG"])
def test_file_that_a_variable_names_must_exist(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "/missing.yaml")
    with pytest.raises(FileNotFoundError, match=r"/missing\.yaml"):
        found()


def test_file_that_is_given_must_exist() -> None:
    with pytest.raises(FileNotFoundError, match=r"missing\.yaml"):
        get_config_file("missing.yaml")


def test_change_of_folder_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found() is None
    path = write(tmp_path / "other" / "config.yaml")
    monkeypatch.chdir(path.parent)
    assert found() == path


def test_given_file_is_used_in_every_form(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.yaml")
    file = ConfigFile(str(path))
    assert get_config_file(file) is file
    assert [getattr(get_config_file(form), "path", None) for form in (path, str(path))] == [path, path]


def test_home_is_a_variable_or_in_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert home() == tmp_path / "user" / ".flyte"
    monkeypatch.setenv("FLYTE_HOME", "~/elsewhere")
    assert home() == tmp_path / "user" / "elsewhere"
    assert not home().exists()
    monkeypatch.setenv("FLYTE_HOME", "relative")
    assert home() == Path.cwd() / "relative"


def test_settings_in_another_home_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "user" / ".flyte" / "config.yaml")
    path = write(tmp_path / "elsewhere" / "config.yaml")
    monkeypatch.setenv("FLYTE_HOME", str(path.parent))
    assert found() == path


def test_dotted_key_reads_the_file(tmp_path: Path) -> None:
    file = ConfigFile(str(write(tmp_path / "c.yaml", "admin:\n  endpoint: e\n  insecure: true\ntask:\n")))
    assert (file.get("admin.endpoint"), file.get("admin.insecure")) == ("e", True)
    assert (file.get("admin.missing"), file.get("task.org"), file.get("image.builder")) == (None, None, None)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_empty_file_has_no_settings(tmp_path: Path, text: str) -> None:
    assert ConfigFile(str(write(tmp_path / "c.yaml", text))).yaml_config == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("admin:\n  endpoint: [1\ntask: 2\n", "line 3"),
        ("admin:\n\tendpoint: e\n", "line 2"),
        ("- a\n- b\n", "holds a list, expected sections"),
    ],
)
def test_broken_file_says_where_and_what(tmp_path: Path, text: str, told: str) -> None:
    path = write(tmp_path / "c.yaml", text)
    with pytest.raises(InitializationError, match=told) as caught:
        ConfigFile(str(path)).get("admin.endpoint")
    assert str(path) in str(caught.value)
    assert caught.value.code == "InvalidConfig"


def test_section_that_is_no_mapping_is_named(tmp_path: Path) -> None:
    file = ConfigFile(str(write(tmp_path / "c.yaml", "admin: 3\n")))
    with pytest.raises(InitializationError, match=r"'admin\.endpoint' is 3, expected a mapping"):
        file.get("admin.endpoint")
