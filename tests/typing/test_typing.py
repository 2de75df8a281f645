"""Type checkers see through every way of declaring and calling a task."""

from __future__ import annotations

import re
from pathlib import Path

import mypy.api

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]

_REPORTED = re.compile(r"^[^:]*mistakes\.py:(?P<line>\d+): error: .*\[(?P<code>[a-z-]+)\]$", re.MULTILINE)
_EXPECTED = re.compile(r"# expect-error: (?P<codes>[a-z -]+)$")


def test_every_way_of_declaring_and_calling_a_task_type_checks() -> None:
    report, complaints, status = mypy_on(HERE / "declared_tasks.py")

    assert status == 0, report + complaints


def test_mistakes_in_declaring_and_calling_do_not_type_check(tmp_path: Path) -> None:
    source = (HERE / "mistakes.py").read_text()
    checked = tmp_path / "mistakes.py"
    checked.write_text(source.replace("# mypy: ignore-errors", "#", 1))
    expected = {
        (number, code)
        for number, line in enumerate(source.splitlines(), 1)
        if (marker := _EXPECTED.search(line))
        for code in marker["codes"].split()
    }

    report, _, _ = mypy_on(checked)

    assert {(int(found["line"]), found["code"]) for found in _REPORTED.finditer(report)} == expected, report


def mypy_on(file: Path) -> tuple[str, str, int]:
    return mypy.api.run(["--config-file", str(PROJECT / "pyproject.toml"), "--no-pretty", str(file)])
