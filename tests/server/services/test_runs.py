"""Runs, as clients make, read, answer and end them."""

from __future__ import annotations

import asyncio
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.common.identifier_pb2 import ProjectIdentifier
from flyteidl2.common.run_pb2 import RELATION_TYPE_RECOVER, OffloadedInputData
from flyteidl2.core.interface_pb2 import Parameter, VariableEntry
from flyteidl2.core.literals_pb2 import Literal, Primitive, RetryStrategy, Scalar
from flyteidl2.core.types_pb2 import LiteralType, SimpleType
from flyteidl2.task.common_pb2 import Inputs, NamedLiteral, NamedParameter
from flyteidl2.task.run_pb2 import RunSpec
from flyteidl2.task.task_definition_pb2 import TaskSpec
from flyteidl2.workflow import run_service_pb2 as m
from flyteidl2.workflow.run_definition_pb2 import ConditionAction, ErrorInfo

from flyte._server.refusals import InvalidRequestError
from flyte._store.conditions import Question, open_condition
from flyte._store.records import action_id as stored_action_id
from flyte._store.writer import Change, in_order, record_actions
from flyte.models import ActionPhase
from tests.server.scheduler.scripted import fails, outputs_of, spec
from tests.server.services.serving import PLACE, Served, action_id, run_id, served
from tests.server.services.stored_runs import local_run, root_row


def number(value: int) -> Literal:
    return Literal(scalar=Scalar(primitive=Primitive(integer=value)))


def with_inputs() -> TaskSpec:
    """A task of two whole numbers, one of which has a default."""
    task = spec("env.root")
    for name in ("x", "y"):
        task.task_template.interface.inputs.variables.append(VariableEntry(key=name))
    task.default_inputs.append(NamedParameter(name="y", parameter=Parameter(default=number(7))))
    return task


async def refusal_of(server: Served, request: m.CreateRunRequest) -> ConnectError:
    with pytest.raises(ConnectError) as refused:
        await (await server.runs()).create_run(request)
    return refused.value


