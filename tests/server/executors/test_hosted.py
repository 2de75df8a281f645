"""Attempts below a host of their own: they go on without the server that ordered them, and meet the next one."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from flyteidl2.task.common_pb2 import Outputs

from flyte._server.executors.host_socket import SOCKET_FILE
from flyte._server.executors.hosted import HostedExecutor, HostSettings
from flyte._server.executors.orders import AttemptEnd, AttemptLostError, AttemptOrder
from tests.processes import runs
from tests.server.executors.served import Served, eventually
from tests.worker.attempts import value_of

TASKS = """
@env.task
async def waits(file: str) -> str:
    with open(file + ".pid", "w") as pid:
        pid.write(str(os.getpid()))
    while not os.path.exists(file):
        await asyncio.sleep(0.01)
    return "done"

@env.task
async def fails() -> int:
    raise ValueError("no")
"""


class Servers:
    """Executors of one server after another."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.made: list[HostedExecutor] = []

    async def next(self) -> HostedExecutor:
        """The executor of the next server."""
        settings = HostSettings(home=self.home, endpoint="localhost:1", log_file=self.home.parent / "host.log")
        executor = HostedExecutor(settings)
        self.made.append(executor)
        await executor.start()
        return executor

    async def close(self) -> None:
        """The host has ended."""
        if (self.home / SOCKET_FILE).exists():
            await (await self.next()).close()


@pytest.fixture
async def servers(served: Served) -> AsyncIterator[Servers]:
    servers = Servers(served.home)
    yield servers
    await servers.close()


def waiting(served: Served, tmp_path: Path) -> tuple[AttemptOrder, Path]:
    """An attempt that waits for a file."""
    file = tmp_path / "go-on"
    return served.order(served.specs(TASKS)("waits"), file=str(file)), file


async def pid_of(file: Path) -> int:
    written = file.with_name(f"{file.name}.pid")
    await eventually(lambda: written.exists() and written.read_text() != "", within_s=20)
    return int(written.read_text())


async def begun(
    executor: HostedExecutor, served: Served, tmp_path: Path
) -> tuple[AttemptOrder, Path, asyncio.Future[AttemptEnd], int]:
    """An attempt that runs until there is a file: its order, that file, its end, and its process."""
    order, file = waiting(served, tmp_path)
    running = asyncio.ensure_future(executor.run_attempt(order, lambda: None))
    return order, file, running, await pid_of(file)


def done(end: AttemptEnd) -> object:
    assert end.failure is None, end.failure
    assert end.outputs is not None
    return value_of(Outputs.FromString(end.outputs))


async def left(executor: HostedExecutor, running: asyncio.Future[AttemptEnd]) -> None:
    """The server of that executor has ended."""
    await executor.leave()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_ends_are_those_of_the_attempts(served: Served, servers: Servers, tmp_path: Path) -> None:
    executor = await servers.next()
    order, file = waiting(served, tmp_path)
    file.touch()
    started: list[bool] = []
    assert done(await executor.run_attempt(order, lambda: started.append(True))) == "done"
    assert started == [True]
    end = await executor.run_attempt(served.order(served.specs(TASKS)("fails")), lambda: None)
    assert end.failure is not None
    assert (end.failure.code, end.failure.recoverable) == ("ValueError", True)
    assert executor.capacity.cpu_millis > 0


async def test_attempt_goes_on_without_its_server_and_meets_the_next(
    served: Served, servers: Servers, tmp_path: Path
) -> None:
    first = await servers.next()
    order, file, running, pid = await begun(first, served, tmp_path)
    await left(first, running)
    second = await servers.next()
    assert second.knows(order.key)
    started: list[bool] = []
    again = asyncio.ensure_future(second.run_attempt(order, lambda: started.append(True)))
    file.touch()
    assert done(await again) == "done"
    assert started == [True]
    assert not runs(pid)


async def test_end_that_no_server_has_heard_of_is_told_the_next(
    served: Served, servers: Servers, tmp_path: Path
) -> None:
    first = await servers.next()
    order, file, running, pid = await begun(first, served, tmp_path)
    await left(first, running)
    file.touch()
    await eventually(lambda: not runs(pid))
    second = await servers.next()
    assert done(await second.run_attempt(order, lambda: None)) == "done"
    second.forget(order.key)
    assert not (await servers.next()).knows(order.key)


