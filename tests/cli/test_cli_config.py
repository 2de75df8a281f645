"""`flyte create config`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Flyte


def written(path: Path) -> object:
    return yaml.safe_load(path.read_text())


def test_a_configuration_has_what_was_given(flyte: Flyte, project: Path) -> None:
    given = [
        "--endpoint",
        "https://plane.example.com:443/",
        "--org",
        "o",
        "-p",
        "p",
        "-d",
        "d",
        "--registry",
        "ghcr.io/x",
    ]
    done = flyte("create", "config", *given, "--auth-type", "external-command", "--local-persistence")
    assert (done.exit_code, done.stderr) == (0, "Config file written to .flyte/config.yaml\n")
    assert written(project / ".flyte" / "config.yaml") == {
        "admin": {"endpoint": "dns:///plane.example.com:443", "insecure": False, "authType": "ExternalCommand"},
        "image": {"builder": "local", "registry": "ghcr.io/x"},
        "local": {"persistence": True},
        "task": {"domain": "d", "org": "o", "project": "p"},
    }
    found = json.loads(flyte("-of", "json", "get", "config").stdout)
    assert found["platform"]["endpoint"] == "dns:///plane.example.com:443"


def test_the_devbox_is_this_machine(flyte: Flyte, project: Path) -> None:
    assert flyte("create", "config", "--devbox", "-o", "devbox.yaml").exit_code == 0
    assert written(project / "devbox.yaml") == {
        "admin": {"endpoint": "dns:///localhost:30080", "insecure": True},
        "image": {"builder": "local"},
        "task": {"domain": "development", "project": "flytesnacks"},
    }


def test_a_file_is_replaced_only_when_that_is_wanted(flyte: Flyte, project: Path) -> None:
    (project / "mine.yaml").write_text("task: {project: old}\n")
    done = flyte("create", "config", "-p", "new", "-o", "mine.yaml")
    assert done.exit_code == 2
    assert "--force" in done.stderr
    assert written(project / "mine.yaml") == {"task": {"project": "old"}}
    assert flyte("create", "config", "-p", "new", "-o", "mine.yaml", "--force").exit_code == 0
    assert written(project / "mine.yaml") == {"image": {"builder": "local"}, "task": {"project": "new"}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--insecure"], "--endpoint"),
        (["--devbox", "--endpoint", "x:1"], "leave --endpoint out"),
        (["--endpoint", "ftp://x"], "is no address of a control plane"),
        (["--endpoint", "x:1", "--auth-type", "magic"], "expected one of Pkce"),
        (["--local-tracked"], "is not there"),
    ],
)
def test_what_makes_no_configuration_is_refused(
    flyte: Flyte, project: Path, arguments: list[str], message: str
) -> None:
    done = flyte("create", "config", *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not (project / ".flyte").exists()
