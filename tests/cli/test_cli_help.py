from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from flyte import __version__

Flyte = Callable[..., Result]

TASK = '''
import datetime, enum
from dataclasses import dataclass
from typing import Optional
import flyte

class Color(enum.Enum):
    RED = "red"
    GREEN = "green"

@dataclass
class Point:
    x: float
    y: int = 3

env = flyte.TaskEnvironment(name="e")

@env.task
def paint(
    points: list[Point],
    color: Color = Color.RED,
    wait: datetime.timedelta = datetime.timedelta(hours=1),
    dry: bool = True,
    wet: bool = False,
    limit: Optional[int] = None,
) -> None:
    """Paint some points.

    They stay [wet] for a while.

    Args:
        points: Where to paint,
            in order.
        color: Which bucket to take.
    """
'''


@pytest.fixture
def words(flyte: Flyte, project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Help without its frame, on one line."""
    monkeypatch.setenv("TERMINAL_WIDTH", "200")
    (project / "tasks.py").write_text(TASK)

    def show(*arguments: str) -> str:
        done = flyte(*arguments, "--help")
        assert (done.exit_code, done.stderr) == (0, "")
        return " ".join(done.stdout.replace("│", " ").split())

    return show


def test_help_of_a_task_shows_docstring_descriptions_types_and_defaults(words: Callable[..., str]) -> None:
    text = words("run", "tasks.py", "paint")
    assert "Paint some points. They stay [wet] for a while." in text
    assert "* --points list[Point] Where to paint, in order." in text
    assert "{x: float, y?: int}" in text
    assert "--color RED|GREEN Which bucket to take. [default: RED]" in text
    assert "[default: 1:00:00]" in text
    assert "--dry/--no-dry [default: dry]" in text
    assert "--wet/--no-wet [default: no-wet]" in text
    assert "--limit int | None [default: None]" in text


def test_inputs_are_listed_by_name(words: Callable[..., str]) -> None:
    text = words("run", "tasks.py", "paint")
    places = [text.index(f"--{name}") for name in ("color", "dry", "limit", "points", "wait", "wet")]
    assert places == sorted(places)


def test_help_of_run_lists_files_but_not_its_hidden_options(words: Callable[..., str]) -> None:
    text = words("run")
    assert "tasks.py" in text
    assert "--raw-data-path" in text
    assert "--tracked" not in text


@pytest.mark.parametrize("command", [[], ["get"], ["get", "run"], ["get", "action"], ["get", "io"], ["get", "config"]])
def test_every_command_has_help_and_h_is_short_for_it(flyte: Flyte, command: list[str]) -> None:
    long, short = flyte(*command, "--help"), flyte(*command, "-h")
    assert long.stdout == short.stdout
    assert "Usage: flyte" in long.stdout
    assert "\x1b" not in long.stdout


def test_version_is_printed(flyte: Flyte) -> None:
    done = flyte("--version")
    assert (done.exit_code, done.stdout) == (0, f"Flyte SDK version: {__version__}\n")


@pytest.mark.parametrize(("command", "code"), [([], 2), (["run"], 2), (["get"], 2), (["run", "tasks.py"], 0)])
def test_a_command_without_arguments_prints_its_help(
    flyte: Flyte, project: Path, command: list[str], code: int
) -> None:
    (project / "tasks.py").write_text(TASK)
    done = flyte(*command)
    assert done.exit_code == code
    assert "Usage: flyte" in done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["get", "run", "--help"], ["--version"]])
def test_help_does_not_import_the_engine(arguments: list[str]) -> None:
    code = (
        "import atexit, sys; sys.argv[1:] = sys.argv[2:]\n"
        "atexit.register(lambda: print([name for name in sys.modules if name.startswith(('flyte._run', 'flyte.types', "
        "'flyte._store', 'flyte._authoring', 'google.protobuf', 'pydantic', 'yaml'))], file=sys.stderr))\n"
        "from flyte.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code, "flyte", *arguments], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
