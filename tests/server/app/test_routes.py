"""What is at which address of a server."""

from __future__ import annotations

import json

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.app.app_payload_pb2 import ListRequest
from flyteidl2.app.app_service_connect import AppServiceClient
from flyteidl2.auth.auth_service_connect import AuthMetadataServiceASGIApplication, AuthMetadataServiceClient
from flyteidl2.auth.auth_service_pb2 import GetOAuth2MetadataRequest, GetPublicClientConfigRequest
from flyteidl2.auth.identity_connect import IdentityServiceASGIApplication, IdentityServiceClient
from flyteidl2.auth.identity_pb2 import UserInfoRequest
from flyteidl2.cluster.payload_pb2 import SelectClusterRequest
from flyteidl2.cluster.service_connect import ClusterServiceASGIApplication, ClusterServiceClient

from flyte._server.services.auth_metadata import AuthMetadataService
from flyte._server.services.cluster import ClusterService
from flyte._server.services.identity import IdentityService
from tests.server.app.conftest import Serve
from tests.server.app.messages import STREAM, UNARY, envelope, stream_end

CLUSTER = (ClusterServiceASGIApplication, ClusterService())
IDENTITY = (IdentityServiceASGIApplication, IdentityService())
LOGIN = (AuthMetadataServiceASGIApplication, AuthMetadataService())


async def test_clients_of_the_protocol_call_services_by_their_paths(serve: Serve) -> None:
    server = await serve(CLUSTER, IDENTITY)
    async with ClusterServiceClient(server.url) as cluster, IdentityServiceClient(server.url) as identity:
        request = SelectClusterRequest(operation=SelectClusterRequest.Operation.OPERATION_CREATE_UPLOAD_LOCATION)
        selected = await cluster.select_cluster(request)
        user = await identity.user_info(UserInfoRequest())
    assert selected.cluster_endpoint == ""
    assert (user.subject, user.name) == ("tester", "tester")


async def test_a_service_that_is_not_offered_is_unimplemented_with_a_message(serve: Serve) -> None:
    server = await serve(CLUSTER)
    async with AppServiceClient(server.url) as apps:
        with pytest.raises(ConnectError) as refused:
            await apps.list(ListRequest())
    assert refused.value.code == Code.UNIMPLEMENTED
    assert "flyteidl2.app.AppService" in refused.value.message


async def test_a_method_that_no_service_has_is_unimplemented(serve: Serve) -> None:
    server = await serve(CLUSTER)
    answer = await server.http.post("/flyteidl2.cluster.ClusterService/Explode", headers=UNARY)
    assert answer.status_code == 501
    assert answer.json()["code"] == "unimplemented"
    assert "ClusterService/Explode" in answer.json()["message"]


async def test_a_stream_that_is_not_offered_ends_with_the_same_error(serve: Serve) -> None:
    server = await serve()
    path = "/flyteidl2.workflow.RunService/WatchRuns"
    answer = await server.http.post(path, headers=STREAM, content=envelope(b""))
    assert answer.status_code == 200
    assert stream_end(answer.content)["error"]["code"] == "unimplemented"


async def test_calls_are_made_with_post(serve: Serve) -> None:
    server = await serve(CLUSTER)
    answer = await server.http.get("/flyteidl2.cluster.ClusterService/SelectCluster")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_there_is_nothing_elsewhere(serve: Serve) -> None:
    server = await serve(CLUSTER)
    for path in ("/", "/index.html", "/flyteidl2.cluster.ClusterService", "/favicon.ico", "/..%2fstore.db"):
        answer = await server.http.get(path)
        assert answer.status_code == 404, path


async def test_the_page_of_a_run_says_which_it_is(serve: Serve) -> None:
    server = await serve()
    answer = await server.http.get("/v2/domain/development/project/flytesnacks/runs/r123")
    assert answer.status_code == 200
    assert "Run r123 of project flytesnacks, domain development" in answer.text
    assert answer.headers["content-type"].startswith("text/plain")


async def test_life_and_readiness_are_told_apart(serve: Serve) -> None:
    async def broken() -> None:
        raise OSError("the disk is gone")

    well, ill = await serve(), await serve(check=broken)
    assert (await well.http.get("/readyz")).json() == {"status": "ready"}
    assert (await ill.http.get("/healthz")).json()["status"] == "ok"
    answer = await ill.http.get("/readyz")
    assert (answer.status_code, answer.json()["reason"]) == (503, "the disk is gone")
    well.health.is_ready = False
    assert (await well.http.get("/readyz")).status_code == 503


async def test_metrics_count_calls_by_code_and_tell_what_is_open(serve: Serve) -> None:
    server = await serve(CLUSTER, LOGIN)
    path = "/flyteidl2.cluster.ClusterService/SelectCluster"
    for _ in range(3):
        assert (await server.http.post(path, headers=UNARY)).status_code == 200
    await server.http.post("/flyteidl2.auth.AuthMetadataService/GetOAuth2Metadata", headers=UNARY)
    await server.http.post(path, headers=UNARY, content=b"\xff\xff")
    text = (await server.http.get("/metrics")).text
    labels = 'method="SelectCluster",service="flyteidl2.cluster.ClusterService"'
    assert f'flyte_rpc_total{{code="ok",{labels}}} 3.0' in text
    assert f'flyte_rpc_total{{code="invalid_argument",{labels}}} 1.0' in text
    assert f"flyte_rpc_seconds_count{{{labels}}} 3.0" in text
    assert 'code="unimplemented",method="GetOAuth2Metadata"' in text
    assert 'flyte_open_runs{phase="running"} 2.0' in text
    assert 'flyte_open_actions{phase="queued"} 7.0' in text
    assert "flyte_open_attempts 3.0" in text
    assert "flyte_open_streams 0.0" in text
    assert "process_resident_memory_bytes" in text


async def test_a_client_that_looks_for_a_login_is_told_how_tokens_are_sent(serve: Serve) -> None:
    server = await serve(LOGIN, requires_token=True)
    async with AuthMetadataServiceClient(server.url) as login:
        config = await login.get_public_client_config(GetPublicClientConfigRequest())
        with pytest.raises(ConnectError, match="ExternalCommand") as refused:
            await login.get_o_auth2_metadata(GetOAuth2MetadataRequest())
    assert config.authorization_metadata_key == "authorization"
    assert refused.value.code == Code.UNIMPLEMENTED


async def test_messages_may_be_json(serve: Serve) -> None:
    server = await serve(IDENTITY)
    answer = await server.http.post("/flyteidl2.auth.IdentityService/UserInfo", json={})
    assert json.loads(answer.content)["subject"] == "tester"
