"""Fork servers: what they fork, how they end, and that nothing of them stays."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

import flyte
from flyte._controller import child_servers
from flyte._controller.child_servers import MOST_IDLE, ForkServers, Server
from flyte._forks.client import ForkServer, LaunchFailedError, ServerSpec
from flyte._forks.spawning import SpawnServer
from tests.processes import are_gone, runs

ENTRIES = """
import os, random, signal, subprocess, sys, time

def answer(descriptor):
    os.write(descriptor, os.environ["WHO"].encode())

def exit_code(descriptor):
    os._exit(int(os.read(descriptor, 10)))

def where(descriptor):
    print(os.getcwd(), flush=True)
    subprocess.run(["sh", "-c", "echo from a program >&2"])

def chance(descriptor):
    os.write(descriptor, str(random.random()).encode())

def lingers(descriptor):
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    os.write(descriptor, f"{other.pid} {os.getppid()}".encode())
    time.sleep(600)

def load(text):
    open(text, "a").write("x")

def load_and_thread(text):
    import threading
    load(text)
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()

def load_numpy(text):
    import numpy

def multiplies(descriptor):
    loaded = "numpy" in sys.modules
    import numpy
    product = numpy.ones((300, 300)) @ numpy.ones((300, 300))
    os.write(descriptor, f"{loaded} {product.sum():.0f}".encode())

def load_and_die(text):
    os._exit(5)

def load_for_ever(text):
    load(text)
    time.sleep(600)

def is_loaded(descriptor):
    os.write(descriptor, str(len(open(os.environ["WHO"]).read())).encode())
