"""The official command line against our server."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.official_server import variables

COMMANDS: dict[str, Callable[[Commands], None]] = {}
_LIMIT_S = 90.0
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Commands:
    """The program `flyte` of the official release, with a configuration that it has written itself.

    Attributes:
        folder: Where it runs, with the programs.
    """

    python: Path
    folder: Path
    endpoint: str
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self("create", "config", "--endpoint", self.endpoint, "--insecure", *PLACE, "--force")

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What it prints.

        Raises:
            AssertionError: it ends with another exit code.
        """
        done = subprocess.run(
            [self.python.parent / "flyte", *arguments],
            cwd=self.folder,
            env=variables(self.folder.parent / "client-home", COLUMNS="200"),
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        said = _COLOURS.sub("", done.stdout + done.stderr)
        # The release sometimes ends so after all that it has to do, when its threads are taken down.
        ended = 0 if done.returncode == -signal.SIGABRT else done.returncode
        assert ended == code, f"flyte {' '.join(arguments)} ended with {done.returncode}: {said[-1500:]}"
        return said

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        """What it prints as JSON."""
        said = self("--output-format", "json-raw", *arguments)
        # Text that is folded to the width of a terminal is no JSON.
        return list(json.loads("".join(said.splitlines())))

    def run(self, *arguments: str) -> str:
        """The name of a run that `flyte run` has begun."""
        said = self("run", *arguments)
        found = re.search(r"Created Run: (\S+)", said)
        assert found, said
        return found[1]

    def until(self, run: str, phase: str) -> None:
        """Nothing, once the run is in that phase."""
        for _ in range(60):
            said = self("get", "run", run)
            if phase.lower() in said.lower():
                return
            time.sleep(0.2)
        raise AssertionError(f"run {run} is not {phase}: {said[-1500:]}")

    def action_that_asks(self, run: str, condition: str) -> str:
        """The name of the action, once there is one."""
        for _ in range(60):
            for each in self.listed("get", "condition", run):
                if each["metadata"]["condition"]["name"] == condition:
                    return str(each["id"]["name"])
            time.sleep(0.2)
        raise AssertionError(f"run {run} has no condition {condition}")


PLACE = ("--project", "flytesnacks", "--domain", "development")


def command(function: Callable[[Commands], None]) -> Callable[[Commands], None]:
    """The function is a scenario of the command line."""
    COMMANDS["flyte " + function.__name__.rstrip("_").replace("_", " ")] = function
    return function


def has(said: str, *texts: str) -> None:
    """Nothing when all are in what was said.

    Raises:
        AssertionError: one is not.
    """
    missing = [text for text in texts if text not in said]
    assert not missing, f"{missing} is not in {said[-1500:]!r}"


@command
def run_follow(flyte: Commands) -> None:
    said = flyte("run", "--follow", "client_served.py", "talks", "--lines", "5")
    has(said, "on standard output", "by the logger", "line 4")


@command
def get_run_action_io_logs(flyte: Commands) -> None:
    run = flyte.run("--name", f"cli-{time.time_ns()}", "--label", "by=cli", "client_calls.py", "root", "--width", "1")
    flyte.until(run, "succeeded")
    has(flyte("get", "run"), run)
    assert flyte.listed("get", "run", "--with-label", "by=cli"), "no run has the label"
    has(flyte("get", "action", run), "calls.root", "calls.branch", "calls.leaf")
    has(flyte("get", "action", run, "a0"), "calls.root")
    has(flyte("get", "io", run), "width", "o0")
    has(flyte("get", "io", run, "a0", "--outputs-only"), "o0", "6")
    run = flyte.run("client_served.py", "talks", "--lines", "3")
    flyte.until(run, "succeeded")
    has(flyte("get", "logs", run, "a0", "--lines", "50"), "on standard output", "line 2")
    has(flyte("get", "code", run, "--dest", "scratch/code"), "code")


@command
def run_fails(flyte: Commands) -> None:
    run = flyte.run("client_calls.py", "does_not_catch")
    flyte.until(run, "failed")
    has(flyte("get", "action", run, "a0"), "ZeroDivisionError")


@command
def deploy_get_task_and_run_deployed_task(flyte: Commands) -> None:
    version = f"c{time.time_ns()}"
    has(flyte("deploy", "--version", version, "client_served.py", "shipped"), "shipped.ship")
    has(flyte("get", "task"), "shipped.ship")
    has(flyte("get", "task", "shipped.ship", version), version)
    has(flyte("get", "trigger"), "nightly", "shipped.timed")
    has(flyte("get", "trigger", "shipped.timed", "nightly"), "nightly")
    run = flyte.run("deployed-task", f"shipped.ship:{version}", "--x", "4")
    flyte.until(run, "succeeded")
    has(flyte("get", "io", run, "--outputs-only"), "14")


@command
def update_and_delete_trigger(flyte: Commands) -> None:
    flyte("deploy", "--version", f"u{time.time_ns()}", "client_served.py", "shipped")
    flyte("create", "trigger", "shipped.timed", "hourly", "--schedule", "0 * * * *", "--trigger-time-var", "when")
    flyte("update", "trigger", "hourly", "shipped.timed", "--deactivate")
    has(flyte("get", "trigger", "shipped.timed"), "hourly")
    flyte("delete", "trigger", "hourly", "shipped.timed")


@command
def abort(flyte: Commands) -> None:
    run = flyte.run("client_served.py", "sleeps", "--path", str(flyte.folder / "scratch" / "cli"), "--seconds", "60")
    has(flyte("abort", "run", run, "--reason", "enough"), run)
    flyte.until(run, "aborted")
    path = flyte.folder / "scratch" / f"cli{time.time_ns()}"
    run = flyte.run("client_served.py", "waits", "--path", str(path), "--seconds", "60")
    while not path.exists():
        time.sleep(0.05)
    names = [each["id"]["name"] for each in flyte.listed("get", "action", run)]
    [child] = [name for name in names if name != "a0"]
    flyte("abort", "action", run, child)
    flyte.until(run, "succeeded")


@command
def rerun(flyte: Commands) -> None:
    run = flyte.run("client_calls.py", "add", "--x", "5")
    flyte.until(run, "succeeded")
    found = re.search(r"Created Run: (\S+)|Run: (\S+)", flyte("rerun", run, "--y", "7"))
    assert found, "no name of a run"
    again = found[1] or found[2]
    flyte.until(again, "succeeded")
    has(flyte("get", "io", again, "--outputs-only"), "12")


@command
def signal_and_get_condition(flyte: Commands) -> None:
    run = flyte.run("client_served.py", "asks", "--prompt", "Go?")
    for name, answer in (("go", "true"), ("word", "hallo")):
        flyte("signal", "condition", run, flyte.action_that_asks(run, name), answer)
    flyte.until(run, "succeeded")
    has(flyte("get", "io", run, "--outputs-only"), "hallo")


@command
def create_and_get_project(flyte: Commands) -> None:
    name = f"cli{time.time_ns()}"
    flyte("create", "project", "--id", name, "--name", "Of the command line")
    has(flyte("get", "project"), name, "flytesnacks")
    has(flyte("get", "project", name), "Of the command line")
    flyte("update", "project", name, "--archive")
    has(flyte("get", "project", "--archived"), name)


@command
def create_get_and_delete_secret(flyte: Commands) -> None:
    flyte("create", "secret", "cli-word", "--value", "x")
    has(flyte("get", "secret"), "cli-word")
    has(flyte("get", "secret", "cli-word"), "cli-word")
    flyte("delete", "secret", "cli-word")
    assert "cli-word" not in flyte("get", "secret")


@command
def whoami(flyte: Commands) -> None:
    assert flyte("whoami").strip()


@command
def get_settings(flyte: Commands) -> None:
    assert flyte("get", "settings").strip()
