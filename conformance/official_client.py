"""Lets the unmodified official client, and task processes of the official release, work with our server.

    python conformance/official_client.py OFFICIAL_PYTHON [--only NAME] [--network] [--keep]

`OFFICIAL_PYTHON` is the interpreter of an environment with `flyte==2.12.1` and `pandas`, `pyarrow`; the running one has
this project. The programs `programs/client_*.py` are plain user code; they run in that environment as clients, and
their tasks run there as processes of our server. Prints what passed, how long it took, and why something did not;
ends with 1 if anything did not.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

from conformance.official_commands import COMMANDS, Commands  # noqa: E402
from conformance.official_server import IMAGES, Server, make_certificate, running_server, variables  # noqa: E402

MODULES = ("client_calls", "client_served", "client_frames")
KILLED = "server killed and started again, twice"
SECURED = "server with TLS that asks for a token"
ON_DEMAND = "environment made on demand (network)"
FIGURE = "parent and 10 children within 3 s"
FIGURE_LIMIT_S = 3.0
PLAIN = {"insecure": True}
AT_ONCE = 3
_DRIVE_LIMIT_S = 900.0


@dataclass(frozen=True)
class Outcome:
    """How a scenario went.

    Attributes:
        why: Why it failed; empty where it passed.
        figures: What was measured.
    """

    scenario: str
    seconds: float
    why: str = ""
    figures: str = ""

    @property
    def passed(self) -> bool:
        """Whether all was as it should be."""
        return not self.why


@dataclass(frozen=True)
class Peer:
    """The official release, and the server that it works with.

    Attributes:
        python: Its interpreter.
        folder: Where its processes run, with the programs.
        only: Names of scenarios, or parts of them; none for all.
    """

    python: Path
    folder: Path
    server: Server
    only: tuple[str, ...] = ()

    def wants(self, name: str) -> bool:
        """Whether the scenario is to run."""
        return not self.only or any(part in name for part in self.only)

    def drive(
        self, modules: Iterable[str], only: Iterable[str] = (), access: Mapping[str, Any] = PLAIN
    ) -> list[dict[str, Any]]:
        """What a process of the release tells of the scenarios of those modules."""
        request = {
            "init": {"endpoint": self.server.endpoint, **access},
            "modules": list(modules),
            "only": list(only),
            "at_once": AT_ONCE,
        }
        log = self.folder.parent / "client.log"
        with log.open("ab") as errors:
            done = subprocess.run(
                [self.python, "client_drive.py", json.dumps(request)],
                cwd=self.folder,
                # The release sends files with another library, which asks this variable for authorities.
                env=variables(
                    self.folder.parent / "client-home",
                    SSL_CERT_FILE=str(access.get("ca_cert_file_path", "")),
                    SERVER=self.server.endpoint,
                ),
                stdout=subprocess.PIPE,
                stderr=errors,
                timeout=_DRIVE_LIMIT_S,
                check=False,
            )
        lines = [json.loads(line) for line in done.stdout.decode().splitlines() if line.startswith('{"scenario"')]
        if done.returncode or not lines:
            raise RuntimeError(f"the client ended with {done.returncode}: {log.read_text()[-2000:]}")
        return lines


def names_of(modules: Iterable[str]) -> list[str]:
    """The scenarios of those modules by name, in order."""
    found = []
    for module in modules:
        lines = (FOLDER / "programs" / f"{module}.py").read_text().splitlines()
        for decorator, function in pairwise(lines):
            if decorator == "@scenario":
                found.append(function.split("def ")[1].split("(")[0].replace("_", " "))
    return found


def driven(peer: Peer) -> Iterator[Outcome]:
    """The scenarios of the client, in one process."""
    wanted = [name for name in names_of(MODULES) if peer.wants(name)]
    if not wanted:
        return
    told = {line["scenario"]: line for line in peer.drive(MODULES, wanted)}
    for name in wanted:
        line = told.get(name, {"seconds": 0.0, "why": "the client told nothing of it"})
        yield Outcome(name, line["seconds"], line["why"])


def commanded(peer: Peer) -> Iterator[Outcome]:
    """The scenarios of the command line."""
    wanted = {name: each for name, each in COMMANDS.items() if peer.wants(name)}
    if wanted:
        commands = Commands(peer.python, peer.folder, peer.server.endpoint)
        for name, each in wanted.items():
            yield timed(name, lambda each=each: each(commands))  # type: ignore[misc]


def killed(peer: Peer) -> str:
    """The server is killed in the middle of a run of the client, and started again, twice."""
    marker = peer.folder / "scratch" / "children-run"
    deadline = time.monotonic() + 60

    def kill_and_start() -> None:
        while not marker.exists():
            if time.monotonic() > deadline:
                return
            time.sleep(0.02)
        for down_s, up_s in ((1.0, 0.7), (2.0, 0.0)):
            peer.server.kill()
            time.sleep(down_s)
            peer.server.start()
            time.sleep(up_s)

    thread = threading.Thread(target=kill_and_start)
    thread.start()
    try:
        [line] = peer.drive(["client_restart"])
    finally:
        thread.join()
    return str(line["why"] and raised(line["why"]))


def figure(peer: Peer) -> str:
    """How long the client waits from `run()` to the outputs of a parent with ten children."""
    [line] = peer.drive(["client_figure"])
    if line["why"]:
        raise AssertionError(line["why"])
    seconds = json.loads((peer.folder / "scratch" / "figure.json").read_text())
    median = statistics.median(seconds)
    text = f"median {median:.2f} s, from {min(seconds):.2f} to {max(seconds):.2f} s in {len(seconds)} runs"
    # Of the fastest: others may use the machine meanwhile.
    return text if min(seconds) <= FIGURE_LIMIT_S else raised(text)


def raised(why: str) -> str:
    """Never.

    Raises:
        AssertionError: with that text.
    """
    raise AssertionError(why)


def secured(python: Path, folder: Path) -> str:
    """The client speaks TLS and shows a token, and its tasks show theirs, where the server asks everybody for one."""
    place = folder / "secured"
    place.mkdir()
    certificate = make_certificate(place)
    server = Server(place, images(python), ("--require-token",), certificate)
    program = Path(sys.executable).parent / "flyte"
    command = [str(program), "create", "token", "conformance"]
    made = subprocess.run(
        command, env=variables(place, FLYTE_HOME=str(place / "home")), capture_output=True, text=True, check=True
    )
    [token] = [word for word in made.stdout.split() if word.startswith("flyte_")]
    access = {
        "ca_cert_file_path": str(certificate.authority),
        "auth_type": "ExternalCommand",
        "command": ["echo", token],
    }
    with running_server(server):
        lines = Peer(python, folder / "work", server).drive(
            ["client_calls"], ["nested fan out", "traces are replayed", "failure of a run"], access
        )
    failed = [f"{line['scenario']}: {line['why']}" for line in lines if line["why"]]
    return raised("; ".join(failed)) if failed else ""


def images(python: Path) -> tuple[str, ...]:
    """That the environment of an interpreter stands for the images of the release."""
    return (f"{IMAGES}={python.parent.parent}",)


def on_demand(python: Path, folder: Path) -> str:
    """A server without a mapping installs the release that a client uses."""
    with running_server(Server(folder / "unmapped", ())) as server:
        peer = Peer(python, folder / "work", server)
        [line] = peer.drive(["client_calls"], ["run and outputs"])
        return str(line["why"] and raised(line["why"]))


def timed(name: str, function: Callable[[], str | None]) -> Outcome:
    """How the scenario went that the function carries out; it gives the figures, and raises where it fails."""
    began = time.perf_counter()
    try:
        figures, why = function() or "", ""
    except Exception as error:
        figures, why = "", f"{type(error).__name__}: {error}"
    return Outcome(name, round(time.perf_counter() - began, 2), why, figures)


def outcomes(python: Path, folder: Path, only: tuple[str, ...], *, network: bool) -> Iterator[Outcome]:
    """How each scenario went."""
    work = folder / "work"
    (work / "scratch").mkdir(parents=True)
    for program in (FOLDER / "programs").glob("client_*.py"):
        shutil.copy(program, work)
    with running_server(Server(folder, images(python))) as server:
        peer = Peer(python, work, server, only)
        if peer.wants(FIGURE):
            yield timed(FIGURE, lambda: figure(peer))
        yield from commanded(peer)
        yield from driven(peer)
        if peer.wants(KILLED):
            yield timed(KILLED, lambda: killed(peer))
    if peer.wants(SECURED):
        yield timed(SECURED, lambda: secured(python, folder))
    if network and peer.wants(ON_DEMAND):
        yield timed(ON_DEMAND, lambda: on_demand(python, folder))


def table(rows: Iterable[Outcome]) -> Iterator[str]:
    """The lines to print, as the outcomes come."""
    yield f"{'scenario':46} | result | seconds | why"
    passed = tried = 0
    for row in rows:
        tried, passed = tried + 1, passed + row.passed
        result = "passed" if row.passed else "FAILED"
        yield f"{row.scenario:46} | {result} | {row.seconds:7.2f} | {' '.join((row.why or row.figures).split())}"
    yield f"{passed} of {tried} scenarios passed."


def main() -> int:
    """0 when every scenario passed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("official_python", help="interpreter with flyte==2.12.1, pandas and pyarrow")
    parser.add_argument("--only", action="append", default=[], help="part of a scenario's name; may be given again")
    parser.add_argument("--network", action="store_true", help="also what downloads the official release")
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and homes")
    given = parser.parse_args()
    python = Path(given.official_python).absolute()
    folder = Path(tempfile.mkdtemp(prefix="flyte-official-"))
    failed = tried = 0
    try:

        def counted() -> Iterator[Outcome]:
            nonlocal failed, tried
            for row in outcomes(python, folder, tuple(given.only), network=given.network):
                tried, failed = tried + 1, failed + (not row.passed)
                yield row

        for line in table(counted()):
            print(line, flush=True)
    finally:
        if given.keep:
            print(f"kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
