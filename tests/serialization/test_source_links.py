"""The code of a task has a page at the git host that its repository is on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from flyte._serialization.source_links import link_to_source


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def repository(folder: Path, remote: str, name: str = "origin") -> Path:
    """A repository with one committed file, `jobs/my tasks.py`; gives the file."""
    file = folder / "jobs" / "my tasks.py"
    file.parent.mkdir(parents=True)
    file.write_text("x = 1\n")
    git(folder, "init", "-q")
    git(folder, "remote", "add", name, remote)
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "First")
    return file


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("git@github.com:acme/digits.git", "https://github.com/acme/digits/blob"),
        ("https://github.com/acme/digits.git", "https://github.com/acme/digits/blob"),
        ("https://user:token@github.com/acme/digits", "https://github.com/acme/digits/blob"),
        ("ssh://git@github.com:22/acme/digits.git", "https://github.com/acme/digits/blob"),
        ("git@gitlab.com:acme/deep/digits.git", "https://gitlab.com/acme/deep/digits/-/blob"),
    ],
)
def test_line_of_a_committed_file_has_a_page(tmp_path: Path, remote: str, page: str) -> None:
    file = repository(tmp_path, remote)
    assert link_to_source(str(file), 3) == f"{page}/{git(tmp_path, 'rev-parse', 'HEAD')}/jobs/my%20tasks.py#L3"


def test_file_with_an_accent_that_is_reached_by_a_link_has_a_page(tmp_path: Path) -> None:
    file = repository(tmp_path / "real", "git@github.com:acme/digits.git")
    file.rename(file.with_name("blé.py"))
    git(tmp_path / "real", "add", "-A")
    git(tmp_path / "real", "commit", "-qm", "Second")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    link = link_to_source(str(tmp_path / "link" / "jobs" / "blé.py"), 1) or ""
    assert link.endswith("/jobs/bl%C3%A9.py#L1")


def test_file_is_found_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository(tmp_path, "git@github.com:acme/digits.git")
    monkeypatch.chdir(tmp_path)
    assert (link_to_source("jobs/my tasks.py", 1) or "").endswith("/jobs/my%20tasks.py#L1")


def test_remote_of_another_name_will_do(tmp_path: Path) -> None:
    file = repository(tmp_path, "git@github.com:acme/digits.git", name="mine")
    assert (link_to_source(str(file), 3) or "").startswith("https://github.com/acme/digits/blob/")


def test_changed_file_is_linked_without_a_line(tmp_path: Path) -> None:
    file = repository(tmp_path, "git@github.com:acme/digits.git")
    file.write_text("y = 1\nx = 1\n")
    assert (link_to_source(str(file), 2) or "").endswith("/jobs/my%20tasks.py")


def test_change_of_another_file_leaves_the_line(tmp_path: Path) -> None:
    file = repository(tmp_path, "git@github.com:acme/digits.git")
    (tmp_path / "notes.txt").write_text("new")
    assert (link_to_source(str(file), 2) or "").endswith("#L2")


@pytest.mark.parametrize(
    "remote",
    ["git@git.example.org:acme/digits.git", "/srv/git/digits.git", "file:///srv/github.com/x", "git@github.com:"],
)
def test_remote_that_is_no_known_host_has_no_page(tmp_path: Path, remote: str) -> None:
    assert link_to_source(str(repository(tmp_path, remote)), 3) is None


def test_file_that_is_not_committed_has_no_page(tmp_path: Path) -> None:
    repository(tmp_path, "git@github.com:acme/digits.git")
    (tmp_path / "new.py").write_text("")
    assert link_to_source(str(tmp_path / "new.py"), 1) is None


@pytest.mark.parametrize("file", ["<string>", "/no/such/folder/x.py"])
def test_code_without_a_file_has_no_page(file: str) -> None:
    assert link_to_source(file, 1) is None


def test_folder_that_is_no_repository_has_no_page(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("")
    assert link_to_source(str(tmp_path / "x.py"), 1) is None


def test_machine_without_git_has_no_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = repository(tmp_path, "git@github.com:acme/digits.git")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert link_to_source(str(file), 3) is None


def test_staged_file_of_a_repository_without_commits_has_no_page(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "remote", "add", "origin", "git@github.com:acme/digits.git")
    (tmp_path / "x.py").write_text("")
    git(tmp_path, "add", ".")
    assert link_to_source(str(tmp_path / "x.py"), 1) is None
