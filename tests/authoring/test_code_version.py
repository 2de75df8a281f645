from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from flyte._authoring.code_version import code_version


def compiled(source: str) -> Callable[..., Any]:
    names: dict[str, Any] = {}
    exec(compile(source, "<test>", "exec"), names)
    func: Callable[..., Any] = names["f"]
    return func


BODY = "def f(x):\n    return [y + 1 for y in x if y in {1, 2, 'a'}]\n"


@pytest.mark.parametrize(
    "source",
    [
        "# a comment\n\n" + BODY,
        "def f( x ) :\n    # why\n    return [ y+1 for y in x\n        if y in {1, 2, 'a'} ]\n",
    ],
)
def test_comments_and_formatting_do_not_change_the_version(source: str) -> None:
    assert code_version(compiled(source)) == code_version(compiled(BODY))


@pytest.mark.parametrize(
    "source",
    [
        BODY.replace("y + 1", "y + 2"),
        BODY.replace("y + 1", "y - 1"),
        BODY.replace("'a'", "'b'"),
        BODY.replace("+ 1", "+ 1.0"),
    ],
)
def test_another_operation_or_constant_changes_it(source: str) -> None:
    assert code_version(compiled(source)) != code_version(compiled(BODY))


def test_it_is_the_same_in_every_process() -> None:
    program = f"from flyte._authoring.code_version import code_version\nexec({BODY!r})\nprint(code_version(f))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout.strip()
        for seed in ("1", "2", "3")
    }
    assert outputs == {code_version(compiled(BODY))}


def test_what_is_not_python_has_no_version() -> None:
    assert code_version(len) == ""
