from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Flyte = Callable[..., Result]

TASK = """
import flyte
env = flyte.TaskEnvironment(name="e")
@env.task
def main() -> str:
    return __name__
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def ran(done: Result) -> str:
    """What the task returned."""
    assert done.exit_code == 0, done.stderr
    return done.stdout.rsplit("o0 = ", 1)[1].strip().strip("'")


def test_a_file_is_a_module_of_its_stem_and_its_main_block_does_not_run(flyte: Flyte, project: Path) -> None:
    write(project / "one.py", TASK + 'if __name__ == "__main__": raise SystemExit("ran as a script")\n')
    assert ran(flyte("run", "--local", "one.py", "main")) == "one"


@pytest.mark.parametrize("name", ["with-dash", "v1.2", "3rd"])
def test_a_file_may_have_a_name_that_is_no_identifier(flyte: Flyte, project: Path, name: str) -> None:
    write(project / f"{name}.py", TASK)
    assert ran(flyte("run", "--local", f"{name}.py", "main")) == name.replace(".", "_")


def test_a_file_finds_its_neighbours_wherever_it_is(flyte: Flyte, project: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "elsewhere" / "one.py", f"from neighbour import *\n{TASK}")
    write(file.with_name("neighbour.py"), "import one\nassert one.__name__ == 'one'\n")
    assert ran(flyte("run", "--local", str(file), "main")) == "one"


def test_a_file_in_a_package_is_named_from_where_the_package_starts(flyte: Flyte, project: Path) -> None:
    write(project / "pkg" / "__init__.py", "")
    write(project / "pkg" / "sub" / "__init__.py", "")
    write(project / "pkg" / "sub" / "one.py", f"from ..shared import *\n{TASK}")
    write(project / "pkg" / "shared.py", "")
    assert ran(flyte("run", "--local", "pkg/sub/one.py", "main")) == "pkg.sub.one"


def test_a_module_of_a_package_does_not_hide_one_of_python(flyte: Flyte, project: Path) -> None:
    write(project / "pkg" / "__init__.py", "")
    write(project / "pkg" / "colorsys.py", "raise AssertionError('this is not Python's')\n")
    sys.modules.pop("colorsys", None)
    write(project / "pkg" / "one.py", f"import colorsys\n{TASK}")
    assert ran(flyte("run", "--local", "pkg/one.py", "main")) == "pkg.one"


def test_root_dir_names_modules(flyte: Flyte, project: Path) -> None:
    write(project / "src" / "a" / "one.py", TASK)
    assert ran(flyte("run", "--local", "--root-dir", "src", "src/a/one.py", "main")) == "a.one"
    write(project / "other" / "two.py", TASK)
    done = flyte("run", "--local", "--root-dir", "src", "other/two.py", "main")
    assert done.exit_code == 2
    assert "not below the root folder" in done.stderr


@pytest.mark.parametrize("words", ["sub/one.py", "sub one.py", "sub sub/one.py", "sub deep two.py"])
def test_files_are_reached_through_folders(flyte: Flyte, project: Path, words: str) -> None:
    write(project / "sub" / "one.py", TASK)
    write(project / "sub" / "deep" / "two.py", TASK)
    assert ran(flyte("run", "--local", *words.split(), "main")) in ("one", "two")


def test_a_folder_lists_what_may_hold_tasks(flyte: Flyte, project: Path) -> None:
    for name in ("b.py", "a.py", "__init__.py", "_private/x.py", ".hidden/x.py", "inner/x.py", "docs/x.md"):
        write(project / "sub" / name, TASK)
    done = flyte("run", "--local", "sub")
    assert done.exit_code == 0
    listed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("│ sub/")]
    assert listed == ["sub/a.py", "sub/b.py", "sub/inner"]


def test_a_file_lists_its_tasks_by_attribute_with_their_first_sentence(flyte: Flyte, project: Path) -> None:
    write(
        project / "one.py",
        TASK + "@env.task\ndef zed() -> None:\n    '''Do it.\n\n    More.'''\nalias = main\nnot_one = 3\n",
    )
    done = flyte("run", "--local", "one.py")
    assert done.exit_code == 0
    rows = [line.strip("│ ").split(maxsplit=1) for line in done.stdout.splitlines() if line.startswith("│")]
    assert ["zed", "Do it."] in rows
    assert [row[0] for row in rows if row[0] in ("main", "alias", "zed", "not_one", "env")] == ["alias", "main", "zed"]


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("x = (\n", "line 1"),
        ("import helper\n", 'raise KeyError("gone")'),
        ("import nosuchmodule\n", "No module named 'nosuchmodule'"),
        ("import sys\nsys.exit('bye')\n", "SystemExit: bye"),
        (TASK.replace("main()", "main(*rows)"), "*rows"),
    ],
)
def test_a_file_that_cannot_be_imported_shows_the_users_lines_only(
    flyte: Flyte, project: Path, code: str, shown: str
) -> None:
    write(project / "one.py", code)
    write(project / "helper.py", 'def f():\n    raise KeyError("gone")\nf()\n')
    done = flyte("run", "--local", "one.py", "main")
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: one.py cannot be imported.\n")
    assert shown in done.stderr
    assert 'one.py", line' in done.stderr
    assert "importlib" not in done.stderr
    assert "/flyte/" not in done.stderr
    assert done.stderr.count("Traceback") <= 1


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("empty.py", "x = 1\n", "empty.py has no tasks"),
        ("json.py", TASK, "another module named 'json'"),
        ("notes.txt", "", "not a Python file"),
    ],
)
def test_a_file_without_tasks_says_what_is_missing(
    flyte: Flyte, project: Path, name: str, code: str, message: str
) -> None:
    write(project / name, code)
    done = flyte("run", "--local", name, "main")
    assert done.exit_code == 2
    assert message in done.stderr
