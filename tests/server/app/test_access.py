"""Who may ask a server for anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from connectrpc.code import Code
from flyteidl2.auth.identity_connect import IdentityServiceASGIApplication
from hypothesis import given
from hypothesis import strategies as st

from flyte._server.access import Access, AccessRefusedError
from flyte._server.services.identity import IdentityService
from flyte._server.tokens import TokenStore
from tests.server.app.conftest import TASK_TOKEN, Serve
from tests.server.app.messages import STREAM, UNARY, envelope, stream_end

IDENTITY = (IdentityServiceASGIApplication, IdentityService())
USER_INFO = "/flyteidl2.auth.IdentityService/UserInfo"


async def test_requests_of_this_machine_need_no_token(serve: Serve) -> None:
    server = await serve(IDENTITY)
    assert (await server.http.post(USER_INFO, json={})).json()["subject"] == "tester"


async def test_where_tokens_are_required_only_theirs_are_answered(serve: Serve) -> None:
    server = await serve(IDENTITY, requires_token=True)
    token = server.tokens.create("ada")
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {token}"}):
        answer = await server.http.post(USER_INFO, headers={**UNARY, **headers})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    answer = await server.http.post(USER_INFO, json={}, headers={"authorization": f"Bearer {token}"})
    assert answer.json()["subject"] == "ada"
    answer = await server.http.post(USER_INFO, json={}, headers={"authorization": f"bearer {TASK_TOKEN}"})
    assert answer.json()["subject"] == "tester"


async def test_a_deleted_token_is_refused_at_once_also_where_none_is_needed(serve: Serve) -> None:
    server = await serve(IDENTITY)
    token = server.tokens.create("ada")
    headers = {**UNARY, "authorization": f"Bearer {token}"}
    assert (await server.http.post(USER_INFO, headers=headers)).status_code == 200
    TokenStore(server.home).delete("ada")
    answer = await server.http.post(USER_INFO, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_without_a_token_everything_but_health_is_closed(serve: Serve) -> None:
    server = await serve(requires_token=True)
    for path in ("/metrics", "/v2/x", "/nothing"):
        answer = await server.http.get(path)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), path
    assert (await server.http.get("/healthz")).status_code == 200
    assert (await server.http.get("/readyz")).status_code == 200


async def test_a_stream_without_a_token_ends_with_that_error(serve: Serve) -> None:
    server = await serve(requires_token=True)
    path = "/flyteidl2.workflow.RunService/WatchRuns"
    answer = await server.http.post(path, headers=STREAM, content=envelope(b""))
    assert stream_end(answer.content)["error"]["code"] == "unauthenticated"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:30080", "localhost.evil.example", "[::bad", ""])
async def test_a_foreign_name_in_the_host_header_is_refused(serve: Serve, host: str) -> None:
    server = await serve(IDENTITY)
    for path in ("/healthz", USER_INFO, "/upload/a/b"):
        assert (await server.http.post(path, headers={"host": host})).status_code == 403


@pytest.mark.parametrize(
    "host", ["localhost:1", "127.0.0.1", "[::1]:30080", "flyte.localhost", "10.1.2.3:80", "my.lan"]
)
async def test_names_of_the_server_and_addresses_are_not(serve: Serve, host: str) -> None:
    server = await serve(hosts=("my.lan",))
    assert (await server.http.get("/healthz", headers={"host": host})).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", "http://localhost.evil:80"])
async def test_pages_of_other_sites_are_refused(serve: Serve, origin: str) -> None:
    server = await serve(IDENTITY)
    for path in ("/healthz", "/metrics", "/download/x"):
        assert (await server.http.get(path, headers={"origin": origin})).status_code == 403
    answer = await server.http.post(USER_INFO, headers={**UNARY, "origin": origin})
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
    own = await server.http.post(USER_INFO, headers={**UNARY, "origin": server.url})
    assert own.status_code == 200


def _scope(peer: str, **headers: str) -> dict[str, object]:
    named = {"host": "localhost", **headers}
    return {"client": (peer, 1), "headers": [(k.encode(), v.encode("latin-1")) for k, v in named.items()]}


def test_another_machine_needs_a_token(flyte_home: Path) -> None:
    access = Access(TokenStore(flyte_home), "me", requires_token=False, task_token=TASK_TOKEN)
    token = TokenStore(flyte_home).create("ada")
    for peer in ("10.0.0.7", "192.168.1.2", "2001:db8::1", "", "localhost"):
        with pytest.raises(AccessRefusedError) as refused:
            access.admit(_scope(peer))
        assert refused.value.code == Code.UNAUTHENTICATED
        assert access.admit(_scope(peer, authorization=f"Bearer {token}")).subject == "ada"
    with pytest.raises(AccessRefusedError):
        access.admit(_scope("::ffff:10.0.0.7"))
    # As a socket of all addresses shows a caller of this machine.
    assert access.admit(_scope("::ffff:127.0.0.1")).subject == "me"
    assert access.admit(_scope("::1")).subject == access.admit(_scope("127.0.0.9")).subject == "me"


@given(st.text(st.characters(max_codepoint=255), max_size=80))
def test_no_guess_is_a_token(guess: str) -> None:
    access = Access(TokenStore(Path("/nonexistent")), "me", requires_token=True, task_token=TASK_TOKEN)
    with pytest.raises(AccessRefusedError):
        access.admit(_scope("127.0.0.1", authorization=f"Bearer {guess}"))
