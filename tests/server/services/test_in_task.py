"""What running tasks ask, in both families."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.actions import actions_service_pb2 as actions
from flyteidl2.core.literals_pb2 import Literal, Primitive, Scalar
from flyteidl2.core.types_pb2 import LiteralType, SimpleType
from flyteidl2.task.task_definition_pb2 import TaskIdentifier
from flyteidl2.workflow import queue_service_pb2 as queue
from flyteidl2.workflow import state_service_pb2 as state
from flyteidl2.workflow.run_definition_pb2 import ConditionAction, TaskAction, TraceAction
from google.protobuf.json_format import Parse
from google.protobuf.timestamp_pb2 import Timestamp

from flyte.models import ActionPhase
from tests.server.scheduler.scripted import spec
from tests.server.services.serving import Served, action_id, run_id, served


def task_action(server: Served, name: str) -> dict[str, Any]:
    """The fields of an action of a task, as both families have them."""
    task = spec("env.child")
    return {
        "action_id": action_id(name),
        "parent_action_name": "a0",
        "input_uri": server.plane.target(name).input_uri,
        "task": TaskAction(id=TaskIdentifier(name="env.child", version="v1"), spec=task),
    }


async def test_child_of_queue_family_is_told_after_sentinel(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.plane.run()
        enqueuing, watching = await server.queue(), await server.state()
        stream = watching.watch(state.WatchRequest(parent_action_id=action_id()))
        assert (await anext(stream)).control_message.sentinel
        await enqueuing.enqueue_action(queue.EnqueueActionRequest(**task_action(server, "c1")))
        (await server.executor.attempt("c1")).end()
        phases = []
        async for response in stream:
            phases.append(response.action_update.phase)
            assert response.action_update.output_uri
            if phases[-1] == ActionPhase.SUCCEEDED.to_protobuf_value():
                break
        await stream.aclose()


async def test_child_of_actions_family_is_replayed_before_sentinel(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.plane.run()
        client = await server.actions()
        request = actions.EnqueueRequest(action=actions.Action(**task_action(server, "c1")))
        await client.enqueue(request)
        await client.enqueue(request)
        (await server.executor.attempt("c1")).end()
        await server.plane.until("c1", ActionPhase.SUCCEEDED)
        stream = client.watch_for_updates(actions.WatchForUpdatesRequest(parent_action_id=action_id()))
        update = (await anext(stream)).action_update
        assert (update.action_id.name, update.phase) == ("c1", ActionPhase.SUCCEEDED.to_protobuf_value())
        assert (await anext(stream)).control_message.sentinel
        await stream.aclose()
        assert len(server.executor.attempts) == 2


async def test_stream_ends_when_its_parent_does(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.plane.run()
        stream = (await server.state()).watch(state.WatchRequest(parent_action_id=action_id()))
        assert (await anext(stream)).control_message.sentinel
        (await server.executor.attempt("a0")).end()
        assert [each async for each in stream] == []


async def test_call_of_a_run_that_is_over_is_answered_with_aborted(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.plane.run()
        client = await server.queue()
        await client.abort_queued_run(queue.AbortQueuedRunRequest(run_id=run_id(), reason="enough"))
        with pytest.raises(ConnectError) as refused:
            await client.enqueue_action(queue.EnqueueActionRequest(**task_action(server, "c1")))
        assert refused.value.code is Code.ABORTED


async def test_child_is_aborted_alone(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.plane.run()
        client = await server.actions()
        await client.enqueue(actions.EnqueueRequest(action=actions.Action(**task_action(server, "c1"))))
        await client.abort(actions.AbortRequest(action_id=action_id("c1"), reason="not wanted"))
        await server.plane.until("c1", ActionPhase.ABORTED)
        assert server.plane.phase("a0") is ActionPhase.RUNNING


async def test_condition_is_asked_and_answered(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.plane.run()
        client = await server.actions()
        condition = ConditionAction(name="go", type=LiteralType(simple=SimpleType.BOOLEAN), prompt="Go?")
        asked = actions.Action(action_id=action_id("q"), parent_action_name="a0", condition=condition)
        await client.enqueue(actions.EnqueueRequest(action=asked))
        await server.plane.until("q", ActionPhase.PAUSED)
        yes = Literal(scalar=Scalar(primitive=Primitive(boolean=True)))
        await client.signal(actions.SignalRequest(action_id=action_id("q"), value=yes))
        await server.plane.until("q", ActionPhase.SUCCEEDED)
        with pytest.raises(ConnectError) as refused:
            await client.signal(actions.SignalRequest(action_id=action_id("q"), value=yes))
        assert refused.value.code is Code.FAILED_PRECONDITION


async def test_state_is_the_status_of_the_action(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.plane.run()
        await server.plane.until("a0", ActionPhase.RUNNING)
        from flyteidl2.workflow.run_definition_pb2 import ActionStatus

        response = await (await server.state()).get(state.GetRequest(action_id=action_id()))
        assert Parse(response.state, ActionStatus()).phase == ActionPhase.RUNNING.to_protobuf_value()


async def test_reports_of_foreign_executors_are_not_offered(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        with pytest.raises(ConnectError) as put:
            await (await server.state()).put(state.PutRequest(action_id=action_id()))
        with pytest.raises(ConnectError) as update:
            await (await server.actions()).update(actions.UpdateRequest(action_id=action_id()))
        assert (put.value.code, update.value.code) == (Code.UNIMPLEMENTED, Code.UNIMPLEMENTED)


def _without(field: str) -> Callable[[actions.Action], None]:
    return lambda action: action.ClearField(field)


def _named(name: str) -> Callable[[actions.Action], None]:
    def change(action: actions.Action) -> None:
        action.action_id.name = name

    return change


def _at(address: str) -> Callable[[actions.Action], None]:
    def change(action: actions.Action) -> None:
        action.input_uri = address

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_without("task"), "neither task, trace nor condition"),
        (_without("input_uri"), "input_uri"),
        (_without("parent_action_name"), "parent_action_name"),
        (_without("action_id"), "action_id.run.name"),
        (_named("../../x"), "action_id.name"),
        (_named("a0"), "CreateRun"),
        (lambda action: action.task.ClearField("spec"), "task.spec"),
        (_at("/home/../etc/inputs.pb"), "input_uri"),
        (lambda action: action.trace.CopyFrom(TraceAction()), "trace.name"),
        (
            lambda action: action.trace.CopyFrom(TraceAction(name="t", start_time=Timestamp(seconds=2**63 - 1))),
            "trace.start_time",
        ),
    ],
)
async def test_malformed_call_is_refused_by_its_field(
    tmp_path: Path, change: Callable[[actions.Action], None], named: str
) -> None:
    async with served(tmp_path) as server:
        await server.plane.run()
        action = actions.Action(**task_action(server, "c1"))
        change(action)
        with pytest.raises(ConnectError, match=named) as refused:
            await (await server.actions()).enqueue(actions.EnqueueRequest(action=action))
        assert refused.value.code is Code.INVALID_ARGUMENT


async def test_unknown_run_is_not_found(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        stream = (await server.state()).watch(state.WatchRequest(parent_action_id=action_id(run="no-such")))
        with pytest.raises(ConnectError) as refused:
            await anext(stream)
        assert refused.value.code is Code.NOT_FOUND
