"""The client with a real control plane in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import flyte
import flyte.remote
from flyte._server.instances import running_instance
from flyte.errors import RunAbortedError, RuntimeUserError
from flyte.io import Dir, File
from flyte.models import ActionPhase
from flyte.syncify import syncify
from tests.remote.served_programs import caller, env, failing, fan, one, read, slow


@dataclass
class Server:
    """A control plane.

    Attributes:
        home: Where it keeps everything.
        port: Where it listens.
    """

    home: Path
    port: int = 0

    def start(self) -> None:
        """It is ready; on the port that it had before, if any."""
        self._flyte("start", "--detach", "--port", str(self.port))
        instance = running_instance(self.home)
        assert instance is not None
        self.port = int(instance.url.rpartition(":")[2])

    def kill(self) -> None:
        """It is gone, without a word."""
        instance = running_instance(self.home)
        assert instance is not None
        os.kill(instance.pid, signal.SIGKILL)

    def stop(self) -> None:
        """It has stopped."""
        self._flyte("stop")

    def _flyte(self, command: str, *arguments: str) -> None:
        program = [sys.executable, "-c", "from flyte.cli import main; main()", command]
        done = subprocess.run(
            [*program, "--home", str(self.home), *arguments], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests of this file."""
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(autouse=True)
def _connected(server: Server) -> Iterator[None]:
    """This process is set up for the control plane."""
    root = Path(__file__).parents[2]
    flyte.init(endpoint=f"localhost:{server.port}", insecure=True, root_dir=root, sync_local_sys_paths=False)
    yield
    syncify.close()


def test_a_task_runs_and_its_outputs_logs_and_code_come_back(tmp_path: Path) -> None:
    run = flyte.run(one, x=3)
    assert run.outputs().o0 == 4
    assert run.phase is ActionPhase.SUCCEEDED
    assert list(run.get_logs()) == ["one of 3"]
    assert (run.download_code(tmp_path / "code") / "tests" / "remote" / "served_programs.py").exists()
    assert run.name in [each.name for each in flyte.remote.Run.listall(limit=5)]


def test_children_are_actions_of_the_run() -> None:
    run = flyte.run(fan, n=5)
    assert run.outputs().o0 == 15
    actions = list(flyte.remote.Action.listall(run.name))
    assert [each.task_name for each in actions].count("served.one") == 5
    assert {each.phase for each in actions} == {ActionPhase.SUCCEEDED}
    again = flyte.rerun(run.name, recover=True)
    assert again.outputs().o0 == 15
    phases = [each.phase for each in flyte.remote.Action.listall(again.name) if each.name != "a0"]
    assert set(phases) == {ActionPhase.RECOVERED}


def test_a_failure_is_the_error_of_the_task() -> None:
    run = flyte.run(failing, x=3)
    with pytest.raises(RuntimeUserError, match="no 3") as caught:
        run.outputs()
    assert caught.value.code == "ValueError"
    first = run.first_failure()
    assert first is not None
    assert first.name == "a0"


def test_an_aborted_run_is_aborted() -> None:
    run = flyte.run(slow, seconds=60.0)
    run.wait(quiet=True, wait_for="running")
    run.abort("enough")
    run.wait(quiet=True)
    with pytest.raises(RunAbortedError, match="enough"):
        run.raise_for_status()


def test_local_files_reach_the_task(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.txt").write_text("A")
    (folder / "b.txt").write_text("B")
    source = File.from_local_sync(str(folder / "a.txt"))
    assert flyte.run(read, source=source, folder=Dir.from_local_sync(str(folder))).outputs().o0 == "Aa.txt,b.txt"


def test_a_deployed_task_is_run_and_called_from_another() -> None:
    flyte.deploy(env)
    deployed = flyte.remote.Task.get("served.one", auto_version="latest")
    assert flyte.run(deployed, x=5).outputs().o0 == 6
    assert flyte.run(caller, x=7).outputs().o0 == 8


def test_the_root_of_a_hybrid_run_is_here_and_its_children_are_served(tmp_path: Path) -> None:
    hybrid = flyte.with_runcontext(mode="hybrid", run_base_dir=tmp_path / "base")
    run = hybrid.run(fan, n=3)
    assert run.outputs().o0 == 6
    assert run.phase is ActionPhase.SUCCEEDED
    actions = list(flyte.remote.Action.listall(run.name))
    assert [each.task_name for each in actions].count("served.one") == 3
    with pytest.raises(ValueError, match="no 4"):
        hybrid.run(failing, x=4)
    failed = next(iter(flyte.remote.Run.listall(limit=1)))
    failed.wait(quiet=True)
    with pytest.raises(RuntimeUserError, match="no 4"):
        failed.raise_for_status()
    with pytest.raises(ValueError, match="run_base_dir"):
        flyte.with_runcontext(mode="hybrid").run(fan, n=1)


def test_settings_secrets_and_triggers_are_kept() -> None:
    settings = flyte.remote.Settings.get_settings_for_edit(domain="development")
    settings.update_settings({"run.default_queue": "fast", "labels": {"team": "a"}})
    again = flyte.remote.Settings.get_settings_for_edit(project="flytesnacks", domain="development")
    assert again.effective_values() == {"run.default_queue": "fast", "labels": {"team": "a"}}
    assert again.local_overrides() == {}
    settings.update_settings({})
    flyte.remote.Secret.create("key", "first")
    flyte.remote.Secret.create("key", "second")
    assert [each.name for each in flyte.remote.Secret.listall()] == ["key"]
    flyte.deploy(env)
    flyte.remote.Trigger.create(flyte.Trigger("by-hand", inputs={"x": 1}), "served.one")
    fired = flyte.run(flyte.remote.Trigger.get(name="by-hand", task_name="served.one"))
    assert fired.outputs().o0 == 2
    assert flyte.remote.User.get().subject()


def test_a_wait_survives_a_kill_of_the_server(server: Server) -> None:
    run: Any = flyte.run(slow, seconds=1.5)
    run.wait(quiet=True, wait_for="running")

    def restart() -> None:
        server.kill()
        time.sleep(0.3)
        server.start()

    thread = threading.Thread(target=restart)
    thread.start()
    try:
        assert run.outputs().o0 == "slept"
    finally:
        thread.join()
