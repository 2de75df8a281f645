"""A server as a process."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flyteidl2.common.identifier_pb2 import ProjectIdentifier, RunIdentifier
from flyteidl2.task.common_pb2 import Inputs
from flyteidl2.task.task_definition_pb2 import TaskSpec
from flyteidl2.workflow.run_service_connect import RunServiceClientSync
from flyteidl2.workflow.run_service_pb2 import CreateRunRequest, GetRunDetailsRequest, WatchRunDetailsRequest

from flyte._server.daemon import start_detached, stop_server
from flyte._server.executors.host_socket import connected
from flyte._server.instances import LOG_FILE, SERVER_FILE, Instance, running_instance
from flyte._server.settings import ServerSettings
from flyte._server.tokens import TokenStore
from flyte._store.database import DATABASE_FILE, connect
from flyte.errors import BaseRuntimeError
from flyte.models import ActionPhase
from tests.processes import are_gone, runs
from tests.server.executors.served import Served

Start = Callable[..., Instance]


@pytest.fixture
def start(flyte_home: Path) -> Iterator[Start]:
    """A server in the background, gone when the test is: `start(port=...)`."""

    def started(**settings: object) -> Instance:
        return start_detached(ServerSettings(**{"home": flyte_home, "port": 0, **settings}))  # type: ignore[arg-type]

    yield started
    if running_instance(flyte_home) is None and (left := connected(flyte_home)) is not None:
        # Attempts of a server that is gone wait for another one, which ends them.
        left.close()
        started()
    instance = running_instance(flyte_home)
    stop_server(flyte_home, 10)
    assert instance is None or are_gone([instance.pid])


def wait_until(condition: Callable[[], bool], within_s: float = 10) -> None:
    """It is so."""
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until, "it is not so"
        time.sleep(0.01)


def refused(start: Start, **settings: object) -> tuple[str, str]:
    """The code and the text with which a start ends."""
    with pytest.raises(BaseRuntimeError) as error:
        start(**settings)
    return error.value.code, str(error.value)


def test_a_server_says_where_it_is_while_it_runs(start: Start, flyte_home: Path) -> None:
    began = time.monotonic()
    instance = start()
    # The target is 1.5 s on a machine that does nothing else.
    assert time.monotonic() - began < 15
    assert running_instance(flyte_home) == instance
    assert json.loads((flyte_home / SERVER_FILE).read_text())["url"] == instance.url
    assert httpx.get(f"{instance.url}/readyz").json() == {"status": "ready"}
    assert os.getsid(instance.pid) == instance.pid
    assert stop_server(flyte_home, 10) == instance
    assert not (flyte_home / SERVER_FILE).exists()
    assert not runs(instance.pid)
    assert stop_server(flyte_home, 10) is None


def test_a_home_that_is_made_is_for_nobody_else(tmp_path: Path) -> None:
    for home in (tmp_path / "new", tmp_path / "tokens", tmp_path / "store"):
        if home.name == "tokens":
            TokenStore(home).create("ada")
        elif home.name == "store":
            connect(home / DATABASE_FILE).close()
        else:
            start_detached(ServerSettings(home=home, port=0))
            stop_server(home, 30)
        assert home.stat().st_mode & 0o777 == 0o700, home


def test_a_home_has_one_server(start: Start, flyte_home: Path) -> None:
    instance = start()
    code, text = refused(start)
    assert code == "ServerRuns"
    assert str(instance.pid) in text
    assert instance.url in text
    assert httpx.get(f"{instance.url}/readyz").status_code == 200


def test_a_port_that_is_in_use_is_named_with_who_uses_it(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, text = refused(start, port=port)
    assert code == "AddressInUse"
    assert f"port {port}" in text
    assert f"process {os.getpid()}" in text


def test_after_a_kill_the_next_server_takes_over(start: Start, flyte_home: Path) -> None:
    first = start()
    os.kill(first.pid, signal.SIGKILL)
    os.waitpid(first.pid, 0)
    # What it has left says nothing any more.
    assert (flyte_home / SERVER_FILE).exists()
    assert running_instance(flyte_home) is None
    second = start(port=port_of(first))
    assert (second.url, second.pid != first.pid) == (first.url, True)
    assert httpx.get(f"{second.url}/readyz").status_code == 200


def test_a_start_that_fails_shows_what_was_logged_last(
    start: Start, flyte_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLYTE_FAULT_POINT", "writer.before_commit")
    code, text = refused(start)
    assert (code, "before it was ready" in text) == ("ServerFailed", True)
    monkeypatch.setenv("FLYTE_FAULT_POINT", "nonsense")
    _, text = refused(start)
    assert str(flyte_home / LOG_FILE) in text
    assert "FLYTE_FAULT_POINT is 'nonsense'" in text
    monkeypatch.delenv("FLYTE_FAULT_POINT")
    start()


def test_a_home_that_cannot_be_used_is_named(start: Start, flyte_home: Path) -> None:
    (flyte_home / "store.db").write_bytes(b"no database at all" * 100)
    code, text = refused(start)
    assert code == "StoreError"
    assert "store.db" in text


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"host": "0.0.0.0"}, "TokenRequired"),
        ({"host": "::"}, "TokenRequired"),
        ({"requires_token": True}, "TokenRequired"),
        ({"host": "203.0.113.7", "tokens": True}, "BadAddress"),
        ({"host": "no.such.host.invalid", "tokens": True}, "BadAddress"),
        ({"tls_key": "key.pem"}, "BadCertificate"),
        ({"tls_cert": "key.pem"}, "BadCertificate"),
        ({"images": ("nonsense",)}, "BadImageMapping"),
        ({"images": ("any:*=/nonexistent",)}, "BadImageMapping"),
    ],
)
def test_what_cannot_be_is_refused(start: Start, flyte_home: Path, settings: dict[str, object], code: str) -> None:
    if settings.pop("tokens", False):
        TokenStore(flyte_home).create("ada")
    for name in ("tls_key", "tls_cert"):
        if name in settings:
            path = flyte_home / str(settings[name])
            path.write_text("no key")
            settings[name] = path
    assert refused(start, **settings)[0] == code


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of `localhost` and its key, in files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_path, key_path


def test_with_a_certificate_clients_come_by_https_and_attempts_as_they_did(start: Start, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    instance = start(tls_cert=cert, tls_key=key)
    assert instance.url.startswith("https://localhost:")
    assert httpx.get(f"{instance.url}/readyz", verify=ssl.create_default_context(cafile=str(cert))).status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{instance.url}/readyz")
    assert instance.task_url.startswith("http://localhost:")
    assert httpx.get(f"{instance.task_url}/readyz").status_code == 200


def test_the_address_of_attempts_outlives_a_kill(start: Start, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    first = start(tls_cert=cert, tls_key=key)
    os.kill(first.pid, signal.SIGKILL)
    os.waitpid(first.pid, 0)
    assert start(tls_cert=cert, tls_key=key).task_url == first.task_url


def test_tokens_open_a_server_that_other_machines_reach(start: Start, flyte_home: Path) -> None:
    token = TokenStore(flyte_home).create("ada")
    instance = start(host="0.0.0.0", requires_token=True)
    port = instance.url.rpartition(":")[2]
    url = f"http://127.0.0.1:{port}/metrics"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers={"authorization": f"Bearer {token}"}).status_code == 200


def test_the_log_may_be_lines_of_json(start: Start, flyte_home: Path) -> None:
    instance = start(log_format="json", logs_access=True)
    httpx.get(f"{instance.url}/healthz")
    stop_server(flyte_home, 10)
    lines = [json.loads(line) for line in (flyte_home / LOG_FILE).read_text().splitlines()]
    assert [line["message"] for line in lines] == [
        f"ready at {instance.url}",
        "GET /healthz 200",
        "stopping",
        "stopped",
    ]
    assert lines[1]["logger"] == "flyte.server.access"
    assert lines[1]["ms"] >= 0
    assert {line["level"] for line in lines} == {"info"}


PROJECT = ProjectIdentifier(name="flytesnacks", domain="development")


@pytest.fixture
def tasks(tmp_path: Path, flyte_home: Path) -> Callable[[str], TaskSpec]:
    """Specs of tasks with that code."""
    served = Served(tmp_path)
    served.home = flyte_home

    def spec(code: str) -> TaskSpec:
        made: TaskSpec = served.specs(code)("main")
        return made

    return spec


def create_run(instance: Instance, spec: TaskSpec, home: Path, token: str = "") -> str:
    """The name of a new run of that task."""
    inputs = home / "uploads" / "inputs.pb"
    inputs.parent.mkdir(exist_ok=True)
    inputs.write_bytes(Inputs().SerializeToString())
    request = CreateRunRequest(project_id=PROJECT, task_spec=spec)
    request.offloaded_input_data.uri = str(inputs)
    request.offloaded_input_data.inputs_hash = "h"
    with RunServiceClientSync(instance.url) as client:
        return str(client.create_run(request, headers=bearer(token)).run.action.id.run.name)


def bearer(token: str) -> dict[str, str]:
    """How a token is sent."""
    return {"authorization": f"Bearer {token}"} if token else {}


def phase_of(instance: Instance, run: str, token: str = "") -> ActionPhase:
    """The phase of a run."""
    with RunServiceClientSync(instance.url) as client:
        details = client.get_run_details(GetRunDetailsRequest(run_id=run_id(run)), headers=bearer(token)).details
    return ActionPhase.from_protobuf(details.action.status.phase)


def run_id(run: str) -> RunIdentifier:
    """The full name of a run."""
    return RunIdentifier(project=PROJECT.name, domain=PROJECT.domain, name=run)


WAITS = """
@env.task
def main() -> int:
    open({here!r}, "a").write(f"{{os.getpid()}}\\n")
    while not os.path.exists({go!r}):
        time.sleep(0.01)
    return 1
