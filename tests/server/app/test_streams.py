"""Streams end when their caller goes, and when the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.workflow.queue_service_connect import QueueServiceASGIApplication
from flyteidl2.workflow.queue_service_pb2 import EnqueueActionResponse
from flyteidl2.workflow.state_service_connect import StateServiceASGIApplication, StateServiceClient
from flyteidl2.workflow.state_service_pb2 import WatchRequest, WatchResponse

from tests.server.app.conftest import Serve
from tests.server.app.messages import STREAM, UNARY, envelope

WATCH = "/flyteidl2.workflow.StateService/Watch"


class Watched:
    """Says one thing, and then waits for ever."""

    def __init__(self, *, says_something: bool = True) -> None:
        self.waiting = 0
        self.ended: list[str] = []
        self._says_something = says_something

    def __getattr__(self, name: str) -> Any:
        async def missing(request: Any, ctx: Any) -> Any:
            raise NotImplementedError(name)

        return missing

    async def watch(self, request: WatchRequest, ctx: Any) -> AsyncIterator[WatchResponse]:
        if self._says_something:
            yield WatchResponse()
        self.waiting += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        finally:
            self.waiting -= 1


async def eventually(condition: Callable[[], bool], within_s: float = 5) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("says_something", [True, False])
async def test_a_handler_that_waits_is_cancelled_when_its_caller_goes(serve: Serve, *, says_something: bool) -> None:
    service = Watched(says_something=says_something)
    server = await serve((StateServiceASGIApplication, service))
    async with httpx.AsyncClient(base_url=server.url) as http:
        request = http.build_request("POST", WATCH, headers=STREAM, content=envelope(b""))
        sending = asyncio.create_task(http.send(request, stream=True))
        await eventually(lambda: service.waiting == 1)
        assert server.streams.total == 1
        if says_something:
            await (await sending).aclose()
        else:
            sending.cancel()
            await asyncio.wait([sending])
    await eventually(lambda: server.streams.total == 0)
    assert service.ended == ["cancelled"]
    assert 'code="canceled",method="Watch"' in (await server.http.get("/metrics")).text


async def test_when_the_server_stops_streams_end_as_unavailable(serve: Serve) -> None:
    service = Watched()
    server = await serve((StateServiceASGIApplication, service))
    async with StateServiceClient(server.url) as client:

        async def read() -> None:
            async for _ in client.watch(WatchRequest()):
                pass

        reading = asyncio.create_task(read())
        await eventually(lambda: service.waiting == 1)
        await server.streams.stop()
        with pytest.raises(ConnectError, match="stops") as ended:
            await asyncio.wait_for(reading, 5)
    assert ended.value.code == Code.UNAVAILABLE
    assert service.waiting == server.streams.total == 0


async def test_one_peer_has_so_many_streams_and_no_more(serve: Serve) -> None:
    service = Watched()
    server = await serve((StateServiceASGIApplication, service), max_streams=2)
    async with StateServiceClient(server.url) as client:

        async def read() -> None:
            async for _ in client.watch(WatchRequest()):
                pass

        reading = [asyncio.create_task(read()) for _ in range(2)]
        await eventually(lambda: service.waiting == 2)
        with pytest.raises(ConnectError, match="2 open streams") as refused:
            await read()
        assert refused.value.code == Code.RESOURCE_EXHAUSTED
        reading[0].cancel()
        await eventually(lambda: server.streams.total == 1)
        reading[0] = asyncio.create_task(read())
        await eventually(lambda: service.waiting == 2)
        for each in reading:
            each.cancel()
        await asyncio.wait(reading)


async def test_a_unary_call_goes_on_when_its_caller_goes(serve: Serve) -> None:
    began, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    class Slow(Watched):
        async def enqueue_action(self, request: Any, ctx: Any) -> EnqueueActionResponse:
            began.set()
            await may_end.wait()
            ended.set()
            return EnqueueActionResponse()

    server = await serve((QueueServiceASGIApplication, Slow()))
    async with httpx.AsyncClient(base_url=server.url) as http:
        sending = asyncio.create_task(http.post("/flyteidl2.workflow.QueueService/EnqueueAction", headers=UNARY))
        await asyncio.wait_for(began.wait(), 5)
        sending.cancel()
        await asyncio.wait([sending])
    may_end.set()
    # What has begun to be recorded is recorded to its end.
    await asyncio.wait_for(ended.wait(), 5)
