"""The services of data, of access and of logs, asked with garbage through the whole application.

`FLYTE_FUZZ_CALLS=5000` makes so many calls of each RPC; without it there are few.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from flyteidl2.auth import auth_service_pb2, identity_pb2
from flyteidl2.auth.auth_service_connect import AuthMetadataServiceASGIApplication
from flyteidl2.auth.identity_connect import IdentityServiceASGIApplication
from flyteidl2.cluster import service_pb2
from flyteidl2.cluster.service_connect import ClusterServiceASGIApplication
from flyteidl2.dataproxy import dataproxy_service_pb2
from flyteidl2.dataproxy.dataproxy_service_pb2 import CreateUploadLocationResponse
from flyteidl2.workflow import run_logs_service_pb2
from google.protobuf.message_factory import GetMessageClass

from flyte._server.services.auth_metadata import AuthMetadataService
from flyte._server.services.cluster import ClusterService
from flyte._server.services.identity import IdentityService
from tests.server.app.conftest import Serve
from tests.server.app.data_plane import DataServer, data_server, printed
from tests.server.app.messages import STREAM, UNARY, envelope, stream_end
from tests.server.scheduler.scripted import SUCCESS
from tests.server.services.garbage import fill, tameness

CALLS = int(os.environ.get("FLYTE_FUZZ_CALLS", "40"))
DECLARED = {None, "invalid_argument", "not_found", "failed_precondition", "resource_exhausted"}
DATA = [
    dataproxy_service_pb2.DESCRIPTOR.services_by_name["DataProxyService"],
    run_logs_service_pb2.DESCRIPTOR.services_by_name["RunLogsService"],
]
OTHERS = [
    service_pb2.DESCRIPTOR.services_by_name["ClusterService"],
    identity_pb2.DESCRIPTOR.services_by_name["IdentityService"],
    auth_service_pb2.DESCRIPTOR.services_by_name["AuthMetadataService"],
]


async def code_of(http: httpx.AsyncClient, method: Any, request: bytes) -> tuple[str | None, bytes]:
    """The code of an answer, None for a good one, and the answer."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    if method.server_streaming:
        answer = await http.post(path, headers=STREAM, content=envelope(request))
        assert answer.status_code == 200
        return stream_end(answer.content).get("error", {}).get("code"), answer.content
    answer = await http.post(path, headers=UNARY, content=request)
    code = None if answer.status_code == 200 else answer.json()["code"]
    return code, answer.content


@pytest.mark.parametrize("service", DATA, ids=lambda service: service.name)
async def test_garbage_is_answered_with_declared_errors_and_nothing_is_outside_the_home(
    serve: Serve, flyte_home: Path, service: Any, caplog: pytest.LogCaptureFixture
) -> None:
    before = {path.name for path in flyte_home.parent.iterdir()}
    answers: Counter[tuple[str, str | None]] = Counter()
    async with data_server(serve, flyte_home) as server:
        # It has ended, so that no stream goes on.
        await server.plane.run()
        printed(server.home, "one line")
        (await server.plane.executor.attempt("a0")).end(SUCCESS)
        for method in service.methods:
            random = Random(f"{service.full_name}.{method.name}")
            for _ in range(CALLS):
                request = fill(random, GetMessageClass(method.input_type)(), tameness(random))
                code, answer = await code_of(server.served.http, method, request.SerializeToString())
                assert code in DECLARED, f"{method.full_name}: {code}\n{request}"
                answers[method.name, code] += 1
                if method.name == "CreateUploadLocation" and code is None:
                    await put_to(server, CreateUploadLocationResponse.FromString(answer))
    assert answers.total() == CALLS * len(service.methods)
    assert any(code is None for _, code in answers)
    assert {path.name for path in flyte_home.parent.iterdir()} == before
    assert not [record for record in caplog.records if record.name.startswith("flyte")]


async def put_to(server: DataServer, location: CreateUploadLocationResponse) -> None:
    """Whatever can be put to a link is below the folder of uploads."""
    path = Path(os.path.normpath(location.native_url))
    assert path.is_relative_to(server.home / "uploads")
    answer = await server.served.http.put(location.signed_url, content=b"data")
    assert answer.status_code in (200, 400, 409, 413), answer.text
    assert await asyncio.to_thread(path.is_file) or answer.status_code != 200


async def test_garbage_asks_nothing_of_what_answers_everybody_alike(serve: Serve) -> None:
    server = await serve(
        (ClusterServiceASGIApplication, ClusterService()),
        (IdentityServiceASGIApplication, IdentityService()),
        (AuthMetadataServiceASGIApplication, AuthMetadataService()),
    )
    for service in OTHERS:
        for method in service.methods:
            random = Random(method.full_name)
            for _ in range(CALLS):
                request = fill(random, GetMessageClass(method.input_type)(), tameness(random))
                code, _ = await code_of(server.http, method, request.SerializeToString())
                assert code == ("unimplemented" if method.name == "GetOAuth2Metadata" else None)