"""


def running(instance: Instance, tasks: Callable[[str], TaskSpec], home: Path, folder: Path) -> tuple[str, Path, Path]:
    """A run whose task has begun: its name, the file with its processes, and the one that it waits for."""
    here, go = folder / "here", folder / "go"
    run = create_run(instance, tasks(WAITS.format(here=str(here), go=str(go))), home)
    wait_until(here.exists)
    return run, here, go


def test_a_stop_kills_what_runs_and_the_next_server_runs_it_again(
    start: Start, flyte_home: Path, tmp_path: Path, tasks: Callable[[str], TaskSpec]
) -> None:
    instance = start()
    run, here, go = running(instance, tasks, flyte_home, tmp_path)
    stop_server(flyte_home, 10)
    assert are_gone([int(here.read_text())])
    go.touch()
    again = start()
    wait_until(lambda: phase_of(again, run) is ActionPhase.SUCCEEDED)
    assert len(here.read_text().split()) == 2


def test_a_stop_may_wait_for_what_runs_and_answers_until_then(
    start: Start, flyte_home: Path, tmp_path: Path, tasks: Callable[[str], TaskSpec]
) -> None:
    instance = start(drain_s=60.0)
    run, here, go = running(instance, tasks, flyte_home, tmp_path)
    os.kill(instance.pid, signal.SIGTERM)
    wait_until(lambda: httpx.get(f"{instance.url}/readyz").status_code == 503)
    assert phase_of(instance, run) is ActionPhase.RUNNING
    go.touch()
    os.waitpid(instance.pid, 0)
    assert phase_of(start(), run) is ActionPhase.SUCCEEDED
    assert len(here.read_text().split()) == 1


NESTED = """
@env.task
def child(x: int) -> int:
    return x + 1

