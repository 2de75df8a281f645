"""Calls of a control plane: addresses, headers, tokens, retries and errors."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import time
from pathlib import Path
from typing import Any

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError

import flyte
import flyte.remote
from conformance.peer import Peer
from flyte._rpc.endpoints import Endpoint
from flyte._rpc.settings import current_session, session_settings
from flyte.errors import InitializationError, ResourceExhaustedError, UnionRpcError


@pytest.mark.parametrize(
    "text", ["host:30080", "dns:///host:30080", "http://host:30080", "https://host:30080/", " host:30080 "]
)
def test_the_scheme_of_an_endpoint_says_nothing_about_tls(text: str) -> None:
    assert Endpoint.parse(text).url == "https://host:30080"
    assert Endpoint.parse(text, insecure=True).url == "http://host:30080"


@pytest.mark.parametrize("text", ["", "ftp://host:1", "host:1/path", "two words:1", "dns:///"])
def test_what_is_no_endpoint_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InitializationError, match="localhost:30080") as caught:
        flyte.init(endpoint=text)
    assert caught.value.code == "InvalidEndpoint"


@pytest.mark.parametrize(
    ("text", "org"),
    [
        ("acme.flyte.example:443", "acme"),
        ("localhost:30080", None),
        ("flyte.example", None),
        ("127.0.0.1:30080", None),
        ("[::1]:30080", None),
    ],
)
def test_the_organisation_is_the_first_of_three_labels_and_never_a_part_of_an_ip_address(
    text: str, org: str | None
) -> None:
    assert Endpoint.parse(text).org == org


def test_init_calls_nobody(peer: Peer) -> None:
    assert session_settings() is not None
    assert peer.recorded == []


def test_without_a_control_plane_the_error_says_how_to_get_one() -> None:
    with pytest.raises(InitializationError, match="flyte start") as caught:
        flyte.remote.Run.get("r1")
    assert caught.value.code == "ClientNotInitializedError"


def test_where_nobody_listens_the_error_comes_soon_and_names_the_address(peer: Peer) -> None:
    peer.stop()
    started = time.monotonic()
    with pytest.raises(UnionRpcError, match=f"no control plane at {peer.endpoint}.*flyte start") as caught:
        flyte.remote.User.get()
    assert caught.value.code == "Unavailable"
    assert time.monotonic() - started < 3


def test_each_call_has_an_id_of_its_own(peer: Peer) -> None:
    flyte.remote.User.get()
    flyte.remote.User.get()
    first, second = (each.headers["x-request-id"] for each in peer.recorded)
    assert first != second


def test_a_token_is_sent_as_a_bearer(peer: Peer) -> None:
    peer.token = "secret-token"
    with pytest.raises(UnionRpcError, match="FLYTE_API_KEY") as caught:
        flyte.remote.User.get()
    assert caught.value.code == "Unauthenticated"
    flyte.init(endpoint=peer.endpoint, insecure=True, api_key="secret-token")
    assert flyte.remote.User.get().subject() == "ada"


def test_a_program_prints_the_token_and_is_run_again_when_it_is_refused(peer: Peer, tmp_path: Path) -> None:
    tokens = tmp_path / "token"
    tokens.write_text("old\n")
    peer.token = "new"
    flyte.init(endpoint=peer.endpoint, insecure=True, auth_type="ExternalCommand", command=["cat", str(tokens)])
    with pytest.raises(UnionRpcError):
        flyte.remote.User.get()
    tokens.write_text("new\n")
    assert flyte.remote.User.get().name() == "Ada Lovelace"
    assert [each.headers["authorization"] for each in peer.recorded][-1] == "Bearer new"


@pytest.mark.parametrize(
    ("command", "reason"),
    [(["/nonexistent"], "cannot be started"), (["false"], "ended with 1"), (["true"], "printed nothing")],
)
def test_a_program_that_prints_no_token_is_named(peer: Peer, command: list[str], reason: str) -> None:
    flyte.init(endpoint=peer.endpoint, insecure=True, command=command)
    with pytest.raises(InitializationError, match=reason) as caught:
        flyte.remote.User.get()
    assert caught.value.code == "TokenCommandFailed"


def test_passthrough_sends_what_each_call_brings(peer: Peer) -> None:
    flyte.init_passthrough(peer.endpoint, insecure=True)
    with pytest.raises(InitializationError, match="auth_metadata"):
        flyte.remote.User.get()
    with flyte.remote.auth_metadata(("Authorization", "Bearer of-a-user")):
        flyte.remote.User.get()
    assert peer.recorded[-1].headers["authorization"] == "Bearer of-a-user"


@pytest.mark.parametrize("auth_type", ["Pkce", "ClientSecret", "DeviceFlow"])
def test_flows_of_oauth_are_refused(auth_type: str) -> None:
    with pytest.raises(InitializationError, match="OAuth") as caught:
        flyte.init(endpoint="localhost:1", auth_type=auth_type)
    assert caught.value.code == "UnsupportedAuthType"


def test_an_api_key_that_packs_a_client_is_refused() -> None:
    key = base64.b64encode(b"host:id:secret:org").decode()
    with pytest.raises(InitializationError, match="OAuth client at 'host'") as caught:
        flyte.init(endpoint="localhost:1", api_key=key)
    assert "secret" not in str(caught.value)


def test_init_in_cluster_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_U_EP_OVERRIDE", "localhost:4711")
    monkeypatch.setenv("_U_ORG_NAME", "acme")
    monkeypatch.setenv("FLYTE_INTERNAL_EXECUTION_PROJECT", "digits")
    monkeypatch.setenv("FLYTE_INTERNAL_EXECUTION_DOMAIN", "staging")
    assert flyte.init_in_cluster() == {"endpoint": "localhost:4711", "insecure": True}
    session = current_session()
    assert (session.org, session.project, session.domain) == ("acme", "digits", "staging")
    assert flyte.current_project() == "digits"
    assert flyte.current_domain() == "staging"


def test_init_from_api_key_takes_the_endpoint_of_the_configuration(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_ADMIN_ENDPOINT", peer.endpoint)
    monkeypatch.setenv("FLYTE_ADMIN_INSECURE", "true")
    with pytest.raises(InitializationError) as caught:
        flyte.init_from_api_key()
    assert caught.value.code == "MissingApiKeyError"
    monkeypatch.setenv("FLYTE_API_KEY", "t")
    flyte.init_from_api_key()
    flyte.remote.User.get()
    assert peer.recorded[-1].headers["authorization"] == "Bearer t"


def test_init_from_api_key_is_set_up_as_the_rest_of_the_configuration_says(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        f"admin:\n  endpoint: {peer.endpoint}\n  insecure: true\n  insecureSkipVerify: true\n"
        "  proxyCommand: [echo, of-the-proxy]\n"
    )
    monkeypatch.setenv("FLYTECTL_CONFIG", str(file))
    flyte.init_from_api_key("t")
    flyte.remote.User.get()
    headers = peer.recorded[-1].headers
    assert (headers["authorization"], headers["proxy-authorization"]) == ("Bearer t", "Bearer of-the-proxy")


def test_an_unavailable_server_is_asked_again(peer: Peer) -> None:
    peer.faults["UserInfo"] = [ConnectError(Code.UNAVAILABLE, "later"), ConnectError(Code.UNAVAILABLE, "later")]
    assert flyte.remote.User.get().subject() == "ada"
    assert len(peer.requests("UserInfo")) == 3


def test_it_is_asked_as_often_as_rpc_retries_says(peer: Peer) -> None:
    flyte.init(endpoint=peer.endpoint, insecure=True, rpc_retries=0)
    peer.faults["UserInfo"] = [ConnectError(Code.UNAVAILABLE, "later")]
    with pytest.raises(UnionRpcError, match="later"):
        flyte.remote.User.get()
    assert len(peer.requests("UserInfo")) == 1


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        (Code.NOT_FOUND, UnionRpcError, "the reason"),
        (Code.INVALID_ARGUMENT, UnionRpcError, "the reason"),
        (Code.PERMISSION_DENIED, UnionRpcError, "the reason"),
        (Code.UNIMPLEMENTED, UnionRpcError, "does not offer IdentityService.UserInfo: the reason"),
        (Code.RESOURCE_EXHAUSTED, ResourceExhaustedError, "the reason"),
        (Code.INTERNAL, UnionRpcError, "the reason"),
    ],
)
def test_an_answer_that_refuses_is_not_asked_again(
    peer: Peer, code: Code, error: type[Exception], message: str
) -> None:
    peer.faults["UserInfo"] = [ConnectError(code, "the reason")]
    with pytest.raises(error, match=message):
        flyte.remote.User.get()
    assert len(peer.requests("UserInfo")) == 1


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of localhost that nobody else has signed, with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names: list[Any] = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    plain = serialization.NoEncryption()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(signed.public_bytes(pem) + key.private_bytes(pem, pkcs8, plain))
    return path


def test_a_certificate_that_is_not_trusted_is_refused_unless_it_is_named_or_not_looked_at(
    tmp_path: Path, certificate: Path
) -> None:
    with Peer(tmp_path / "tls").serving(certificate) as peer:
        flyte.init(endpoint=peer.endpoint)
        with pytest.raises(UnionRpcError, match=r"(?i)certificate"):
            flyte.remote.User.get()
        flyte.init(endpoint=peer.endpoint, ca_cert_file_path=str(certificate))
        assert flyte.remote.User.get().subject() == "ada"
        flyte.init(endpoint=peer.endpoint, insecure_skip_verify=True)
        assert flyte.remote.User.get().subject() == "ada"
        with pytest.raises(InitializationError, match="without TLS"):
            flyte.init(endpoint=peer.endpoint, insecure=True, insecure_skip_verify=True)