async def test_attempt_that_the_next_server_does_not_want_is_killed(
    served: Served, servers: Servers, tmp_path: Path
) -> None:
    first = await servers.next()
    _, _, running, pid = await begun(first, served, tmp_path)
    await left(first, running)
    second = await servers.next()
    second.keep_known(set())
    await eventually(lambda: not runs(pid))


async def test_cancelled_attempt_is_gone(served: Served, servers: Servers, tmp_path: Path) -> None:
    executor = await servers.next()
    order, _, running, pid = await begun(executor, served, tmp_path)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not runs(pid)
    assert not executor.knows(order.key)


async def test_host_that_is_killed_loses_its_attempts_and_another_one_runs_the_next(
    served: Served, servers: Servers, tmp_path: Path
) -> None:
    executor = await servers.next()
    order, file, running, pid = await begun(executor, served, tmp_path)
    host = executor.host_pid
    os.kill(host, signal.SIGKILL)
    with pytest.raises(AttemptLostError, match="host"):
        await running
    await eventually(lambda: not runs(pid))
    file.touch()
    assert done(await executor.run_attempt(order, lambda: None)) == "done"
    assert executor.host_pid != host


async def test_attempt_that_is_cancelled_at_once_is_gone(served: Served, servers: Servers, tmp_path: Path) -> None:
    executor = await servers.next()
    order, _ = waiting(served, tmp_path)
    running = asyncio.ensure_future(executor.run_attempt(order, lambda: None))
    # It is ordered, and no more: the host reads that and the end of it in one go.
    await asyncio.sleep(0)
    running.cancel()
    async with asyncio.timeout(20):
        with pytest.raises(asyncio.CancelledError):
            await running
    assert not (await servers.next()).knows(order.key)


async def test_cancelled_attempt_is_gone_however_often_it_is_cancelled(
    served: Served, servers: Servers, tmp_path: Path
) -> None:
    executor = await servers.next()
    order, _, running, pid = await begun(executor, served, tmp_path)
    for _ in range(3):
        running.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not runs(pid)
    assert not (await servers.next()).knows(order.key)


async def test_spec_that_is_let_go_of_at_once_is_there_for_the_attempt(
    served: Served, servers: Servers, tmp_path: Path
) -> None:
    executor = await servers.next()
    order, file = waiting(served, tmp_path)
    file.touch()
    running = asyncio.ensure_future(executor.run_attempt(order, lambda: None))
    await asyncio.sleep(0)
    executor.release(order.spec_digest)
    assert done(await running) == "done"


async def test_host_that_cannot_be_started_loses_the_attempt(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = HostedExecutor(HostSettings(home=served.home, endpoint="localhost:1"))
    order, _ = waiting(served, tmp_path)
    monkeypatch.setattr("sys.executable", str(tmp_path / "no-python"))
    with pytest.raises(AttemptLostError, match="no-python"):
        await executor.run_attempt(order, lambda: None)


async def test_close_leaves_no_host_that_nobody_waited_for(served: Served, tmp_path: Path) -> None:
    executor = HostedExecutor(HostSettings(home=served.home, endpoint="localhost:1"))
    order, _ = waiting(served, tmp_path)
    running = asyncio.ensure_future(executor.run_attempt(order, lambda: None))
    await eventually(lambda: bool(hosts(served.home)))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await executor.close()
    assert hosts(served.home) == []


async def test_attempts_that_were_taken_for_lost_are_killed(served: Served, servers: Servers, tmp_path: Path) -> None:
    executor = await servers.next()
    order, _, running, pid = await begun(executor, served, tmp_path)
    assert executor._writer is not None
    executor._writer.close()
    with pytest.raises(AttemptLostError):
        await running
    await executor.start()
    assert not executor.knows(order.key)
    await eventually(lambda: not runs(pid))


def hosts(home: Path) -> list[int]:
    """The processes above attempts of that home folder."""
    return [
        each.pid
        for each in psutil.process_iter(["cmdline"])
        if {str(home), "flyte._server.executors.host"} <= set(each.info["cmdline"] or ())
    ]