async def test_run_is_made_watched_and_read(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        runs = await server.runs()
        task = spec("env.root")
        made = await runs.create_run(m.CreateRunRequest(project_id=PLACE, task_spec=task))
        name = made.run.action.id.run.name
        assert made.run.action.id.run.org == "local"
        seen = []
        async for response in runs.watch_action_details(m.WatchActionDetailsRequest(action_id=action_id("a0", name))):
            seen.append(response.details.status.phase)
            if seen[-1] == ActionPhase.RUNNING.to_protobuf_value():
                (await server.executor.attempt("a0")).end()
        assert seen[-1] == ActionPhase.SUCCEEDED.to_protobuf_value()
        details = (await runs.get_run_details(m.GetRunDetailsRequest(run_id=run_id(name)))).details
        assert details.action.task == task
        assert details.action.status.HasField("duration_ms")
        (attempt,) = details.action.attempts
        assert [each.phase for each in attempt.phase_transitions] == [1, 4, 5]
        assert attempt.logs_available
        assert attempt.outputs.output_uri.endswith(f"{name}/a0/1")
        data = await runs.get_action_data(m.GetActionDataRequest(action_id=action_id("a0", name)))
        assert data.outputs.SerializeToString() == outputs_of(1)


async def test_inline_inputs_are_completed_with_defaults_and_written(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        given = Inputs(literals=[NamedLiteral(name="x", value=number(1))])
        request = m.CreateRunRequest(run_id=run_id("named"), task_spec=with_inputs(), inputs=given)
        await (await server.runs()).create_run(request)
        order = (await server.executor.attempt("a0")).order
        assert Path(order.inputs_uri).is_relative_to(tmp_path)
        read = Inputs.FromString(Path(order.inputs_uri).read_bytes())
        assert [(each.name, each.value) for each in read.literals] == [("x", number(1)), ("y", number(7))]


async def test_missing_and_unknown_inputs_are_refused_by_name(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        request = m.CreateRunRequest(project_id=PLACE, task_spec=with_inputs())
        assert "lacks x" in (await refusal_of(server, request)).message
        request.inputs.literals.append(NamedLiteral(name="z", value=number(1)))
        refused = await refusal_of(server, request)
        assert (refused.code, "'z'" in refused.message) == (Code.INVALID_ARGUMENT, True)


async def test_second_run_of_a_name_is_refused(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        request = m.CreateRunRequest(run_id=run_id("one"), task_spec=spec("env.root"))
        await (await server.runs()).create_run(request)
        assert (await refusal_of(server, request)).code is Code.ALREADY_EXISTS


@pytest.mark.parametrize(
    ("request_of", "code", "named"),
    [
        (m.CreateRunRequest(task_spec=spec()), Code.INVALID_ARGUMENT, "run_id or project_id"),
        (m.CreateRunRequest(project_id=PLACE), Code.INVALID_ARGUMENT, "task_spec, task_id and trigger_name"),
        (m.CreateRunRequest(run_id=run_id("Not A Name"), task_spec=spec()), Code.INVALID_ARGUMENT, "run_id.name"),
        (
            m.CreateRunRequest(project_id=ProjectIdentifier(name="no", domain="development"), task_spec=spec()),
            Code.NOT_FOUND,
            "project 'no'",
        ),
        (
            m.CreateRunRequest(project_id=ProjectIdentifier(name="flytesnacks", domain="no"), task_spec=spec()),
            Code.NOT_FOUND,
            "development, staging, production",
        ),
        (
            m.CreateRunRequest(
                project_id=PLACE, task_spec=spec(), offloaded_input_data=OffloadedInputData(inputs_hash="h")
            ),
            Code.INVALID_ARGUMENT,
            "offloaded_input_data.uri",
        ),
        (
            m.CreateRunRequest(
                project_id=PLACE, task_spec=spec(), run_spec=RunSpec(notification_rule_name="on-failure")
            ),
            Code.INVALID_ARGUMENT,
            "notifications",
        ),
    ],
)
async def test_request_that_cannot_be_is_refused(
    tmp_path: Path, request_of: m.CreateRunRequest, code: Code, named: str
) -> None:
    async with served(tmp_path) as server:
        refused = await refusal_of(server, request_of)
        assert (refused.code, named in refused.message) == (code, True), refused.message


async def test_run_of_a_task_without_inputs_has_no_hash_of_them(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        inputs = tmp_path / "uploads" / "inputs.pb"
        inputs.parent.mkdir(exist_ok=True)
        inputs.write_bytes(b"")
        request = m.CreateRunRequest(run_id=run_id(), task_spec=spec())
        request.offloaded_input_data.uri = str(inputs)
        await (await server.runs()).create_run(request)
        await server.executor.attempt("a0")


async def test_failed_action_tells_every_attempt(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.plane.run(spec("env.root", retries=RetryStrategy(retries=1)))
        for number_ in (1, 2):
            (await server.executor.attempt("a0", number_)).end(fails("ValueError"))
        await server.plane.until("a0", ActionPhase.FAILED)
        request = m.GetActionDetailsRequest(action_id=action_id())
        details = (await (await server.runs()).get_action_details(request)).details
        assert (details.error_info.code, details.error_info.kind) == ("ValueError", ErrorInfo.KIND_USER)
        assert [(each.attempt, each.phase, each.error_info.code) for each in details.attempts] == [
            (1, 6, "ValueError"),
            (2, 6, "ValueError"),
        ]
        assert [each.outputs.output_uri[-1] for each in details.attempts] == ["1", "2"]


async def test_abort_tells_its_reason(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.plane.run()
        await server.executor.attempt("a0")
        runs = await server.runs()
        await runs.abort_run(m.AbortRunRequest(run_id=run_id(), reason="wrong data"))
        details = (await runs.get_run_details(m.GetRunDetailsRequest(run_id=run_id()))).details
        assert details.action.status.phase == ActionPhase.ABORTED.to_protobuf_value()
        assert details.action.abort_info.reason == "wrong data"


async def test_action_is_aborted_and_its_run_goes_on(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.plane.run()
        await server.plane.call("child")
        runs = await server.runs()
        await runs.abort_action(m.AbortActionRequest(action_id=action_id("child"), reason="no"))
        await server.plane.until("child", ActionPhase.ABORTED)
        assert server.plane.phase("a0") is ActionPhase.RUNNING


async def test_event_answers_a_condition_of_its_type(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.plane.run()
        target = server.plane.target("q")
        target.condition.CopyFrom(
            ConditionAction(name="how-many", type=LiteralType(simple=SimpleType.INTEGER), prompt="?")
        )
        await server.plane.scheduler.enqueue(target)
        await server.plane.until("q", ActionPhase.PAUSED)
        runs = await server.runs()
        payload = m.EventPayload(string_value="many")
        with pytest.raises(ConnectError) as refused:
            await runs.signal_event(m.SignalEventRequest(action_id=action_id("q"), payload=payload))
        assert refused.value.code is Code.INVALID_ARGUMENT
        payload = m.EventPayload(int_value=3)
        await runs.signal_event(m.SignalEventRequest(action_id=action_id("q"), payload=payload))
        await server.plane.until("q", ActionPhase.SUCCEEDED)
        details = (await runs.get_action_details(m.GetActionDetailsRequest(action_id=action_id("q")))).details
        assert details.signal_info.output == number(3)
        assert details.metadata.condition.name == "how-many"
        assert details.condition.prompt == "?"


async def test_relation_and_source_are_told(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        runs = await server.runs()
        await runs.create_run(m.CreateRunRequest(run_id=run_id("one"), task_spec=spec("env.root")))
        run_spec = RunSpec()
        run_spec.relation.relation_type = RELATION_TYPE_RECOVER
        run_spec.relation.related_to.CopyFrom(run_id("one"))
        request = m.CreateRunRequest(run_id=run_id("two"), task_spec=spec("env.root"), run_spec=run_spec, source=2)
        metadata = (await runs.create_run(request)).run.action.metadata
        assert (metadata.relation.related_to.name, metadata.source) == ("one", 2)


async def test_addresses_are_those_of_the_files(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.plane.run()
        attempt = await server.executor.attempt("a0")
        attempt.end()
        await server.plane.until("a0", ActionPhase.SUCCEEDED)
        request = m.GetActionDataURIsRequest(action_id=action_id())
        response = await (await server.runs()).get_action_data_u_r_is(request)
        assert response.inputs_uri == attempt.order.inputs_uri
        assert response.outputs_uri == f"{attempt.order.outputs_path}/outputs.pb"


@pytest.mark.parametrize("address", ["runs/x", "{home}/../x", "/tmp/\0x", "~/x", "file://x"])
async def test_a_folder_of_a_run_is_absolute(tmp_path: Path, address: str) -> None:
    async with served(tmp_path) as server:
        for field in ("run_base_dir", "raw_data_prefix"):
            run_spec = RunSpec()
            owner: Any = run_spec if field == "run_base_dir" else run_spec.raw_data_storage
            setattr(owner, field, address.format(home=tmp_path))
            request = m.CreateRunRequest(run_id=run_id(), task_spec=spec("env.root"), run_spec=run_spec)
            error = await refusal_of(server, request)
            assert (error.code, field in error.message) == (Code.INVALID_ARGUMENT, True)


@pytest.mark.parametrize(("key", "value"), [("", "x"), ("A=B", "x"), ("A\0", "x"), ("A", "x\0y")])
async def test_a_variable_of_no_process_is_refused(tmp_path: Path, key: str, value: str) -> None:
    async with served(tmp_path) as server:
        request = m.CreateRunRequest(run_id=run_id(), task_spec=spec("env.root"))
        request.run_spec.envs.values.add(key=key, value=value)
        error = await refusal_of(server, request)
        assert (error.code, "run_spec.envs" in error.message) == (Code.INVALID_ARGUMENT, True)


async def test_what_a_task_cannot_ask_for_is_refused_when_it_is_called(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        task = spec("env.root")
        task.task_template.container.resources.requests.add(name=1, value="-5")
        error = await refusal_of(server, m.CreateRunRequest(run_id=run_id(), task_spec=task))
        assert (error.code, "'-5'" in error.message) == (Code.INVALID_ARGUMENT, True)
        await server.plane.run()
        with pytest.raises(InvalidRequestError, match="'-5'"):
            await server.plane.call("child", task)


async def test_inputs_outside_of_the_home_are_not_read(tmp_path: Path) -> None:
    outside = tmp_path / "outside.pb"
    outside.write_bytes(Inputs(literals=[NamedLiteral(name="x", value=number(1))]).SerializeToString())
    async with served(tmp_path / "home") as server:
        runs = await server.runs()
        data = OffloadedInputData(uri=str(outside), inputs_hash="h")
        await runs.create_run(
            m.CreateRunRequest(run_id=run_id(), task_spec=spec("env.root"), offloaded_input_data=data)
        )
        with pytest.raises(ConnectError, match="neither in the home") as refused:
            await runs.get_action_data(m.GetActionDataRequest(action_id=action_id()))
        assert refused.value.code is Code.FAILED_PRECONDITION


@pytest.mark.parametrize(
    ("address", "base"),
    [
        ("{home}/link.key", ""),
        ("file://{home}/link.key", ""),
        ("{home}/link.key", "{home}"),
        ("{home}/../outside.pb", "/"),
        ("{home}/runs/pipe", ""),
        ("/dev/zero", "/"),
        ("http://localhost:1/inputs.pb", ""),
        ("zip://inputs.pb::{home}/../outside.zip", ""),
    ],
)
async def test_an_address_of_inputs_gives_nobody_what_is_there(tmp_path: Path, address: str, base: str) -> None:
    home = tmp_path / "home"
    inputs = Inputs(literals=[NamedLiteral(name="x", value=number(1))]).SerializeToString()
    async with served(home) as server:
        (home / "runs").mkdir(exist_ok=True)
        os.mkfifo(home / "runs" / "pipe")
        for path in (home / "link.key", tmp_path / "outside.pb"):
            path.write_bytes(inputs)
        with zipfile.ZipFile(tmp_path / "outside.zip", "w") as archive:
            archive.writestr("inputs.pb", inputs)
        runs = await server.runs()
        # `..` is refused when the run is made.
        uri = address.format(home=home).replace(f"{home}/..", str(tmp_path))
        task = spec("env.root")
        request = m.CreateRunRequest(
            run_id=run_id(), task_spec=task, offloaded_input_data=OffloadedInputData(uri=uri, inputs_hash="h")
        )
        request.run_spec.run_base_dir = base.format(home=home)
        await runs.create_run(request)
        with pytest.raises(ConnectError, match="so it is not read") as refused:
            await asyncio.wait_for(runs.get_action_data(m.GetActionDataRequest(action_id=action_id())), 5)
        assert refused.value.code is Code.FAILED_PRECONDITION
        # The key of its cache is made of its inputs, which says something of them, too.
        request.run_id.name = "cached"
        request.task_spec.task_template.metadata.discoverable = True
        request.offloaded_input_data.ClearField("inputs_hash")
        with pytest.raises(ConnectError, match="so it is not read") as refused:
            await asyncio.wait_for(runs.create_run(request), 5)
        assert refused.value.code is Code.INVALID_ARGUMENT


async def test_data_in_a_folder_that_the_run_was_given_is_read(tmp_path: Path) -> None:
    handed = tmp_path / "shared" / "a0" / "inputs.pb"
    handed.parent.mkdir(parents=True)
    handed.write_bytes(Inputs(literals=[NamedLiteral(name="x", value=number(1))]).SerializeToString())
    async with served(tmp_path / "home") as server:
        runs = await server.runs()
        data = OffloadedInputData(uri=str(handed), inputs_hash="h")
        request = m.CreateRunRequest(run_id=run_id(), task_spec=spec("env.root"), offloaded_input_data=data)
        request.run_spec.run_base_dir = str(tmp_path / "shared")
        await runs.create_run(request)
        answer = await runs.get_action_data(m.GetActionDataRequest(action_id=action_id()))
        assert answer.inputs.literals[0].value == number(1)


async def test_outputs_that_are_gone_are_not_found(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        name = await server.plane.run()
        run, actions = server.plane.stored(name)
        (tmp_path / "uploads" / "inputs" / "inputs.pb").unlink()
        with pytest.raises(ConnectError) as refused:
            await (await server.runs()).get_action_data(m.GetActionDataRequest(action_id=action_id()))
        assert refused.value.code is Code.NOT_FOUND


async def test_log_context_and_events_are_of_the_attempt(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.plane.run()
        (await server.executor.attempt("a0")).end(fails("Boom"))
        await server.plane.until("a0", ActionPhase.FAILED)
        runs = await server.runs()
        context = await runs.get_action_log_context(m.GetActionLogContextRequest(action_id=action_id(), attempt=1))
        assert context.log_context.primary_pod_name == "r-a0-1"
        events = []
        async for response in runs.watch_cluster_events(m.WatchClusterEventsRequest(id=action_id(), attempt=1)):
            events += [each.reason for each in response.cluster_events]
        assert events == ["Queued", "Started", "Failed"]
        with pytest.raises(ConnectError, match="there are 1") as refused:
            await runs.get_action_log_context(m.GetActionLogContextRequest(action_id=action_id(), attempt=2))
        assert refused.value.code is Code.NOT_FOUND


async def test_watch_of_a_run_goes_on_while_it_changes(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.plane.run()
        stream = (await server.runs()).watch_run_details(m.WatchRunDetailsRequest(run_id=run_id()))
        phases = [(await anext(stream)).details.action.status.phase]
        (await server.executor.attempt("a0")).end()
        phases += [each.details.action.status.phase async for each in stream]
        assert phases[-1] == ActionPhase.SUCCEEDED.to_protobuf_value()


async def test_run_of_another_process_is_read(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await write(server, local_run("mine", phase=ActionPhase.SUCCEEDED))
        runs = await server.runs()
        details = (await runs.get_run_details(m.GetRunDetailsRequest(run_id=run_id("mine")))).details
        assert details.action.id.run.project == "flytesnacks"
        assert (details.action.metadata.environment_name, details.action.metadata.funtion_name) == ("env", "root")
        listed = (await runs.list_runs(m.ListRunsRequest(project_id=PLACE))).runs
        assert [each.action.id.run.name for each in listed] == ["mine"]
        stream = runs.watch_action_details(m.WatchActionDetailsRequest(action_id=action_id("a0", "mine")))
        assert len([each async for each in stream]) == 1
        with pytest.raises(ConnectError) as refused:
            await runs.get_action_data_u_r_is(m.GetActionDataURIsRequest(action_id=action_id("a0", "mine")))
        assert refused.value.code is Code.FAILED_PRECONDITION


async def test_run_whose_process_is_gone_is_over_for_watchers(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await write(server, local_run("gone", phase=ActionPhase.RUNNING, is_alive=False))
        stream = (await server.runs()).watch_run_details(m.WatchRunDetailsRequest(run_id=run_id("gone")))
        (only,) = [each.details async for each in stream]
        assert only.action.status.phase == ActionPhase.ABORTED.to_protobuf_value()
        assert "flyte resume" in only.action.abort_info.reason


async def test_condition_of_another_process_is_answered(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        run = await write(server, local_run("asks", phase=ActionPhase.RUNNING))
        question = root_row(run, name="q", sequence_no=2, kind=2, phase=ActionPhase.PAUSED)
        asked = Question("go", "Go?", "text", "bool", "", None)
        await write(
            server,
            in_order(record_actions([question]), open_condition(stored_action_id(run, 2), asked, goes_on=False)),
        )
        runs = await server.runs()
        payload = m.EventPayload(int_value=1)
        with pytest.raises(ConnectError, match="expects bool_value"):
            await runs.signal_event(m.SignalEventRequest(action_id=action_id("q", "asks"), payload=payload))
        payload = m.EventPayload(bool_value=True)
        await runs.signal_event(m.SignalEventRequest(action_id=action_id("q", "asks"), payload=payload))
        with pytest.raises(ConnectError) as refused:
            await runs.signal_event(m.SignalEventRequest(action_id=action_id("q", "asks"), payload=payload))
        assert refused.value.code is Code.FAILED_PRECONDITION


async def test_run_of_another_process_is_asked_to_abort(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        run = await write(server, local_run("mine", phase=ActionPhase.RUNNING))
        await (await server.runs()).abort_run(m.AbortRunRequest(run_id=run_id("mine"), reason="enough"))
        query = "SELECT reason FROM abort_request WHERE run_id = ?"
        rows = await write(server, lambda connection: connection.execute(query, (run,)).fetchall())
        assert [tuple(row) for row in rows] == [("enough",)]


async def write(server: Served, change: Change) -> Any:
    """The result of a change, made without blocking the server."""
    return await asyncio.to_thread(server.writer.write, change)
