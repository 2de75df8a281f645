"""A control plane as a process, and this process as its client."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

import flyte
from flyte._server.daemon import start_detached, stop_server
from flyte._server.executors.host_socket import connected
from flyte._server.instances import LOG_FILE, Instance, running_instance
from flyte._server.settings import ServerSettings

ROOT = Path(__file__).parents[2]


@dataclass
class Plane:
    """A control plane that may be killed and started again, at one address.

    Attributes:
        settings: How it is run, beside its home and its port.
    """

    home: Path
    settings: dict[str, object] = field(default_factory=dict)
    port: int = 0

    def start(self, **settings: object) -> Instance:
        """It is ready, and this process is set up for it."""
        self.settings |= settings
        self.serve()
        return self.enter()

    def serve(self) -> None:
        """It is ready, for clients that are set up for it."""
        start_detached(ServerSettings(home=self.home, port=self.port, **self.settings))  # type: ignore[arg-type]

    def command(self, *arguments: str) -> Instance:
        """It was started by that command, and this process is set up for it."""
        where = ("--home", str(self.home), "--port", str(self.port))
        program = [sys.executable, "-c", "from flyte.cli import main; main()", *arguments, *where]
        done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return self.enter()

    def kill(self) -> None:
        """It is gone, without a word."""
        instance = running_instance(self.home)
        assert instance is not None
        os.kill(instance.pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(instance.pid, 0)

    def stop(self, *, leaves_attempts: bool = False) -> None:
        """It has stopped."""
        stop_server(self.home, 30, leaves_attempts=leaves_attempts)

    def host(self) -> psutil.Process:
        """The process that its attempts run below."""
        (found,) = self._hosts()
        return found

    def log(self) -> str:
        """What it has logged."""
        return (self.home / LOG_FILE).read_text()

    def close(self) -> None:
        """Nothing of it is left."""
        if running_instance(self.home) is None and (left := connected(self.home)) is not None:
            # Attempts of a server that is gone wait for another one, which ends them.
            left.close()
            self.start()
        self.stop()
        assert not self._hosts()

    def enter(self) -> Instance:
        """This process is set up for it."""
        instance = running_instance(self.home)
        assert instance is not None
        self.port = int(instance.url.rpartition(":")[2])
        flyte.init(endpoint=f"localhost:{self.port}", insecure=True, root_dir=ROOT, sync_local_sys_paths=False)
        return instance

    def _hosts(self) -> list[psutil.Process]:
        found = []
        for each in psutil.process_iter(["cmdline"]):
            line = each.info["cmdline"] or []
            if "flyte._server.executors.host" in line and str(self.home) in line:
                found.append(each)
        return found
