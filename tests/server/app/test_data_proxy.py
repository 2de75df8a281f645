"""The data of clients on its way in and out."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from hashlib import md5
from pathlib import Path

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.common.identifier_pb2 import ActionAttemptIdentifier, ProjectIdentifier
from flyteidl2.core.literals_pb2 import KeyValuePair, Literal, Primitive, Scalar
from flyteidl2.dataproxy.dataproxy_service_pb2 import (
    ArtifactType,
    CreateDownloadLinkRequest,
    CreateUploadLocationRequest,
    GetActionDataRequest,
    UploadInputsRequest,
)
from flyteidl2.task.common_pb2 import Inputs, NamedLiteral, Outputs
from flyteidl2.task.task_definition_pb2 import TaskIdentifier

from flyte._server.services import data_proxy
from flyte.models import ActionPhase
from flyte.types._hashing import inputs_hash
from tests.server.app.conftest import Serve
from tests.server.app.data_plane import DataServer, action_id, data_server
from tests.server.scheduler.scripted import SUCCESS, fails, spec

PROJECT = ProjectIdentifier(name="flytesnacks", domain="development")
CODE = b"a tar of code"


@pytest.fixture
async def server(serve: Serve, flyte_home: Path) -> AsyncIterator[DataServer]:
    """A server with the services of data."""
    async with data_server(serve, flyte_home) as started:
        yield started


def some_inputs(value: int = 7) -> Inputs:
    """Inputs with one number."""
    literal = Literal(scalar=Scalar(primitive=Primitive(integer=value)))
    return Inputs(literals=[NamedLiteral(name="x", value=literal)])


async def refused(call: object) -> Code:
    """The code that a call ends with."""
    with pytest.raises(ConnectError) as error:
        await call  # type: ignore[misc]
    return error.value.code


async def test_a_client_uploads_a_bundle_by_the_link_it_gets(server: DataServer) -> None:
    request = CreateUploadLocationRequest(
        project="flytesnacks", domain="development", filename="fast1.tar.gz", content_md5=md5(CODE).digest()
    )
    request.expires_in.seconds = 900
    location = await server.client.create_upload_location(request)
    assert location.signed_url.startswith(server.served.url + "/upload/")
    answer = await server.served.http.put(location.signed_url, content=CODE)
    assert answer.status_code == 200
    assert Path(location.native_url).read_bytes() == CODE
    assert Path(location.native_url).is_absolute()


async def test_links_lead_to_the_name_by_which_the_client_came(server: DataServer) -> None:
    answer = await server.served.http.post(
        "/flyteidl2.dataproxy.DataProxyService/CreateUploadLocation",
        json={"project": "p", "domain": "d", "filename": "f"},
        headers={"host": "flyte.localhost:77"},
    )
    assert answer.json()["signedUrl"].startswith("http://flyte.localhost:77/upload/p/d/")


async def test_inputs_are_kept_by_their_content_under_the_hash_of_the_official_formula(server: DataServer) -> None:
    inputs = some_inputs()
    inputs.context.append(KeyValuePair(key="k", value="v"))
    asked = UploadInputsRequest(project_id=PROJECT, task_spec=spec(), inputs=inputs)
    first = (await server.client.upload_inputs(asked)).offloaded_input_data
    again = (await server.client.upload_inputs(asked)).offloaded_input_data
    asked.inputs.literals[0].value.scalar.primitive.integer = 8
    other = (await server.client.upload_inputs(asked)).offloaded_input_data
    assert first == again
    assert first.uri != other.uri
    assert first.inputs_hash == inputs_hash(inputs)
    assert Path(first.uri).name == "inputs.pb"
    assert Inputs.FromString(Path(first.uri).read_bytes()) == inputs


async def test_inputs_that_belong_nowhere_are_refused(server: DataServer) -> None:
    for request in (
        UploadInputsRequest(inputs=some_inputs()),
        UploadInputsRequest(project_id=ProjectIdentifier(name="../x", domain="d"), inputs=some_inputs()),
        UploadInputsRequest(project_id=ProjectIdentifier(name="p", domain=""), inputs=some_inputs()),
    ):
        assert await refused(server.client.upload_inputs(request)) == Code.INVALID_ARGUMENT
    assert not (server.home / "uploads").exists()


async def test_inputs_and_outputs_of_an_action_come_inline(server: DataServer) -> None:
    await server.plane.run()
    attempt = await server.plane.executor.attempt("a0")
    Path(attempt.order.inputs_uri).write_bytes(some_inputs().SerializeToString())
    request = GetActionDataRequest(action_id=action_id())
    before = await server.client.get_action_data(request)
    attempt.end(SUCCESS)
    await server.plane.until("a0", ActionPhase.SUCCEEDED)
    after = await server.client.get_action_data(request)
    assert before.inputs == after.inputs == some_inputs()
    assert before.outputs == Outputs()
    assert after.outputs.SerializeToString(deterministic=True) == SUCCESS.outputs
    assert after.inputs_uri == attempt.order.inputs_uri
    assert after.outputs_uri.startswith(attempt.order.outputs_path)


async def test_what_is_too_large_for_an_answer_is_told_by_its_address(
    server: DataServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await server.plane.run()
    (await server.plane.executor.attempt("a0")).end(SUCCESS)
    await server.plane.until("a0", ActionPhase.SUCCEEDED)
    monkeypatch.setattr(data_proxy, "ANSWER_BYTES", 3)
    with pytest.raises(ConnectError, match=r"read them at .*outputs\.pb") as error:
        await server.client.get_action_data(GetActionDataRequest(action_id=action_id()))
    assert error.value.code == Code.FAILED_PRECONDITION


async def test_data_of_what_is_not_there_is_not_found(server: DataServer) -> None:
    await server.plane.run()
    for missing in (action_id(run="nothing"), action_id("nothing")):
        assert await refused(server.client.get_action_data(GetActionDataRequest(action_id=missing))) == Code.NOT_FOUND
    for bad in (action_id(run=""), action_id(""), action_id(run="../x")):
        code = await refused(server.client.get_action_data(GetActionDataRequest(action_id=bad)))
        assert code == Code.INVALID_ARGUMENT


def report_of(attempt: int, name: str = "a0") -> CreateDownloadLinkRequest:
    """A request for a report."""
    which = ActionAttemptIdentifier(action_id=action_id(name), attempt=attempt)
    return CreateDownloadLinkRequest(artifact_type=ArtifactType.ARTIFACT_TYPE_REPORT, action_attempt_id=which)


async def test_each_attempt_has_its_report(server: DataServer) -> None:
    task = spec("env.root", retries={"retries": 1})
    await server.plane.run(task)
    for number, end in ((1, fails()), (2, SUCCESS)):
        attempt = await server.plane.executor.attempt("a0", number)
        folder = Path(attempt.order.outputs_path)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.html").write_text(f"report {number}")
        attempt.end(end)
    await server.plane.until("a0", ActionPhase.SUCCEEDED)
    for number, text in ((1, "report 1"), (2, "report 2"), (0, "report 2")):
        link = await server.client.create_download_link(report_of(number))
        assert (await server.served.http.get(link.pre_signed_urls.signed_url[0])).text == text
    assert await refused(server.client.create_download_link(report_of(3))) == Code.NOT_FOUND
    assert await refused(server.client.create_download_link(report_of(1, "nothing"))) == Code.NOT_FOUND


async def test_an_attempt_without_a_report_has_no_link(server: DataServer) -> None:
    await server.plane.run()
    await server.plane.executor.attempt("a0")
    assert await refused(server.client.create_download_link(report_of(1))) == Code.NOT_FOUND


async def code_link(server: DataServer, bundle: str) -> str:
    """A link to the code of a run whose task names that bundle."""
    task = spec("env.root")
    task.task_template.container.args.extend(["a0", "--tgz", bundle, "--dest", "."])
    name = await server.plane.run(task, name=None)
    await server.plane.executor.attempt("a0")
    which = ActionAttemptIdentifier(action_id=action_id(run=name), attempt=1)
    request = CreateDownloadLinkRequest(artifact_type=ArtifactType.ARTIFACT_TYPE_CODE_BUNDLE, action_attempt_id=which)
    return str((await server.client.create_download_link(request)).pre_signed_urls.signed_url[0])


async def test_the_code_of_an_action_is_fetched_by_a_link(server: DataServer) -> None:
    bundle = server.home / "uploads" / "p" / "d" / "x" / "fast1.tar.gz"
    bundle.parent.mkdir(parents=True)
    bundle.write_bytes(CODE)
    link = await code_link(server, str(bundle))
    assert (await server.served.http.get(link)).content == CODE


@pytest.mark.parametrize("bundle", ["{home}/link.key", "{home}/store.db", "/etc/passwd", "{home}/uploads/../link.key"])
async def test_a_task_that_names_another_file_as_its_code_gives_nobody_that_file(
    server: DataServer, bundle: str
) -> None:
    assert os.path.exists(bundle.format(home=server.home)) or "uploads" in bundle
    assert await refused(code_link(server, bundle.format(home=server.home))) == Code.NOT_FOUND


async def test_a_link_to_nothing_in_particular_is_refused(server: DataServer) -> None:
    task = TaskIdentifier(project="flytesnacks", domain="development", name="t", version="v")
    code = ArtifactType.ARTIFACT_TYPE_CODE_BUNDLE
    for request, expected in (
        (CreateDownloadLinkRequest(), Code.INVALID_ARGUMENT),
        (CreateDownloadLinkRequest(artifact_type=code), Code.INVALID_ARGUMENT),
        (CreateDownloadLinkRequest(artifact_type=code, task_id=task), Code.NOT_FOUND),
    ):
        assert await refused(server.client.create_download_link(request)) == expected
