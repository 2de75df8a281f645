"""A project folder without any configuration, and the command in this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

Flyte = Callable[..., Result]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, flyte_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: the root of a repository, in a home of its own, so that no configuration is found."""
    for name in [name for name in os.environ if name.startswith(("FLYTE", "UCTL")) and name != "FLYTE_HOME"]:
        monkeypatch.delenv(name)
    folder = tmp_path / "project"
    (folder / ".git").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(autouse=True)
def nothing_is_served(flyte_home: Path) -> Iterator[None]:
    """No control plane is left that a command of the test has started."""
    yield
    if (flyte_home / "server.json").exists():
        from flyte._server.daemon import stop_server

        left = stop_server(flyte_home, 20)
        assert left is None, f"the test has left a control plane at {left.url}"


@pytest.fixture
def flyte(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flyte]:
    """The command: `flyte("run", "t.py", "main")`. Each call imports the test's files anew, as each process does."""
    # Imported here, its handler writes to a stream that outlives the call.
    from flyte._logging import logger, system_logger
    from flyte.cli._root import flyte as command

    monkeypatch.setattr(sys, "path", list(sys.path))
    for each in (system_logger, logger):
        monkeypatch.setattr(each, "level", each.level)

    def forget() -> None:
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(str(project.parent)):
                del sys.modules[name]

    def call(*arguments: str) -> Result:
        forget()
        return CliRunner().invoke(command, list(arguments), catch_exceptions=False)

    yield call
    forget()
