"""Traces and conditions under a control plane."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from flyteidl2.common.phase_pb2 import ActionPhase as PhaseMessage
from flyteidl2.core.execution_pb2 import ContainerError, ErrorDocument, ExecutionError
from flyteidl2.core.literals_pb2 import Literal, Primitive, Scalar
from flyteidl2.core.types_pb2 import INTEGER

import flyte
from flyte._controller.remote import RemoteController
from flyte.errors import (
    ActionAbortedError,
    ConditionFailedError,
    ConditionTimedoutError,
    NonRecoverableError,
    TraceDoesNotAllowNestedTasksError,
)
from tests.controller.remote.conftest import attempt
from tests.controller.remote.peer import End, Listening
from tests.controller.remote.programs import calls, calls_task, count, letters, nested, numbers, shout


async def test_a_trace_is_executed_here_and_recorded(
    controller: RemoteController, server: Listening, tmp_path: Path
) -> None:
    assert await shout("hi") == "HI"
    (action,) = server.peer.enqueued
    trace, folder = action.trace, tmp_path / action.action_id.name
    assert (trace.name, trace.phase) == ("shout", PhaseMessage.ACTION_PHASE_SUCCEEDED)
    assert trace.outputs.output_uri == str(folder / "outputs.pb")
    assert trace.start_time.ToNanoseconds() <= trace.end_time.ToNanoseconds()
    assert [entry.key for entry in trace.spec.interface.inputs.variables] == ["text"]
    assert sorted(path.name for path in folder.iterdir()) == ["inputs.pb", "outputs.pb"]


async def test_traces_that_returned_are_not_made_again_by_a_later_attempt(server: Listening, tmp_path: Path) -> None:
    for _ in range(2):
        with attempt(server, tmp_path):
            assert await shout("hi") == "HI"
            assert count(3) == 4
            assert [letter async for letter in letters("ab")] == ["a", "b"]
            assert list(numbers(3)) == [0, 1, 2]
            assert await nested("in") == "IN"
    assert calls == ["hi", "count 3", "in"]
    assert {action.parent_action_name for action in server.peer.enqueued} == {"a0"}


async def test_a_trace_that_failed_is_recorded_with_its_error(
    controller: RemoteController, server: Listening, tmp_path: Path
) -> None:
    with pytest.raises(ConnectionError):
        await shout("fail")
    (action,) = server.peer.enqueued
    assert action.trace.phase == PhaseMessage.ACTION_PHASE_FAILED
    document = ErrorDocument.FromString((tmp_path / action.action_id.name / "error.pb").read_bytes())
    assert (document.error.code, document.error.kind) == ("ConnectionError", ContainerError.RECOVERABLE)


@pytest.mark.parametrize("is_recoverable", [True, False])
async def test_a_failed_trace_is_made_again_unless_that_cannot_help(
    server: Listening, tmp_path: Path, is_recoverable: bool
) -> None:
    kind = ContainerError.RECOVERABLE if is_recoverable else ContainerError.NON_RECOVERABLE
    with attempt(server, tmp_path):
        with pytest.raises(NonRecoverableError):
            await shout("never")
        (action,) = server.peer.enqueued
        error = ExecutionError(code="NonRecoverableError", kind=ExecutionError.USER, recoverability=kind)
        server.do(
            lambda: server.peer.state(
                "a0", action.action_id.name, End(phase=PhaseMessage.ACTION_PHASE_FAILED, error=error)
            )
        )
    with attempt(server, tmp_path), pytest.raises(NonRecoverableError):
        await shout("never")
    assert len(calls) == (2 if is_recoverable else 1)


async def test_tasks_are_not_called_in_traces(controller: RemoteController, server: Listening) -> None:
    with pytest.raises(TraceDoesNotAllowNestedTasksError, match="calls_task"):
        await calls_task(1)


def answer(value: int) -> End:
    return End(value=Literal(scalar=Scalar(primitive=Primitive(integer=value))))


async def test_a_condition_is_asked_and_answered_every_time_the_same(
    controller: RemoteController, server: Listening
) -> None:
    condition = await flyte.new_condition.aio("size", "How many?", "markdown", int, "why", timeout=1.5)
    (action,) = server.peer.enqueued
    asked = action.condition
    assert (asked.name, asked.prompt, asked.type.simple, asked.description) == ("size", "How many?", INTEGER, "why")
    assert asked.timeout.ToMilliseconds() == 1500
    server.do(lambda: server.peer.state("a0", action.action_id.name, answer(7)))
    assert [await condition.wait.aio(), await condition.wait.aio()] == [7, 7]


async def test_an_answer_that_was_given_before_is_used(server: Listening, tmp_path: Path) -> None:
    for attempt_no in range(2):
        with attempt(server, tmp_path):
            condition = await flyte.new_condition.aio("size", data_type=int)
            if attempt_no == 0:
                name = server.peer.enqueued[0].action_id.name
                server.do(lambda: server.peer.state("a0", name, answer(7)))
            assert await condition.wait.aio() == 7
    assert len(server.peer.enqueued) == 1


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (End(phase=PhaseMessage.ACTION_PHASE_TIMED_OUT), ConditionTimedoutError),
        (End(phase=PhaseMessage.ACTION_PHASE_ABORTED), ActionAbortedError),
        (End(phase=PhaseMessage.ACTION_PHASE_FAILED), ConditionFailedError),
        (answer(7), ConditionFailedError),
    ],
)
async def test_a_condition_that_has_no_answer_is_raised(
    controller: RemoteController, server: Listening, end: End, expected: type[Exception]
) -> None:
    condition = await flyte.new_condition.aio("go")
    server.do(lambda: server.peer.state("a0", server.peer.enqueued[0].action_id.name, end))
    with pytest.raises(expected):
        await condition.wait.aio()


async def test_giving_up_a_wait_leaves_the_question_open(controller: RemoteController, server: Listening) -> None:
    condition = await flyte.new_condition.aio("go")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(condition.wait.aio(), 0.05)
    assert server.peer.aborted == []