@env.task
def main() -> int:
    return child(1)
"""


def test_attempts_call_their_server_where_it_requires_a_token(
    start: Start, flyte_home: Path, tasks: Callable[[str], TaskSpec]
) -> None:
    token = TokenStore(flyte_home).create("ada")
    instance = start(requires_token=True)
    spec = tasks(NESTED)
    with pytest.raises(ConnectError) as refused:
        create_run(instance, spec, flyte_home)
    assert refused.value.code == Code.UNAUTHENTICATED
    run = create_run(instance, spec, flyte_home, token)
    wait_until(lambda: phase_of(instance, run, token).is_terminal, within_s=30)
    assert phase_of(instance, run, token) is ActionPhase.SUCCEEDED


def port_of(instance: Instance) -> int:
    """Where it listens."""
    return int(instance.url.rpartition(":")[2])


def test_a_second_signal_ends_a_server_at_once_and_the_next_one_meets_what_runs(
    start: Start, flyte_home: Path, tmp_path: Path, tasks: Callable[[str], TaskSpec]
) -> None:
    instance = start(drain_s=600.0)
    run, here, go = running(instance, tasks, flyte_home, tmp_path)
    os.kill(instance.pid, signal.SIGTERM)
    wait_until(lambda: httpx.get(f"{instance.url}/readyz").status_code == 503)
    os.kill(instance.pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(instance.pid, 0)[1]) == 130
    assert not (flyte_home / SERVER_FILE).exists()
    again = start(port=port_of(instance))
    go.touch()
    wait_until(lambda: phase_of(again, run) is ActionPhase.SUCCEEDED)
    assert len(here.read_text().split()) == 1


def test_a_stop_may_leave_what_runs_to_the_next_server(
    start: Start, flyte_home: Path, tmp_path: Path, tasks: Callable[[str], TaskSpec]
) -> None:
    instance = start(drain_s=600.0)
    run, here, go = running(instance, tasks, flyte_home, tmp_path)
    stop_server(flyte_home, 30, leaves_attempts=True)
    assert runs(int(here.read_text()))
    again = start(port=port_of(instance))
    go.touch()
    wait_until(lambda: phase_of(again, run) is ActionPhase.SUCCEEDED)
    assert len(here.read_text().split()) == 1


def test_a_server_that_cannot_start_ends_nothing_that_runs(
    start: Start, flyte_home: Path, tmp_path: Path, tasks: Callable[[str], TaskSpec]
) -> None:
    instance = start()
    run, here, go = running(instance, tasks, flyte_home, tmp_path)
    os.kill(instance.pid, signal.SIGKILL)
    os.waitpid(instance.pid, 0)
    store = connect(flyte_home / DATABASE_FILE)
    (spec,) = store.execute("SELECT run_spec FROM served_run").fetchone()
    store.execute("UPDATE served_run SET run_spec = ?", (b"no spec",))
    assert refused(start, port=port_of(instance))[0] == "ServerFailed"
    assert runs(int(here.read_text()))
    store.execute("UPDATE served_run SET run_spec = ?", (spec,))
    store.close()
    again = start(port=port_of(instance))
    go.touch()
    wait_until(lambda: phase_of(again, run) is ActionPhase.SUCCEEDED)
    assert len(here.read_text().split()) == 1


def test_open_streams_do_not_hold_up_a_stop(
    start: Start, flyte_home: Path, tmp_path: Path, tasks: Callable[[str], TaskSpec]
) -> None:
    here = tmp_path / "here"
    instance = start()
    run = create_run(instance, tasks(WAITS.format(here=str(here), go=str(tmp_path / "never"))), flyte_home)
    ended: list[Code] = []
    began = threading.Event()

    def watch() -> None:
        with RunServiceClientSync(instance.url) as client:
            try:
                for _ in client.watch_run_details(WatchRunDetailsRequest(run_id=run_id(run))):
                    began.set()
            except ConnectError as error:
                ended.append(error.code)

    watching = threading.Thread(target=watch)
    watching.start()
    assert began.wait(10)
    stopping = time.monotonic()
    stop_server(flyte_home, 30)
    watching.join(10)
    assert ended == [Code.UNAVAILABLE]
    assert time.monotonic() - stopping < 5
