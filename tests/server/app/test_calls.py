"""What every call gets: its errors as codes, its garbage refused."""

from __future__ import annotations

import gzip
import logging
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.common.identifier_pb2 import RunIdentifier
from flyteidl2.workflow.run_service_connect import RunServiceASGIApplication, RunServiceClient
from flyteidl2.workflow.run_service_pb2 import (
    AbortRunRequest,
    AbortRunResponse,
    GetRunDetailsRequest,
    WatchRunsRequest,
    WatchRunsResponse,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyte._server import refusals
from flyte.errors import DataNotFoundError, RunNotFoundError, RuntimeUserError, StoreError
from tests.server.app.conftest import Serve
from tests.server.app.messages import STREAM, UNARY, envelope, stream_end

ABORT = "/flyteidl2.workflow.RunService/AbortRun"
WATCH = "/flyteidl2.workflow.RunService/WatchRuns"


class Runs:
    """Does what the test says."""

    error: Exception | None = None
    asked: list[Any]

    def __init__(self) -> None:
        self.asked = []

    def __getattr__(self, name: str) -> Any:
        async def missing(request: Any, ctx: Any) -> Any:
            raise NotImplementedError(name)

        return missing

    async def abort_run(self, request: AbortRunRequest, ctx: Any) -> AbortRunResponse:
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        return AbortRunResponse()

    async def watch_runs(self, request: WatchRunsRequest, ctx: Any) -> AsyncIterator[WatchRunsResponse]:
        yield WatchRunsResponse()
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (refusals.InvalidRequestError("no"), Code.INVALID_ARGUMENT),
        (refusals.UnknownError("no"), Code.NOT_FOUND),
        (refusals.AlreadyThereError("no"), Code.ALREADY_EXISTS),
        (refusals.NotNowError("no"), Code.FAILED_PRECONDITION),
        (refusals.RunAbortedError("no"), Code.ABORTED),
        (refusals.TooBusyError("no"), Code.RESOURCE_EXHAUSTED),
        (RunNotFoundError("no"), Code.NOT_FOUND),
        (DataNotFoundError("/x", "no"), Code.NOT_FOUND),
        (RuntimeUserError("Bad", "no"), Code.INVALID_ARGUMENT),
        (StoreError("no"), Code.UNAVAILABLE),
        (ConnectError(Code.OUT_OF_RANGE, "no"), Code.OUT_OF_RANGE),
    ],
)
async def test_errors_have_their_codes_in_answers_and_in_streams(serve: Serve, error: Exception, code: Code) -> None:
    runs = Runs()
    runs.error = error
    server = await serve((RunServiceASGIApplication, runs))
    async with RunServiceClient(server.url) as client:
        with pytest.raises(ConnectError, match="no") as unary:
            await client.abort_run(AbortRunRequest())
        with pytest.raises(ConnectError, match="no") as stream:
            async for _ in client.watch_runs(WatchRunsRequest()):
                pass
    assert (unary.value.code, stream.value.code) == (code, code)


