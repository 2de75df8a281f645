"""Which control plane a command uses, and that of a home folder: started where it is needed, and started again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flyte._server.daemon import start_detached, stop_server
from flyte._server.instances import running_instance
from flyte._server.settings import ServerSettings
from tests.cli.conftest import Flyte
from tests.cli.served.commands import document, eventually, phase_of, running_flyte

TASKS = """
import asyncio
from pathlib import Path

import flyte

env = flyte.TaskEnvironment("e")


@env.task
async def one(x: int = 2) -> int:
    return 2 * x


@env.task
async def waits(file: str) -> str:
    while not Path(file).exists():
        await asyncio.sleep(0.02)
    return Path(file).read_text()
"""


@pytest.fixture(autouse=True)
def stopped(flyte_home: Path, project: Path) -> Iterator[None]:
    """The control plane that a test started is gone after it."""
    (project / "tasks.py").write_text(TASKS)
    yield
    stop_server(flyte_home, 20)


def test_the_first_run_starts_the_control_plane_and_says_so_once(flyte: Flyte, flyte_home: Path) -> None:
    assert running_instance(flyte_home) is None
    first = flyte("-of", "json", "run", "-f", "tasks.py", "one")
    instance = running_instance(flyte_home)
    assert instance is not None
    assert f"started at {instance.url}. `flyte stop` ends it." in first.stderr
    assert document(first)["outputs"] == {"o0": 4}
    second = flyte("-of", "json", "run", "tasks.py", "one")
    assert (second.exit_code, second.stderr) == (0, "")
    assert running_instance(flyte_home) == instance


def test_two_first_runs_start_one_control_plane(flyte_home: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from flyte.cli import main; main()",
        "-of",
        "json",
        "run",
        "-f",
        "tasks.py",
        "one",
    ]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    for each in both:
        said, why = each.communicate(timeout=60)
        assert each.returncode == 0, why
        assert json.loads(said)["outputs"] == {"o0": 4}


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "tasks.py", "one", "--x", "y"],
        ["run", "--name", "Bad Name", "tasks.py", "one"],
        ["run", "tasks.py", "none"],
        ["run", "--copy-style", "none", "tasks.py", "one"],
        ["deploy", "tasks.py", "none"],
        ["deploy", "tasks.py"],
        ["update", "project", "p"],
        ["get", "run"],
        ["get", "secret"],
        ["run", "--local", "tasks.py", "one"],
    ],
    ids=" ".join,
)
def test_what_needs_no_control_plane_starts_none(flyte: Flyte, flyte_home: Path, arguments: list[str]) -> None:
    flyte(*arguments)
    assert not (flyte_home / "server.log").exists()


def test_a_served_run_goes_on_when_the_control_plane_is_started_again(
    flyte: Flyte, flyte_home: Path, project: Path
) -> None:
    start_detached(ServerSettings(home=flyte_home, port=0))
    go_on = project / "go"
    flyte("run", "--name", "r", "tasks.py", "waits", "--file", str(go_on))
    eventually(lambda: phase_of(flyte, "r") == "running")
    stop_server(flyte_home, 20)
    assert phase_of(flyte, "r") == "interrupted"
    assert "it goes on when that is started" in flyte("get", "logs", "-f", "r").stderr
    resumed = flyte("resume", "r")
    assert resumed.exit_code == 2
    assert "goes on with it when it runs: `flyte start --detach`" in resumed.stderr
    go_on.write_text("at last")
    start_detached(ServerSettings(home=flyte_home, port=0))
    assert flyte("get", "logs", "-f", "r").exit_code == 0
    assert document(flyte("-of", "json", "get", "io", "r", "-o")) == {"outputs": {"o0": "at last"}}


def test_following_outlives_a_restart_of_the_control_plane(flyte: Flyte, flyte_home: Path, project: Path) -> None:
    instance = start_detached(ServerSettings(home=flyte_home, port=0))
    settings = ServerSettings(home=flyte_home, port=int(instance.url.rpartition(":")[2]))
    go_on = project / "go"
    with running_flyte("run", "-f", "--name", "r", "tasks.py", "waits", "--file", str(go_on)) as following:
        eventually(lambda: flyte("get", "run", "r").exit_code == 0)
        eventually(lambda: phase_of(flyte, "r") == "running")
        stop_server(flyte_home, 20)
        start_detached(settings)
        go_on.write_text("at last")
        said, why = following.communicate(timeout=60)
        assert following.returncode == 0, why
        assert b"o0 = 'at last'" in said


def test_a_served_run_is_aborted_while_nothing_runs(flyte: Flyte, flyte_home: Path, project: Path) -> None:
    start_detached(ServerSettings(home=flyte_home, port=0))
    flyte("run", "--name", "r", "tasks.py", "waits", "--file", str(project / "never"))
    eventually(lambda: phase_of(flyte, "r") == "running")
    stop_server(flyte_home, 20)
    done = flyte("abort", "run", "r")
    assert (done.exit_code, done.stdout) == (0, "Run r is aborted, its process was gone.\n")
    start_detached(ServerSettings(home=flyte_home, port=0))
    assert phase_of(flyte, "r") == "aborted"


def test_the_configuration_and_the_environment_name_a_control_plane(
    flyte: Flyte, flyte_home: Path, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = start_detached(ServerSettings(home=flyte_home, port=0))
    address = instance.url.removeprefix("http://")
    monkeypatch.setenv("FLYTE_HOME", str(tmp_path / "other"))
    assert flyte("create", "config", "--endpoint", address, "--insecure", "-d", "staging").exit_code == 0
    assert document(flyte("-of", "json", "run", "-f", "--name", "by-file", "tasks.py", "one"))["outputs"] == {"o0": 4}
    (project / ".flyte" / "config.yaml").unlink()
    monkeypatch.setenv("FLYTE_ADMIN_ENDPOINT", address)
    monkeypatch.setenv("FLYTE_ADMIN_INSECURE", "true")
    shown = document(flyte("-of", "json", "get", "run", "-d", "staging", "by-file"))
    assert (shown["domain"], shown["phase"]) == ("staging", "succeeded")
    assert not (tmp_path / "other" / "server.json").exists()


def test_a_control_plane_that_wants_a_token_gets_it_from_the_environment(
    flyte: Flyte, flyte_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = flyte("create", "token", "me").stdout.strip()
    start_detached(ServerSettings(home=flyte_home, port=0, requires_token=True))
    refused = flyte("run", "tasks.py", "one")
    assert refused.exit_code == 2
    assert "FLYTE_API_KEY" in refused.stderr
    monkeypatch.setenv("FLYTE_API_KEY", token)
    assert document(flyte("-of", "json", "run", "-f", "tasks.py", "one"))["outputs"] == {"o0": 4}
    assert document(flyte("-of", "json", "whoami"))["subject"] == "me"