"""


@pytest.fixture
def entries(tmp_path: Path) -> Path:
    (tmp_path / "fork_entries.py").write_text(ENTRIES)
    return tmp_path


def spec(folder: Path, entry: str, who: str = "me", preload: tuple[str, str] | None = None) -> ServerSpec:
    return ServerSpec(
        python=sys.executable,
        flags=(),
        path=(str(folder), *sys.path),
        keeps_own_path=False,
        environment={"WHO": who, "PATH": os.environ["PATH"]},
        entry=f"fork_entries:{entry}",
        preload=None if preload is None else (f"fork_entries:{preload[0]}", preload[1]),
    )


@asynccontextmanager
async def started(server: Server) -> AsyncIterator[Server]:
    try:
        await server.ready()
        yield server
    finally:
        await server.close()


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


async def read(descriptor: int) -> str:
    return (await asyncio.to_thread(os.read, descriptor, 1 << 16)).decode()


@pytest.mark.parametrize("kind", [ForkServer, SpawnServer])
async def test_a_process_gets_its_connection_streams_folder_and_variables(kind: type[Server], entries: Path) -> None:
    async with started(kind(spec(entries, "answer"))) as server:
        with pipe() as (reading, writing):
            launched = server.launch([writing])
            assert await read(reading) == "me"
            assert await launched.wait() == 0
    (entries / "inside").mkdir()
    async with started(kind(spec(entries, "where"))) as server:
        with pipe() as (out, out_w), pipe() as (err, err_w), pipe() as (_, other):
            launched = server.launch([other, out_w, err_w], str(entries / "inside"))
            assert await launched.wait() == 0
            assert await read(out) == f"{entries / 'inside'}\n"
            assert await read(err) == "from a program\n"


@pytest.mark.parametrize("kind", [ForkServer, SpawnServer])
async def test_how_a_process_ended_is_told(kind: type[Server], entries: Path) -> None:
    async with started(kind(spec(entries, "exit_code"))) as server:
        with pipe() as (reading, writing):
            os.write(writing, b"7")
            assert await server.launch([reading]).wait() == 7
            waiting = server.launch([reading])
            await waiting.started()
            waiting.kill(signal.SIGTERM)
            assert await waiting.wait() == -signal.SIGTERM
        assert not server.running


@pytest.mark.parametrize("kind", [ForkServer, SpawnServer])
async def test_closing_a_server_ends_what_its_processes_have_started(kind: type[Server], entries: Path) -> None:
    server = kind(spec(entries, "lingers"))
    with pipe() as (reading, writing):
        async with started(server):
            launched = server.launch([writing])
            pid = await launched.started()
            other = int((await read(reading)).split()[0])
            assert runs(other)
    assert are_gone([pid, other])
    assert await launched.wait() == -signal.SIGKILL


async def test_when_a_server_is_killed_its_processes_are_too_and_later_launches_fail(entries: Path) -> None:
    server = ForkServer(spec(entries, "lingers"))
    async with started(server):
        with pipe() as (reading, writing):
            launched = server.launch([writing])
            pid = await launched.started()
            other, server_pid = map(int, (await read(reading)).split())
            os.kill(server_pid, signal.SIGKILL)
            assert await launched.wait() == -signal.SIGKILL
            assert are_gone([pid, server_pid, other])
            assert server.has_ended
            with pytest.raises(LaunchFailedError, match="has ended"):
                await server.launch([writing]).started()


async def test_forked_processes_have_chance_of_their_own(entries: Path) -> None:
    async with started(ForkServer(spec(entries, "chance"))) as server:
        numbers = set()
        for _ in range(3):
            with pipe() as (reading, writing):
                await server.launch([writing]).wait()
                numbers.add(await read(reading))
        assert len(numbers) == 3


@pytest.mark.parametrize(("preload", "times"), [("load", "1"), ("load_and_thread", "1")])
async def test_code_is_loaded_once_and_a_server_never_has_two_threads(
    entries: Path, tmp_path: Path, preload: str, times: str
) -> None:
    loaded = tmp_path / "loaded"
    async with started(ForkServer(spec(entries, "is_loaded", str(loaded), (preload, str(loaded))))) as server:
        assert isinstance(server, ForkServer)
        assert len(os.listdir(f"/proc/{server.pid}/task")) == 1
        for _ in range(2):
            with pipe() as (reading, writing):
                await server.launch([writing]).wait()
                assert await read(reading) == times


async def test_a_library_that_ends_its_threads_for_a_fork_is_kept(entries: Path) -> None:
    async with started(ForkServer(spec(entries, "multiplies", preload=("load_numpy", "")))) as server:
        assert isinstance(server, ForkServer)
        assert len(os.listdir(f"/proc/{server.pid}/task")) == 1
        for _ in range(2):
            with pipe() as (reading, writing):
                assert await server.launch([writing]).wait() == 0
                assert await read(reading) == "True 27000000"


async def test_code_that_ends_the_server_is_not_loaded_there(entries: Path) -> None:
    servers = ForkServers()
    try:
        wanted = spec(entries, "answer", preload=("load_and_die", ""))
        server, same = await asyncio.gather(servers.get(wanted), servers.get(wanted))
        assert server is same is await servers.get(wanted)
        with pipe() as (reading, writing):
            assert await server.launch([writing]).wait() == 0
            assert await read(reading) == "me"
    finally:
        await servers.close()


async def test_a_process_that_is_killed_at_once_ends(entries: Path) -> None:
    async with started(ForkServer(spec(entries, "lingers"))) as server:
        with pipe() as (_, writing):
            async with asyncio.timeout(60):
                for _ in range(100):
                    launched = server.launch([writing])
                    launched.kill()
                    assert await launched.wait() == -signal.SIGKILL


async def test_a_thousand_launches_at_once_block_nobody(entries: Path) -> None:
    server = ForkServer(spec(entries, "answer"))
    async with started(server):
        with pipe() as (_, writing):
            launched = [server.launch([writing]) for _ in range(1000)]
            async with asyncio.timeout(60):
                assert {await each.wait() for each in launched} == {0}


async def test_closing_a_server_does_not_wait_for_what_it_loads(entries: Path, tmp_path: Path) -> None:
    loaded = tmp_path / "loaded"
    server = ForkServer(spec(entries, "answer", preload=("load_for_ever", str(loaded))))
    async with asyncio.timeout(30):
        while not loaded.exists():
            await asyncio.sleep(0.01)
        await server.close()
    assert are_gone([server.pid])
    with pytest.raises(LaunchFailedError, match="before it was ready"):
        await server.ready()


async def test_a_server_that_cannot_start_says_so(entries: Path) -> None:
    server = ForkServer(spec(entries, "nothing"))
    with pytest.raises(LaunchFailedError, match="before it was ready"):
        await server.ready()
    await server.close()


async def test_few_servers_are_kept_idle(entries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_servers, "_JUST_NOW_S", -1.0)
    servers = ForkServers()
    try:
        started_servers = [await servers.get(spec(entries, "answer", str(number))) for number in range(MOST_IDLE + 3)]
        assert await servers.get(spec(entries, "answer", str(MOST_IDLE + 2))) is started_servers[-1]
        assert await servers.get(spec(entries, "answer", "0")) is not started_servers[0]
    finally:
        await servers.close()
    pids = [server.pid for server in started_servers if isinstance(server, ForkServer)]
    assert are_gone(pids)


async def test_a_server_that_was_wanted_just_now_is_not_ended(entries: Path) -> None:
    servers = ForkServers()
    try:
        wanted = [await servers.get(spec(entries, "answer", str(number))) for number in range(MOST_IDLE + 3)]
        assert not any(server.has_ended for server in wanted)
    finally:
        await servers.close()


env = flyte.TaskEnvironment(name="spawned")


@env.task
async def inner(x: int) -> list[int]:
    return [x, os.getpid(), os.getppid()]


@env.task
async def outer(x: int) -> list[int]:
    return await inner(x)


def test_isolated_runs_work_where_forking_is_not_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_servers, "IS_SAFE", False)
    x, pid, parent = flyte.with_runcontext(isolated=True).run(outer, 3).outputs().o0
    assert (x, parent) == (3, os.getpid())
    assert pid != os.getpid()
