"""Our server and the interpreter of the official release, for scripts that let them work together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

IMAGES = "ghcr.io/flyteorg/flyte:*"
_READY_WITHIN_S = 30.0
_GONE_WITHIN_S = 30.0


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def variables(home: Path, **more: str) -> dict[str, str]:
    """The environment of a process that knows of no control plane, with a home folder of its own."""
    inherited = {
        name: text for name, text in os.environ.items() if not name.startswith(("FLYTE", "_U_", "_F_", "PYTHON"))
    }
    return inherited | {"HOME": str(home), "DO_NOT_TRACK": "1", "PYTHONDONTWRITEBYTECODE": "1", **more}


@dataclass
class Server:
    """Our server, at a port that stays the same when it is killed and started again.

    Attributes:
        folder: Where its home and its log are.
        images: Which environments stand for images.
    """

    folder: Path
    images: tuple[str, ...]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """How clients reach it."""
        return f"localhost:{self.port}"

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.folder / "server.log"

    def start(self) -> None:
        """It is ready.

        Raises:
            RuntimeError: it is not within its time.
        """
        program = Path(sys.executable).parent / "flyte"
        images = [argument for image in self.images for argument in ("--image", image)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [program, "start", "--home", self.folder / "home", "--port", str(self.port), *images],
                env=variables(self.folder),
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _READY_WITHIN_S
        while not self._is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server is not ready: {self.log.read_text()[-3000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """It is gone, without a chance to do anything before."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """It has ended."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        try:
            self.process.wait(_GONE_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.endpoint}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def running_server(folder: Path, images: Mapping[str, Path]) -> Iterator[Server]:
    """A server with a home of its own, until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    server = Server(folder, tuple(f"{pattern}={environment}" for pattern, environment in images.items()))
    server.start()
    try:
        yield server
    finally:
        server.stop()
