"""`flyte start`, `flyte stop`, `flyte status`, and tokens."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import Result

from flyte._server.daemon import stop_server
from flyte._server.instances import running_instance
from flyte._server.tokens import TokenStore

Flyte = Callable[..., Result]


@pytest.fixture(autouse=True)
def no_server_stays(flyte_home: Path) -> Iterator[None]:
    """What a test has started is stopped."""
    yield
    stop_server(flyte_home, 10)


def test_a_server_is_started_in_the_background_looked_at_and_stopped(flyte: Flyte, flyte_home: Path) -> None:
    assert flyte("status").exit_code == 1
    started = flyte("start", "--detach", "--port", "0")
    assert started.exit_code == 0
    url = started.stdout.strip()
    assert httpx.get(f"{url}/readyz").status_code == 200
    shown = flyte("status")
    assert shown.exit_code == 0
    assert f"Address   {url}" in shown.stdout
    document = json.loads(flyte("-of", "json", "status").stdout)
    assert document["address"] == url
    assert document["home"] == str(flyte_home)
    assert (document["running"], document["open_runs"], document["open_attempts"]) == (True, {}, 0)
    again = flyte("start", "--detach", "--port", "0")
    assert (again.exit_code, f"process {document['pid']}" in again.stderr) == (2, True)
    stopped = flyte("stop")
    assert (stopped.exit_code, f"process {document['pid']}" in stopped.stderr) == (0, True)
    assert json.loads(flyte("-of", "json", "status").stdout) == {"running": False, "home": str(flyte_home)}
    assert "No server" in flyte("stop").stderr


def test_the_devbox_is_the_server_of_this_machine(flyte: Flyte) -> None:
    first = flyte("start", "--port", "0", "devbox")
    second = flyte("start", "--port", "0", "devbox")
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.stdout == second.stdout
    assert flyte("stop", "devbox").exit_code == 0
    assert flyte("status").exit_code == 1


@pytest.mark.parametrize(
    ("option", "why"),
    [(["--image", "x"], "flyte start --image"), (["--dev"], "no meaning"), (["--gpu"], "goes without saying")],
)
def test_options_of_a_container_are_refused(flyte: Flyte, option: list[str], why: str) -> None:
    done = flyte("start", "--port", "0", "devbox", *option)
    assert (done.exit_code, why in " ".join(done.stderr.split())) == (2, True)
    assert flyte("status").exit_code == 1


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--queue", "urgent"), "KEY=VALUE"),
        (("--queue", "=3"), "KEY=VALUE"),
        (("--queue", "urgent=high"), "whole number"),
        (("--queue", "urgent=1.5"), "whole number"),
        (("--queue", "a=1", "--queue", "a=2"), "give it one"),
        (("--cpu", "many"), "number of cores"),
        (("--cpu", "0"), "nothing"),
        (("--memory", "1GB"), "'GB' is not a unit"),
        (("--memory", "-1Gi"), "greater than or equal to 0"),
    ],
)
def test_queues_and_capacities_that_cannot_be_are_refused(flyte: Flyte, options: tuple[str, ...], why: str) -> None:
    done = flyte("start", "--port", "0", "--detach", *options)
    assert done.exit_code == 2
    assert why in " ".join(done.stderr.replace("│", " ").split())
    assert flyte("status").exit_code == 1


def test_another_home_has_a_server_of_its_own(flyte: Flyte, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert flyte("start", "--home", str(other), "--port", "0", "--detach").exit_code == 0
    assert flyte("status").exit_code == 1
    assert flyte("status", "--home", str(other)).exit_code == 0
    assert running_instance(other) is not None
    assert flyte("stop", "--home", str(other)).exit_code == 0
    assert running_instance(other) is None


def test_a_server_in_the_foreground_stops_at_ctrl_c(flyte_home: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from flyte.cli import main; main()",
        "start",
        "--port",
        "0",
        "--log-format",
        "json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        assert httpx.get(f"{url}/healthz").status_code == 200
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate(timeout=20)
    assert server.returncode == 0
    messages = [json.loads(line)["message"] for line in errors.splitlines() if line.startswith("{")]
    assert messages == [f"ready at {url}", "stopping", "stopped"]


def test_a_module_in_the_working_folder_takes_the_place_of_none_of_ours(flyte: Flyte, project: Path) -> None:
    (project / "secrets.py").write_text("raise SystemExit('the wrong module')")
    assert flyte("start", "--detach", "--port", "0").exit_code == 0


def test_a_token_is_shown_once_listed_by_its_name_and_deleted(flyte: Flyte, flyte_home: Path) -> None:
    assert "There is no token" in flyte("get", "token").stderr
    created = flyte("create", "token", "laptop")
    token = created.stdout.strip()
    assert TokenStore(flyte_home).name_of(token) == "laptop"
    listed = flyte("-of", "json", "get", "token").stdout
    assert [each["name"] for each in json.loads(listed)] == ["laptop"]
    assert token not in listed + flyte("get", "token").stdout
    assert flyte("create", "token", "laptop").exit_code == 2
    assert flyte("delete", "token", "laptop").exit_code == 0
    assert TokenStore(flyte_home).name_of(token) is None
    assert flyte("delete", "token", "laptop").exit_code == 2


def test_an_address_of_other_machines_needs_a_token_first(flyte: Flyte) -> None:
    done = flyte("start", "--host", "0.0.0.0", "--port", "0", "--detach")
    assert (done.exit_code, "flyte create token" in done.stderr) == (2, True)
    token = flyte("create", "token", "ada").stdout.strip()
    assert flyte("start", "--host", "0.0.0.0", "--port", "0", "--detach", "--require-token").exit_code == 0
    port = json.loads(flyte("-of", "json", "status").stdout)["address"].rpartition(":")[2]
    headers = {"authorization": f"Bearer {token}"}
    assert httpx.get(f"http://localhost:{port}/metrics").status_code == 401
    assert httpx.get(f"http://localhost:{port}/metrics", headers=headers).status_code == 200
