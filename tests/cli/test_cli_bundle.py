from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Flyte = Callable[..., Result]

TASKS = """
import flyte
import helper

env = flyte.TaskEnvironment("e", include=("conf.yaml",))

@env.task
def main() -> int:
    return helper.ONE
"""


@pytest.fixture
def files(project: Path) -> Path:
    """A file of tasks with a module that it imports, one that it does not, and what no bundle has."""
    for name, content in {
        "tasks.py": TASKS,
        "helper.py": "ONE = 1\n",
        "unused.py": "",
        "conf.yaml": "a: 1\n",
        "x.log": "",
        ".gitignore": "notes.txt\n",
        "notes.txt": "",
    }.items():
        (project / name).write_text(content)
    return project


def test_the_bundle_of_a_file_is_what_it_imports_and_includes(flyte: Flyte, files: Path) -> None:
    result = flyte("-of", "table-simple", "bundle", "tasks.py")
    assert result.exit_code == 0
    assert [line.split(None, 3) for line in result.stdout.splitlines()] == [
        ["File", "Size", "Why"],
        ["conf.yaml", "5", "B", "included by environment 'e'"],
        ["helper.py", "8", "B", "module helper"],
        ["tasks.py", f"{len(TASKS)}", "B", "module tasks"],
    ]
    assert f"3 files of {files}, {len(TASKS) + 13} B, packed " in result.stderr


def test_the_bundle_of_a_folder_is_all_of_it_and_says_what_is_left_out(flyte: Flyte, files: Path) -> None:
    document = json.loads(flyte("-of", "json", "bundle", ".").stdout)
    assert [file["path"] for file in document["files"]] == [
        ".gitignore",
        "conf.yaml",
        "helper.py",
        "tasks.py",
        "unused.py",
    ]
    assert document["left_out"] == [
        {"path": ".git/", "why": "never: .git"},
        {"path": "notes.txt", "why": ".gitignore: notes.txt"},
        {"path": "x.log", "why": "standard: *.log"},
    ]
    assert document["files"][2] == {"path": "helper.py", "size_bytes": 8, "why": "below the root"}
    assert (document["root"], document["copy_style"]) == (str(files), "all")


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("custom", ["conf.yaml"]),
        ("all", [".gitignore", "conf.yaml", "helper.py", "tasks.py", "unused.py"]),
    ],
)
def test_the_style_can_be_chosen(style: str, expected: list[str], flyte: Flyte, files: Path) -> None:
    document = json.loads(flyte("-of", "json", "bundle", "tasks.py", "--copy-style", style).stdout)
    assert [file["path"] for file in document["files"]] == expected


def test_the_root_can_be_chosen(flyte: Flyte, files: Path) -> None:
    (files / "sub").mkdir()
    (files / "sub" / "alone.py").write_text("import helper")
    document = json.loads(flyte("-of", "json", "bundle", "sub/alone.py", "--root-dir", ".").stdout)
    assert [file["path"] for file in document["files"]] == ["helper.py", "sub/alone.py"]
    assert document["root"] == str(files)


def test_a_file_elsewhere_is_relative_to_where_its_package_starts(
    flyte: Flyte, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = files / "lib" / "pkg"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text("")
    (files / "here").mkdir()
    monkeypatch.chdir(files / "here")
    document = json.loads(flyte("-of", "json", "bundle", "../lib/pkg/one.py").stdout)
    assert document["root"] == str(files / "lib")
    assert [file["path"] for file in document["files"]] == ["pkg/__init__.py", "pkg/one.py"]


@pytest.mark.parametrize("target", ["out.tgz", "folder"])
def test_the_archive_is_written_where_that_is_asked(target: str, flyte: Flyte, files: Path) -> None:
    (files.parent / "folder").mkdir()
    result = flyte("-of", "json", "bundle", ".", "--output", f"../{target}")
    document = json.loads(result.stdout)
    path = files.parent / target / document["name"] if target != "out.tgz" else files.parent / target
    assert hashlib.md5(path.read_bytes()).hexdigest() == document["version"]
    assert path.stat().st_size == document["packed_bytes"]
    with tarfile.open(path) as archive:
        assert archive.getnames() == [file["path"] for file in document["files"]]
    assert f"Written to ../{target}" in result.stderr


def test_names_of_any_bytes_are_shown(flyte: Flyte, project: Path) -> None:
    for name in (b"bytes\xff.py", b"two\nlines.py", "ünï.py".encode(), b"bad\xfe.log"):
        Path(os.fsdecode(os.fsencode(project) + b"/" + name)).write_text("")
    table = flyte("-of", "table-simple", "bundle", ".")
    assert [line.split()[0] for line in table.stdout.splitlines() if ".py" in line] == [
        r"bytes\xff.py",
        r"two\nlines.py",
        "ünï.py",
    ]
    document = json.loads(flyte("-of", "json", "bundle", ".").stdout)
    assert [file["path"] for file in document["files"]] == [r"bytes\xff.py", "two\nlines.py", "ünï.py"]
    assert document["left_out"][1] == {"path": r"bad\xfe.log", "why": "standard: *.log"}


def test_nothing_else_is_left_behind(flyte: Flyte, files: Path, flyte_home: Path) -> None:
    before = sorted(files.rglob("*"))
    flyte("bundle", ".")
    assert sorted(files.rglob("*")) == before
    assert not list(flyte_home.iterdir())


def test_a_bundle_that_would_be_refused_is_shown_all_the_same(
    flyte: Flyte, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLYTE_BUNDLE_MAX_FILE_MIB", "0.00001")
    result = flyte("-of", "json", "bundle", ".", "--output", "../x.tgz")
    document = json.loads(result.stdout)
    assert len(document["files"]) == 5
    assert (document["version"], document["name"], document["packed_bytes"]) == (None, None, None)
    assert result.exit_code == 2
    assert "too large for a code bundle" in result.stderr
    assert not (files.parent / "x.tgz").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.py"], "'missing.py' does not exist"),
        (["conf.yaml"], "conf.yaml is not a Python file"),
        ([".", "--copy-style", "custom"], "--copy-style custom depends on what a file imports: name the FILE"),
        ([".", "--copy-style", "none"], "'none' is not one of 'loaded_modules', 'all', 'custom'"),
        (["tasks.py", "--root-dir", "sub"], "tasks.py is not below the root folder"),
        (["..", "--copy-style", "all"], "is a home folder: it may hold keys, mail and data."),
        ([".", "--output", "conf.yaml/x.tgz"], "conf.yaml/x.tgz cannot be written"),
    ],
)
def test_a_wrong_command_says_what_is_wrong(arguments: list[str], message: str, flyte: Flyte, files: Path) -> None:
    (files / "sub").mkdir()
    result = flyte("bundle", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
