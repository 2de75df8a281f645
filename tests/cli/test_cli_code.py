"""`flyte get code`, and the code that isolated runs keep."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import flyte
from flyte._run.code import recorded_code
from flyte._store.reader import StoreReader
from flyte.errors import CodeBundleError

PROGRAM = """
import flyte
import helper

env = flyte.TaskEnvironment(name="kept", include=["words.txt"])

@env.task
def main() -> str:
    bundle = flyte.ctx().code_bundle
    return bundle.computed_version if bundle else ""
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "program.py").write_text(PROGRAM)
    (folder / "helper.py").write_text("x = 1\n")
    (folder / "other.py").write_text("y = 1\n")
    (folder / "words.txt").write_text("a b c\n")
    return folder


def run_flyte(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from flyte.cli import main; main()", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, cwd=folder, env={**os.environ, "COLUMNS": "300"}
    )


def run_program(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    done = run_flyte(folder, "run", "--local", "--name", "r", *options, "program.py", "main")
    assert done.returncode == 0, done.stderr
    return done


def test_the_code_of_an_isolated_run_is_given_back(project: Path, flyte_home: Path) -> None:
    done = run_program(project, "--isolated")
    with StoreReader(flyte_home) as reader:
        bundle = recorded_code(reader.load_run("r").settings)
    assert bundle is not None
    assert bundle.computed_version in done.stdout
    (project / "helper.py").write_text("x = 2\n")
    saved = run_flyte(project, "get", "code", "r")
    assert saved.stdout == f"{project / 'r-code'}\n"
    kept = {path.name: path.read_text() for path in (project / "r-code").iterdir()}
    assert kept == {"program.py": PROGRAM, "helper.py": "x = 1\n", "words.txt": "a b c\n"}
    again = run_flyte(project, "get", "code", "r")
    assert again.returncode == 2
    assert "is not empty" in again.stderr


def test_the_archive_is_given_as_it_is_and_a_document_says_where(project: Path) -> None:
    run_program(project, "--isolated", "--copy-style", "all")
    saved = run_flyte(project, "-of", "json-raw", "get", "code", "r", "a0", "--no-extract", "--dest", "out", "-a", "1")
    document = json.loads(saved.stdout)
    assert Path(document["path"]).name.startswith("fast")
    listed = subprocess.run(["tar", "-tf", document["path"]], capture_output=True, text=True, check=True).stdout
    assert set(listed.split()) == {"program.py", "helper.py", "other.py", "words.txt"}


@pytest.mark.parametrize(
    ("options", "arguments", "message"),
    [
        ((), ("r",), "only isolated runs do"),
        (("--isolated", "--copy-style", "none"), ("r",), "copy_style 'none'"),
        (("--isolated",), ("r", "a0", "--attempt", "2"), "has no attempt 2: it has 1"),
        (("--isolated",), ("missing",), "missing"),
        (("--isolated",), ("r", "nowhere"), "nowhere"),
    ],
)
def test_what_was_not_kept_is_told(
    project: Path, options: tuple[str, ...], arguments: tuple[str, ...], message: str
) -> None:
    run_program(project, *options)
    done = run_flyte(project, "get", "code", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert not list(project.glob("*-code"))


def test_a_copy_style_without_isolation_is_refused(project: Path) -> None:
    done = run_flyte(project, "run", "--local", "--copy-style", "all", "program.py", "main")
    assert done.returncode == 2
    assert "--copy-style is of use with --isolated alone" in done.stderr


def test_a_run_goes_on_when_its_code_cannot_be_kept_unless_that_was_asked_for(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLYTE_BUNDLE_MAX_MIB", "1")
    (project / "words.txt").write_bytes(os.urandom(3 << 20))
    assert "the code of this run is not kept" in run_program(project, "--isolated").stderr
    done = run_flyte(project, "run", "--local", "--isolated", "--copy-style", "all", "program.py", "main")
    assert done.returncode == 2
    assert "words.txt" in done.stderr


def test_a_task_of_no_file_is_kept_as_a_pickle(flyte_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = flyte.TaskEnvironment(name="prompt")
    scope: dict[str, object] = {"env": env, "__name__": "__main__"}
    exec(compile("@env.task\ndef typed(x: int) -> int:\n    return x + 1\n", "<stdin>", "exec"), scope)
    run = flyte.with_runcontext(isolated=True, name="p").run(scope["typed"], 1)  # type: ignore[arg-type]
    assert run.outputs()[0] == 2
    with StoreReader(flyte_home) as reader:
        bundle = recorded_code(reader.load_run("p").settings)
    assert bundle is not None
    assert (bundle.tgz, str(bundle.pkl).endswith("code_bundle.pkl.gz")) == (None, True)
    with pytest.raises(CodeBundleError, match="copy_style must be"):
        flyte.with_runcontext(isolated=True, copy_style="some").run(scope["typed"], 1)  # type: ignore[arg-type]