async def test_what_nobody_foresaw_is_logged_and_told_by_a_reference_alone(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    runs = Runs()
    runs.error = ZeroDivisionError("a secret of the server")
    server = await serve((RunServiceASGIApplication, runs))
    with caplog.at_level(logging.ERROR, "flyte"):
        answer = await server.http.post(ABORT, headers=UNARY)
    # Clients repeat `internal` and `unavailable`, which would not help.
    assert (answer.status_code, answer.json()["code"]) == (500, "unknown")
    assert "secret" not in answer.text
    found = re.search(r"reference ([0-9a-f]{8})", answer.json()["message"])
    assert found is not None
    assert found[1] in caplog.text
    assert "ZeroDivisionError: a secret of the server" in caplog.text
    assert "RunService/AbortRun" in caplog.text


async def test_requests_may_be_packed(serve: Serve) -> None:
    runs = Runs()
    server = await serve((RunServiceASGIApplication, runs))
    request = AbortRunRequest(run_id=RunIdentifier(name="r1"), reason="x" * 1000)
    packed = gzip.compress(request.SerializeToString())
    answer = await server.http.post(ABORT, headers={**UNARY, "content-encoding": "gzip"}, content=packed)
    assert answer.status_code == 200
    assert runs.asked == [request]


GARBAGE = [
    ({}, b"\xff\xff\xff"),
    ({}, b"\x0a\x7f"),
    ({"content-encoding": "gzip"}, b"not packed"),
    ({"content-encoding": "gzip"}, gzip.compress(b"x" * 100)[:-9]),
    ({"content-encoding": "gzip"}, gzip.compress(b"\xff\xff")),
    ({"content-type": "application/json"}, b"{"),
    ({"content-type": "application/json"}, b'{"reason": 5}'),
    ({"content-type": "application/json"}, b'{"nothing": 1}'),
    ({"content-type": "application/json"}, b"[" * 10_000),
    ({"content-type": "application/json"}, b"\xff"),
    ({"connect-timeout-ms": "soon"}, b""),
    ({"connect-protocol-version": "7"}, b""),
    ({"x-request-id": b"\xff\xfe"}, b""),
]


@pytest.mark.parametrize(("headers", "body"), GARBAGE)
async def test_garbage_is_an_invalid_argument(
    serve: Serve, headers: dict[str, Any], body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    runs = Runs()
    server = await serve((RunServiceASGIApplication, runs))
    answer = await server.http.post(ABORT, headers={**UNARY, **headers}, content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_argument")
    assert runs.asked == []
    assert not caplog.records


@pytest.mark.parametrize("body", [b"", b"\0", b"\0\0\0\0\x05ab", envelope(b"\xff\xff"), envelope(b"", 1), b"\xff" * 50])
async def test_a_garbled_stream_ends_with_a_declared_error(
    serve: Serve, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    server = await serve((RunServiceASGIApplication, Runs()))
    answer = await server.http.post(WATCH, headers=STREAM, content=body)
    end = stream_end(answer.content)
    if answer.status_code == 200 and "error" in end:
        assert end["error"]["code"] in ("invalid_argument", "unimplemented")
    else:
        # An empty message, packed or not, is a request that asks for nothing in particular.
        assert body == envelope(b"", 1)
    assert not caplog.records


@pytest.mark.parametrize("packing", [{}, {"connect-content-encoding": "zstd"}, {"connect-content-encoding": "x"}])
async def test_a_stream_that_is_packed_as_nobody_can_unpack_is_no_fault_of_the_server(
    serve: Serve, packing: dict[str, str]
) -> None:
    runs = Runs()
    server = await serve((RunServiceASGIApplication, runs))
    answer = await server.http.post(WATCH, headers={**STREAM, **packing}, content=envelope(b"packed", 1))
    error = stream_end(answer.content)["error"]
    # Clients repeat calls that end with `internal`.
    assert (error["code"], "compress" in error["message"]) == ("invalid_argument", True)
    assert 'code="invalid_argument"' in (await server.http.get("/metrics")).text


async def test_a_request_that_is_too_large_is_refused_packed_or_not(serve: Serve) -> None:
    runs = Runs()
    server = await serve((RunServiceASGIApplication, runs), max_request_bytes=10_000)
    large = AbortRunRequest(reason="x" * 20_000).SerializeToString()
    plain = await server.http.post(ABORT, headers=UNARY, content=large)
    packed = await server.http.post(ABORT, headers={**UNARY, "content-encoding": "gzip"}, content=gzip.compress(large))
    stream = await server.http.post(WATCH, headers=STREAM, content=envelope(large))
    for answer in (plain, packed):
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_argument")
        assert "10000 bytes" in answer.json()["message"]
    assert stream_end(stream.content)["error"]["code"] == "invalid_argument"
    assert runs.asked == []


async def test_answers_to_this_machine_are_not_packed(serve: Serve) -> None:
    server = await serve((RunServiceASGIApplication, Runs()))
    answer = await server.http.post(ABORT, headers={**UNARY, "accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "identity"


async def test_clients_of_grpc_are_told_what_is_spoken_here(serve: Serve) -> None:
    server = await serve((RunServiceASGIApplication, Runs()))
    answer = await server.http.post(ABORT, headers={"content-type": "application/grpc"})
    assert answer.status_code == 415
    assert "Connect" in answer.text


async def test_a_call_that_is_not_there_yet_is_counted_and_told(serve: Serve) -> None:
    server = await serve((RunServiceASGIApplication, Runs()))
    async with RunServiceClient(server.url) as client:
        with pytest.raises(ConnectError) as failed:
            await client.get_run_details(GetRunDetailsRequest())
    assert failed.value.code == Code.UNKNOWN
    assert 'code="unknown",method="GetRunDetails"' in (await server.http.get("/metrics")).text


_HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20).map(str.strip)
_CONTENT_TYPES = st.sampled_from(
    ["application/proto", "application/json", "application/connect+proto", "application/connect+json", "text/html", ""]
)


async def test_whatever_is_sent_the_answer_is_declared(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = await serve((RunServiceASGIApplication, Runs()))
    requests: list[tuple[str, str, dict[str, str], bytes]] = []

    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from([ABORT, WATCH]),
        st.sampled_from(["POST", "GET"]),
        _CONTENT_TYPES,
        _HEADER,
        st.binary(max_size=60),
    )
    def collect(path: str, method: str, content_type: str, encoding: str, body: bytes) -> None:
        headers = {"content-type": content_type, "content-encoding": encoding, "connect-timeout-ms": encoding}
        requests.append((method, path, headers, body))

    collect()
    for method, path, headers, body in requests:
        answer = await server.http.request(method, path, headers=headers, content=body)
        assert answer.status_code < 500 or answer.json()["code"] == "unimplemented", (method, path, headers, body)
    assert not caplog.records
