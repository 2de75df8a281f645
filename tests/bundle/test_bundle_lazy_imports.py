from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from flyte._bundle.selection import plan_bundle
from tests.bundle.projects import write

LAZY = "def f():\n    {}\n"


def planned(project: Path, *loaded: str) -> dict[str, str]:
    """The reason of each file of the bundle, once these files are loaded modules."""
    modules = {}
    for name in loaded:
        modules[name] = ModuleType(name)
        modules[name].__file__ = str(project / name)
    return {file.relative: file.reason for file in plan_bundle(modules=modules).files}


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("import later", ["later.py"]),
        ("import later as l, pkg.deep.one", ["later.py", "pkg/__init__.py", "pkg/deep/__init__.py", "pkg/deep/one.py"]),
        ("from later import anything", ["later.py"]),
        ("from later import *", ["later.py"]),
        (
            "from pkg.deep import one, two as t",
            ["pkg/__init__.py", "pkg/deep/__init__.py", "pkg/deep/one.py", "pkg/deep/two.py"],
        ),
        (
            "from pkg.deep import (  # two, three\n        one,\n        two,\n    )",
            ["pkg/__init__.py", "pkg/deep/__init__.py", "pkg/deep/one.py", "pkg/deep/two.py"],
        ),
        ("from pkg import deep", ["pkg/__init__.py", "pkg/deep/__init__.py"]),
        ("import space.inner", ["space/inner.py"]),
        ("import later; x = 1  # import space.inner", ["later.py"]),
        ("import json, os.path, absent.module", []),
        ("from . import later", ["later.py"]),
        ("from .pkg.deep.one import x", ["pkg/__init__.py", "pkg/deep/__init__.py", "pkg/deep/one.py"]),
        ("from ..outside import x", []),
        ("value = 'import later'", []),
    ],
)
def test_what_a_function_imports_is_bundled(statement: str, expected: list[str], project: Path) -> None:
    files = ["later.py", "pkg/__init__.py", "pkg/deep/__init__.py", "pkg/deep/one.py", "pkg/deep/two.py"]
    write(project, dict.fromkeys([*files, "space/inner.py", "unused.py"], ""))
    write(project.parent, {"outside.py": ""})
    write(project, {"main.py": LAZY.format(statement)})
    found = planned(project, "main.py")
    assert found.pop("main.py") == "module main.py"
    assert sorted(found) == expected
    assert set(found.values()) <= {"imported in main.py"}


def test_imports_of_what_is_imported_later_are_followed_in_a_circle(project: Path) -> None:
    write(
        project, {"main.py": LAZY.format("import a"), "a.py": "import b\n", "b.py": "import a, c, main\n", "c.py": ""}
    )
    assert planned(project, "main.py") == {
        "a.py": "imported in main.py",
        "b.py": "imported in a.py",
        "c.py": "imported in b.py",
        "main.py": "module main.py",
    }


def test_relative_imports_go_up_in_their_package(project: Path) -> None:
    write(project, {"pkg/sub/m.py": LAZY.format("from ..other import x"), "pkg/other.py": "", "other.py": ""})
    assert sorted(planned(project, "pkg/sub/m.py")) == ["pkg/other.py", "pkg/sub/m.py"]


def test_modules_are_looked_for_where_python_looks(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, {"src/app.py": LAZY.format("import later, installed"), "src/later.py": ""})
    write(project, {".venv/lib/python3/site-packages/installed.py": ""})
    monkeypatch.syspath_prepend(str(project / "src"))
    monkeypatch.syspath_prepend(str(project / ".venv/lib/python3/site-packages"))
    assert sorted(planned(project, "src/app.py")) == ["src/app.py", "src/later.py"]


def test_the_bundle_of_a_process_runs_what_it_had_not_imported(project: Path) -> None:
    write(project, {"app/__init__.py": "", "app/tasks.py": LAZY.format("from app.later import VALUE; return VALUE")})
    write(project, {"app/later.py": "VALUE = 42\n", "app/unused.py": ""})
    program = (
        "import app.tasks\n"
        "from flyte._bundle.selection import plan_bundle; from flyte._bundle.building import build_bundle\n"
        "from flyte._bundle.inflating import inflate\n"
        "inflate(build_bundle(plan_bundle()), '../out')"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    command = [sys.executable, "-c", "from app.tasks import f; print(f())"]
    done = subprocess.run(command, cwd=project.parent / "out", capture_output=True, text=True, check=True)
    assert done.stdout == "42\n"
    assert not (project.parent / "out" / "app" / "unused.py").exists()


@pytest.mark.parametrize(
    "content", [b"\xff\xfe    import later\n", b"", b"def f():\n    import \xff\n    from \xff import x\n"]
)
def test_files_of_any_bytes_are_looked_at(content: bytes, project: Path) -> None:
    write(project, {"main.py": content, "fast.so": "    import later\n", "later.py": ""})
    assert sorted(planned(project, "main.py", "fast.so")) == ["fast.so", "main.py"]
