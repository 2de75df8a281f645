"""Logs as streams: what is there, and what comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.dataproxy.dataproxy_service_pb2 import TailLogsRequest
from flyteidl2.logs.dataplane.payload_pb2 import LogLine, LogLineOriginator
from flyteidl2.workflow import run_logs_service_pb2 as run_logs

from flyte.models import ActionPhase
from tests.server.app.conftest import Serve
from tests.server.app.data_plane import DataServer, action_id, data_server, printed
from tests.server.scheduler.scripted import SUCCESS, fails, spec


@pytest.fixture
async def server(serve: Serve, flyte_home: Path) -> AsyncIterator[DataServer]:
    """A server with the services of data."""
    async with data_server(serve, flyte_home) as started:
        yield started


async def lines_of(server: DataServer, attempt: int = 1, name: str = "a0") -> AsyncIterator[LogLine]:
    """The lines of a stream."""
    async for message in server.client.tail_logs(TailLogsRequest(action_id=action_id(name), attempt=attempt)):
        for logs in message.logs:
            for line in logs.lines:
                yield line


async def all_lines(server: DataServer, attempt: int = 1) -> list[str]:
    """All that a stream says until it ends."""
    async with asyncio.timeout(5):
        return [line.message async for line in lines_of(server, attempt)]


async def test_lines_come_while_the_attempt_runs_and_the_stream_ends_with_it(server: DataServer) -> None:
    await server.plane.run()
    attempt = await server.plane.executor.attempt("a0")
    printed(server.home, "first", "second")
    lines = lines_of(server)
    assert [(await anext(lines)).message for _ in range(2)] == ["first\n", "second\n"]
    printed(server.home, "third")
    async with asyncio.timeout(5):
        third = await anext(lines)
    assert (third.message, third.originator) == ("third\n", LogLineOriginator.USER)
    assert abs(third.timestamp.ToDatetime().timestamp() - time.time()) < 86_400
    printed(server.home, "last")
    attempt.end(SUCCESS)
    async with asyncio.timeout(5):
        assert [line.message async for line in lines] == ["last\n"]


async def test_a_stream_that_has_nothing_to_say_is_there_at_once(server: DataServer) -> None:
    await server.plane.run()
    attempt = await server.plane.executor.attempt("a0")
    messages = aiter(server.client.tail_logs(TailLogsRequest(action_id=action_id(), attempt=1)))
    async with asyncio.timeout(2):
        assert not (await anext(messages)).logs
    attempt.end(SUCCESS)
    async with asyncio.timeout(5):
        assert [message async for message in messages] == []


async def test_each_attempt_has_its_lines_also_long_after(server: DataServer) -> None:
    await server.plane.run(spec("env.root", retries={"retries": 1}))
    for number, end in ((1, fails()), (2, SUCCESS)):
        attempt = await server.plane.executor.attempt("a0", number)
        printed(server.home, f"of {number}", attempt_no=number)
        attempt.end(end)
    await server.plane.until("a0", ActionPhase.SUCCEEDED)
    assert await all_lines(server, 1) == ["of 1\n"]
    assert await all_lines(server, 2) == ["of 2\n"]


async def test_a_long_log_comes_whole_and_in_order(server: DataServer) -> None:
    await server.plane.run()
    attempt = await server.plane.executor.attempt("a0")
    texts = [f"line {number}" for number in range(2_345)]
    printed(server.home, *texts)
    attempt.end(SUCCESS)
    assert await all_lines(server) == [f"{text}\n" for text in texts]


async def test_what_a_task_has_written_into_its_log_itself_is_shown(server: DataServer) -> None:
    await server.plane.run()
    attempt = await server.plane.executor.attempt("a0")
    printed(server.home, "fine")
    with (server.home / "runs/r/a0/attempt-1.log").open("ab") as file:
        file.write(b"garbage \xff that has no time of its own at all\n")
    attempt.end(SUCCESS)
    lines = await all_lines(server)
    assert lines[0] == "fine\n"
    assert len(lines) == 2


async def test_an_ended_attempt_that_printed_nothing_has_an_empty_log(server: DataServer) -> None:
    await server.plane.run()
    (await server.plane.executor.attempt("a0")).end(SUCCESS)
    await server.plane.until("a0", ActionPhase.SUCCEEDED)
    assert await all_lines(server) == []


@pytest.mark.parametrize(
    ("name", "run", "attempt", "code"),
    [
        ("a0", "r", 2, Code.NOT_FOUND),
        ("a0", "nothing", 1, Code.NOT_FOUND),
        ("nothing", "r", 1, Code.NOT_FOUND),
        ("a0", "r", 0, Code.INVALID_ARGUMENT),
        ("a0", "../r", 1, Code.INVALID_ARGUMENT),
        ("", "r", 1, Code.INVALID_ARGUMENT),
    ],
)
async def test_a_log_that_there_is_not_is_told(
    server: DataServer, name: str, run: str, attempt: int, code: Code
) -> None:
    await server.plane.run()
    await server.plane.executor.attempt("a0")
    with pytest.raises(ConnectError) as data:
        async for _ in server.client.tail_logs(TailLogsRequest(action_id=action_id(name, run), attempt=attempt)):
            pass
    with pytest.raises(ConnectError) as logs:
        async for _ in server.logs.tail_logs(run_logs.TailLogsRequest(action_id=action_id(name, run), attempt=attempt)):
            pass
    assert (data.value.code, logs.value.code) == (code, code)


async def test_both_services_give_the_same_lines(server: DataServer) -> None:
    await server.plane.run()
    printed(server.home, "one", "two")
    (await server.plane.executor.attempt("a0")).end(SUCCESS)
    request = run_logs.TailLogsRequest(action_id=action_id(), attempt=1)
    messages = [message async for message in server.logs.tail_logs(request)]
    lines = [line for message in messages for logs in message.logs for line in logs.lines]
    assert [line.message for line in lines] == await all_lines(server)


async def test_a_reader_that_goes_leaves_nothing_behind(server: DataServer) -> None:
    await server.plane.run()
    attempt = await server.plane.executor.attempt("a0")
    printed(server.home, "one")
    lines = lines_of(server)
    await anext(lines)
    assert server.served.streams.total == 1
    await lines.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(5):
        while server.served.streams.total or server.plane.scheduler.streams:
            await asyncio.sleep(0.01)
    attempt.end(SUCCESS)
